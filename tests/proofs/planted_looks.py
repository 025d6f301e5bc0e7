"""More bugs that are planted on purpose: in what looks at the disk and at the relay's log, and
in what only PostgreSQL is asked.
"""

from tests.proofs.planted_bugs import Bug

PAGES, LOG = "tests/test_integrity.py::", "tests/test_relay_log.py::"

CLAIMS = "leadcapture/outbox/claims.py"
SERVERS = (
    "tests/test_outbox_claims.py::test_a_letter_whose_instants_are_the_servers_goes_the_same_way",
)

LOOKS = (
    Bug(
        "the look at the pages opens no long value",
        "leadcapture/integrity.py",
        "SELECT count(md5(t::text)) FROM {table} t",
        "SELECT count(*) FROM {table} t",
        (f"{PAGES}test_a_flipped_page_of_a_server_is_found",),
    ),
    Bug(
        "damage that a question meets waits for the next look",
        "leadcapture/integrity.py",
        '    event.listen(engine, "handle_error", look)\n',
        "",
        (f"{PAGES}test_what_a_question_meets_is_remembered_at_once",),
    ),
    Bug(
        "a log that was moved is left at once",
        "leadcapture/outbox/relay_log.py",
        "        if not self._was_moved:\n",
        "        if self._was_moved is None:\n",
        (f"{LOG}test_what_is_still_written_to_the_old_file_is_read",),
    ),
    Bug(
        "a start forgets the log before",
        "leadcapture/outbox/relay_log.py",
        "            if missing > 0 and (before",
        "            if missing < 0 and (before",
        (f"{LOG}test_a_start_right_after_a_rotation_looks_back",),
    ),
    Bug(
        "the Message-ID alone settles a doubt",
        "leadcapture/outbox/relay_log.py",
        "elif queue_id in self._coming and (_QUEUED.match(said) or _STATUS.search(said)):",
        "elif queue_id in self._coming:",
        (f"{LOG}test_of_a_hundred_doubts_those_that_the_log_shows_are_settled",),
    ),
    Bug(
        "a letter under way has a claim's lease by the server's clock",
        CLAIMS,
        "        lease = now + literal(SEND_LEASE, Interval)\n",
        "        lease = now + literal(CLAIM_LEASE, Interval)\n",
        SERVERS,
        unseen_on="sqlite",
    ),
    Bug(
        "the server claims what is not due yet",
        CLAIMS,
        "_due(is_first_try, passes_over, CANDIDATES, now)",
        "_due(is_first_try, passes_over, CANDIDATES, now + literal(10 * SEND_LEASE, Interval))",
        SERVERS,
        unseen_on="sqlite",
    ),
    Bug(
        "an outcome and the next claim forget the attempt",
        CLAIMS,
        'add_cte(_sent_and_noted(by_server).cte("noted"))',
        'add_cte(_sent(by_server).returning(_MESSAGE.c.id).cte("noted"))',
        SERVERS,
        unseen_on="sqlite",
    ),
)
