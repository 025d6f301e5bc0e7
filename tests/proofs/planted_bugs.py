"""The bugs that are planted on purpose: what is written wrong, and the tests that must notice.

Each replaces one piece of the text of one file, which must stand there exactly once.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bug:
    """``right`` becomes ``wrong`` in ``file``; one of ``tests`` (pytest's names) must fail.

    ``unseen_on`` is the database on which they are not run.
    """

    name: str
    file: str
    right: str
    wrong: str
    tests: tuple[str, ...]
    unseen_on: str = "postgresql"


OUTBOX = "leadcapture/outbox/"
DISPATCH, STATES = "tests/test_outbox_dispatch.py::", "tests/proofs/test_states.py::"
REPLIES, RECEIVE = "tests/test_outbox_replies.py::", "tests/test_intake_receive.py::"
RELAY, MAIL = "tests/test_outbox_relay.py::", "tests/test_letters_mail.py::"
PACE, GATES = "tests/test_outbox_pace.py::", "tests/test_outbox_gates.py::"
DATABASE, AUDIT = "tests/test_database.py::", "tests/test_audit.py::"
RULES = "tests/test_outbox_rules.py"
CELLS = f"{REPLIES}test_each_cell_of_the_reply_table"

BUGS = (
    Bug(
        "the swap forgets the fence",
        f"{OUTBOX}ledger.py",
        "            Message.fence == start_fence,\n",
        "",
        (f"{DISPATCH}test_a_worker_that_was_thought_dead_changes_nothing_when_it_wakes",),
    ),
    Bug(
        "the claim does not move the fence",
        f"{OUTBOX}claims.py",
        "fence=_MESSAGE.c.fence + 1,",
        "fence=_MESSAGE.c.fence,",
        (f"{STATES}test_a_worker_that_is_overtaken_before_its_intent_sends_nothing",),
    ),
    Bug(
        "the dot leaves before the intent",
        f"{OUTBOX}relay.py",
        """            self._pass_intent()
            if not intent():
                self.close()
                return False
            self._phase = Phase.DOT
            _socket(client).settimeout(self._dot_timeout)
            code, text = client.send_dot()
""",
        """            self._phase = Phase.DOT
            _socket(client).settimeout(self._dot_timeout)
            code, text = client.send_dot()
            self._pass_intent()
            if not intent():
                self.close()
                return False
""",
        (f"{DISPATCH}test_a_stop_that_commits_before_the_intent_wins",),
    ),
    Bug(
        "a refused intent is ignored",
        f"{OUTBOX}relay.py",
        "            if not intent():\n                self.close()\n",
        "            if not intent() and not letter:\n                self.close()\n",
        (f"{DISPATCH}test_a_stop_that_commits_before_the_intent_wins",),
    ),
    Bug(
        "SQLite syncs now and then",
        "leadcapture/database.py",
        '"synchronous = FULL"',
        '"synchronous = NORMAL"',
        (
            f"{DATABASE}test_every_connection_of_sqlite_keeps_the_rules",
            f"{DATABASE}test_every_commit_of_sqlite_is_synced_to_disk",
        ),
    ),
    Bug(
        "writers begin with a plain BEGIN",
        "leadcapture/database.py",
        'self.execute("BEGIN IMMEDIATE")',
        'self.execute("BEGIN")',
        (RULES,),
    ),
    Bug(
        "a letter queued twice is two letters",
        "leadcapture/intake/letters_due.py",
        'key = f"alert:held:{now:%Y%m%d%H}"',
        'key = f"alert:held:{new_ref()}"',
        (f"{RECEIVE}test_a_flood_of_suspected_requests_alerts_staff_once_an_hour",),
    ),
    Bug(
        "quiet hours are not asked for",
        f"{OUTBOX}policy.py",
        "if not hours.is_open(now, message.time_zone):",
        "if False:",
        (f"{DISPATCH}test_a_follow_up_keeps_quiet_at_night_and_costs_no_attempt",),
    ),
    Bug(
        "the hours are those of Greenwich",
        f"{OUTBOX}hours.py",
        "OPENS <= moment.astimezone(ZoneInfo(zone)).time() < CLOSES",
        "OPENS <= moment.astimezone(UTC).time() < CLOSES",
        (
            "tests/proofs/test_year.py::test_every_day_of_five_years_has_its_reminders_inside_their_hours[Pacific/Honolulu]",
        ),
    ),
    Bug(
        "a day later is 24 hours later",
        f"{OUTBOX}hours.py",
        "(local + timedelta(days=days)).astimezone(UTC)",
        "moment.astimezone(UTC) + timedelta(days=days)",
        ("tests/test_outbox_hours.py::test_the_hour_of_the_clock_stays_when_summer_time_begins",),
    ),
    Bug(
        "a follow-up in doubt is sent again",
        f"{OUTBOX}ledger.py",
        "if message.kind not in resend:",
        "if False:",
        (
            f"{DISPATCH}test_a_follow_up_in_doubt_is_never_sent_again",
            f"{STATES}test_a_follow_up_whose_worker_wakes_late_is_still_one_copy",
        ),
    ),
    Bug(
        "a doubt is not counted",
        f"{OUTBOX}ledger.py",
        "doubts=Message.doubts + 1,",
        "doubts=Message.doubts,",
        (f"{STATES}test_two_doubts_end_with_a_person",),
    ),
    Bug(
        "a doubt is a failure",
        f"{OUTBOX}ledger.py",
        "        MessageState.UNCERTAIN,\n        now,\n        since=(MessageState.SENDING,),",
        "        MessageState.FAILED,\n        now,\n        since=(MessageState.SENDING,),",
        (f"{DISPATCH}test_the_second_doubt_goes_to_staff",),
    ),
    Bug(
        "silence after the dot is tried again at once",
        f"{OUTBOX}replies.py",
        "return Verdict.UNCERTAIN if phase is Phase.DOT else Verdict.BACK_OFF",
        "return Verdict.BACK_OFF",
        (CELLS,),
    ),
    Bug(
        "suppression is not asked for again",
        f"{OUTBOX}policy.py",
        "if stops.is_suppressed(session, message.cap_hash, message.kind):",
        "if False:",
        (RULES,),
    ),
    Bug(
        "a stop leaves what is claimed",
        f"{OUTBOX}stops.py",
        "_STOPPABLE = tuple(state for state in MessageState if state.is_stoppable)",
        "_STOPPABLE = (MessageState.QUEUED,)",
        (f"{STATES}test_a_stop_turns_what_is_claimed_in_its_own_transaction",),
    ),
    Bug(
        "the back-off has no end",
        f"{OUTBOX}replies.py",
        "base = min(timedelta(hours=4), timedelta(minutes=1) * int(3 ** min(attempt - 1, 10)))",
        "base = timedelta(minutes=1) * int(3 ** min(attempt - 1, 10))",
        (f"{REPLIES}test_the_waits_grow_threefold_to_four_hours_and_are_spread",),
    ),
    Bug(
        "all retry at the same moment",
        f"{OUTBOX}replies.py",
        "base * random.uniform(0.8, 1.2)",
        "base * random.uniform(1.0, 1.0)",
        (f"{REPLIES}test_the_waits_grow_threefold_to_four_hours_and_are_spread",),
    ),
    Bug(
        "a wrong password fails the letter",
        f"{OUTBOX}replies.py",
        "if reply.phase in (Phase.CONNECT, Phase.AUTH, Phase.MAIL):",
        "if reply.phase in (Phase.CONNECT, Phase.MAIL):",
        (CELLS,),
    ),
    Bug(
        "a deferred recipient fails the letter",
        f"{OUTBOX}replies.py",
        "        return Verdict.MAILBOX_FULL\n    return Verdict.BACK_OFF",
        "        return Verdict.MAILBOX_FULL\n    return Verdict.FAILED",
        (CELLS,),
    ),
    Bug(
        "the relay's trouble counts as a try",
        f"{OUTBOX}outcomes.py",
        """        reason=verdict.value,
        due_at=now,
        attempts=Message.attempts - 1,
""",
        """        reason=verdict.value,
        due_at=now,
""",
        (f"{DISPATCH}test_a_dead_relay_is_not_hammered_and_costs_no_attempt",),
    ),
    Bug(
        "the lease after the intent is too short",
        f"{OUTBOX}claims.py",
        "SEND_LEASE = timedelta(seconds=645)",
        "SEND_LEASE = timedelta(seconds=120)",
        (RULES,),
    ),
    Bug(
        "who died after its intent is sent again",
        f"{OUTBOX}ledger.py",
        "before_dot = message.state is MessageState.CLAIMED",
        "before_dot = True",
        (f"{DISPATCH}test_what_a_dead_worker_held_after_the_intent_is_in_doubt",),
    ),
    Bug(
        "each try has a Message-ID of its own",
        f"{OUTBOX}render.py",
        "message_id=message.mail_id,",
        'message_id=message.mail_id.replace("<", f"<{message.fence}."),',
        (f"{DISPATCH}test_a_deferred_letter_comes_later_as_the_same_letter",),
    ),
    Bug(
        "each try has a Date of its own",
        f"{OUTBOX}claims.py",
        "mail_date=func.coalesce(_MESSAGE.c.mail_date, date),",
        "mail_date=date,",
        (f"{DISPATCH}test_a_deferred_letter_comes_later_as_the_same_letter",),
    ),
    Bug(
        "dots are not stuffed",
        f"{OUTBOX}relay.py",
        'stuffed = letter.replace(b"\\r\\n.", b"\\r\\n..")',
        "stuffed = letter",
        (RULES,),
    ),
    Bug(
        "a final state is released",
        f"{OUTBOX}ledger.py",
        '        since=(MessageState.HELD,),\n        reason="released"',
        '        since=tuple(MessageState),\n        reason="released"',
        (RULES,),
    ),
    Bug(
        "following the link stops the letters",
        "leadcapture/public/stop_page.py",
        'if request.method == "POST":\n        stop_letters',
        'if request.method in ("GET", "POST"):\n        stop_letters',
        ("tests/test_public_stop.py::test_following_any_link_of_a_letter_changes_no_row",),
    ),
    Bug(
        "one follow-up a day may be ten",
        f"{OUTBOX}caps.py",
        "FOLLOW_UPS = Cap(daily=1,",
        "FOLLOW_UPS = Cap(daily=10,",
        (f"{DISPATCH}test_one_address_gets_one_follow_up_a_day",),
    ),
    Bug(
        "an unconfirmed address gets all it is sent",
        f"{OUTBOX}caps.py",
        "UNCONFIRMED = Cap(daily=1, monthly=3)",
        "UNCONFIRMED = Cap(daily=1, monthly=300)",
        (f"{DISPATCH}test_an_unconfirmed_address_gets_three_mails_in_thirty_days",),
    ),
    Bug(
        "a reminder may come too late",
        f"{OUTBOX}policy.py",
        "if message.not_after is not None and now > message.not_after:",
        "if False:",
        (f"{DISPATCH}test_a_reminder_that_is_too_late_expires",),
    ),
    Bug(
        "reminders and packets stand in one row",
        "leadcapture/models/message.py",
        "return 1 if self is MessageKind.FOLLOW_UP else 0",
        "return 0",
        (f"{DISPATCH}test_a_new_packet_overtakes_reminders",),
    ),
    Bug(
        "STARTTLS verifies nothing",
        f"{OUTBOX}relay.py",
        "client.starttls(context=self._tls())",
        "client.starttls()",
        (f"{RELAY}test_without_a_line_that_proves_itself_nothing_is_said",),
    ),
    Bug(
        "follow-ups need no consent",
        f"{OUTBOX}policy.py",
        "if not _agreed_to_follow_ups(session, lead.id):",
        "if False:",
        (RULES,),
    ),
    Bug(
        "a form posted twice is two requests",
        "leadcapture/intake/receive.py",
        '"token": submission.token,',
        '"token": new_ref(),',
        (f"{RECEIVE}test_the_same_submission_is_the_same_whatever_else_it_says",),
    ),
    Bug(
        "links are signed with a key that all know",
        f"{OUTBOX}links.py",
        "tag = hmac.digest(secret,",
        'tag = hmac.digest(b"leadcapture",',
        (RULES,),
    ),
    Bug(
        "a link of one purpose opens another",
        f"{OUTBOX}links.py",
        'f"link\\0{purpose}\\0{subject}"',
        'f"link\\0{subject}"',
        (f"{RECEIVE}test_forged_links_open_nothing",),
    ),
    Bug(
        "the bucket is never empty",
        f"{OUTBOX}pace.py",
        "    if bucket is None or debt > bucket.may_owe(is_awaited):\n        return False\n",
        "",
        (f"{PACE}test_no_minute_sees_more_than_its_share",),
    ),
    Bug(
        "changes of state leave no trace",
        "migrations/versions/0004_add_audit.py",
        "    for statement in SQLITE_TRIGGERS if sqlite else POSTGRES_TRIGGERS:",
        "    for statement in ():",
        (f"{AUDIT}TestRowForEachChange",),
    ),
    Bug(
        "a pause is not asked for at the intent",
        f"{OUTBOX}dispatch.py",
        "refusal = _stopped(session, now) or policy.refusal(session, message, now)",
        "refusal = policy.refusal(session, message, now)",
        (f"{GATES}test_a_pause_between_claim_and_intent_keeps_the_letter",),
    ),
    Bug(
        "the intent does not look at the pause",
        f"{OUTBOX}claims.py",
        "            ~held.exists(),\n",
        "",
        (f"{GATES}test_a_pause_between_claim_and_intent_keeps_the_letter",),
    ),
    Bug(
        "a token lasts as long as the claim",
        f"{OUTBOX}claims.py",
        "            _MESSAGE.c.state_at >= claimed_since,\n",
        "",
        (f"{PACE}test_letters_in_flight_count_in_the_minute_in_which_they_leave",),
    ),
    Bug(
        "what was at the dot is written anew",
        f"{OUTBOX}render.py",
        'if "first_copy" in payload:',
        'if "second_copy" in payload:',
        (f"{DISPATCH}test_a_letter_that_was_at_the_dot_stays_itself_through_an_upgrade",),
    ),
    Bug(
        "the claim after an outcome does not look at the gates",
        f"{OUTBOX}claims.py",
        "    return claim.where(~select(_GATE.c.name).exists())\n",
        "    return claim\n",
        (f"{GATES}test_an_outcome_is_written_and_the_next_is_claimed_where_no_gate_stands",),
    ),
    Bug(
        "the intent does not look at the suppressions",
        f"{OUTBOX}claims.py",
        "            or_(_MESSAGE.c.kind == MessageKind.STAFF_ALERT, ~stopped),\n",
        "",
        (RULES,),
    ),
    Bug(
        "an older claim's intent counts",
        f"{OUTBOX}claims.py",
        '_MESSAGE.c.fence == bindparam("of_fence", type_=Integer),',
        '_MESSAGE.c.fence >= bindparam("of_fence", type_=Integer),',
        (f"{DISPATCH}test_a_worker_that_was_thought_dead_changes_nothing_when_it_wakes",),
    ),
    Bug(
        "an intent after its lease counts",
        f"{OUTBOX}claims.py",
        "            _MESSAGE.c.lease_until > now,\n",
        "",
        (f"{GATES}test_an_intent_after_the_claims_own_deadline_is_refused",),
    ),
    Bug(
        "a refusal in one breath is not heard",
        f"{OUTBOX}relay.py",
        "                refused = refused or first\n",
        "                refused = None if first else refused\n",
        (f"{RELAY}test_in_one_breath_every_refusal_is_the_one_that_it_is",),
    ),
    Bug(
        "an unsubscribe stops what was asked for",
        f"{OUTBOX}stops.py",
        "    concerned = Message.kind == MessageKind.FOLLOW_UP\n",
        "    concerned = Message.kind != MessageKind.STAFF_ALERT\n",
        (RULES,),
    ),
    Bug(
        "nonsense after the dot is no doubt",
        f"{OUTBOX}replies.py",
        "    if reply.phase is Phase.DOT and (kind != 5 or reply.is_about_the_talk):",
        "    if False:",
        (f"{DISPATCH}test_an_answer_to_the_dot_that_says_nothing_of_the_letter_is_a_doubt",),
    ),
    Bug(
        "every worker tries a relay that was down",
        f"{OUTBOX}dispatch.py",
        "        if self._relay_was_down:\n            self._probe",
        "        if False:\n            self._probe",
        (f"{GATES}test_several_schedulers_try_a_dead_relay_as_often_as_one",),
    ),
    Bug(
        "two count the letters of one address at once",
        f"{OUTBOX}dispatch.py",
        "                caps.take_turn(session, message.cap_hash)\n",
        "                pass\n",
        (f"{GATES}test_two_follow_ups_at_once_to_one_address_are_counted_one_after_the_other",),
        unseen_on="sqlite",
    ),
)
