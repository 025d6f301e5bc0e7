"""What a submission becomes, all of it or nothing, on both databases."""

import dataclasses
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, func, select
from sqlalchemy.orm import Session

from leadcapture.database import Base, open_session
from leadcapture.intake import packets
from leadcapture.intake.consent_texts import current_text
from leadcapture.intake.receive import discard, receive, release
from leadcapture.intake.submission import Submission
from leadcapture.leads import contact
from leadcapture.models import (
    Consent,
    ConsentKind,
    Lead,
    LeadStatus,
    Message,
    MessageKind,
    MessageState,
    Request,
    Screening,
    SuppressionScope,
    TimelineEntry,
)
from leadcapture.outbox import links, stops
from leadcapture.settings import Settings
from leadcapture.vault import Vault
from tests.clock import Clock
from tests.people import EMAIL, MESSAGE, NAME, PHONE, PHONE_TYPED, ZONE
from tests.post_office import PostOffice

Receive = Callable[..., str]


def a_submission(**changes: Any) -> Submission:
    language = changes.get("language", "en")
    kinds = changes.pop("kinds", (ConsentKind.HEALTH, ConsentKind.FOLLOW_UPS))
    facts: dict[str, Any] = {
        "token": "token-1",
        "full_name": NAME,
        "email": EMAIL,
        "email_typed": EMAIL,
        "conditions": ("osteoarthritis",),
        "consents": tuple(current_text(kind, language).given() for kind in kinds),
        "language": language,
        "time_zone": ZONE,
        "message": MESSAGE,
        "phone": PHONE,
        "phone_typed": PHONE_TYPED,
        "country": "US",
    } | changes
    return Submission(**facts)


@pytest.fixture
def accept(session: Session, vault: Vault, settings: Settings, clock: Clock) -> Receive:
    """Receive a submission and commit; its receipt."""

    def accept(**changes: Any) -> str:
        received = receive(session, vault, settings, a_submission(**changes), clock.now)
        session.commit()
        session.expire_all()
        return received.receipt

    return accept


def counts(session: Session) -> dict[str, int]:
    return {
        name: session.scalar(select(func.count()).select_from(table)) or 0
        for name, table in Base.metadata.tables.items()
    }


def a_staff_id(session: Session, clock: Clock) -> int:
    from leadcapture.models import Staff

    staff = Staff(email="rosa@clinic.example", name="Rosa", fs_uniquifier="u", created_at=clock.now)
    session.add(staff)
    session.flush()
    return staff.id


def test_a_request_brings_all_that_belongs_to_it(session: Session, accept: Receive) -> None:
    receipt = accept()
    after = counts(session)
    wanted = {"lead": 1, "request": 1, "consent": 2, "message": 5, "timeline_entry": 1}
    assert {name: after[name] for name in wanted} == wanted
    kinds = sorted(session.scalars(select(Message.kind)))
    assert kinds == ["follow_up", "follow_up", "follow_up", "packet", "staff_alert"]
    keys = set(session.scalars(select(Message.dedupe_key)))
    assert {f"packet:{receipt}", f"alert:request:{receipt}"} < keys
    lead = session.scalars(select(Lead)).one()
    assert (lead.status, lead.waiting_since) == (LeadStatus.NEW, lead.created_at)


def test_health_answers_rest_sealed(session: Session, accept: Receive, vault: Vault) -> None:
    """PR-01, PR-07: neither the message nor the condition nor the packet's choice is readable."""
    receipt = accept()
    request = session.scalars(select(Request)).one()
    assert "zebrafinch" in vault.open("request", "answers", receipt, request.answers)
    for table in Base.metadata.tables.values():
        if table.name in ("letter_version", "alembic_version"):
            continue
        for row in session.execute(select(table)):
            assert "zebrafinch" not in str(row)
            assert "osteoarthritis" not in str(row)


def test_refusing_follow_ups_still_gets_the_packet(session: Session, accept: Receive) -> None:
    """PR-03."""
    accept(kinds=(ConsentKind.HEALTH,))
    kinds = set(session.scalars(select(Message.kind)))
    assert kinds == {MessageKind.PACKET, MessageKind.STAFF_ALERT}
    assert session.scalars(select(Consent.kind)).all() == [ConsentKind.HEALTH]


def test_each_consent_keeps_its_words_and_their_hash(session: Session, accept: Receive) -> None:
    """PR-03."""
    accept(language="es")
    for consent in session.scalars(select(Consent)):
        text = current_text(consent.kind, "es")
        assert (consent.text_version, consent.text_sha256) == (text.version, text.sha256)
        assert consent.language == "es"


def test_twenty_posts_of_one_token_are_one_request(
    engine: Engine, session: Session, vault: Vault, settings: Settings, clock: Clock
) -> None:
    """DD-03: 20 parallel posts of one token → 1 lead, 1 packet, 20 equal receipts."""
    start = threading.Barrier(20)

    def post(_: int) -> str:
        start.wait()
        with open_session(engine) as own:
            receipt = receive(own, vault, settings, a_submission(), clock.now).receipt
            own.commit()
            return receipt

    with ThreadPoolExecutor(20) as pool:
        receipts = list(pool.map(post, range(20)))
    assert len(set(receipts)) == 1
    after = counts(session)
    assert (after["lead"], after["request"], after["message"]) == (1, 1, 5)


def test_two_tokens_at_once_for_one_address_make_one_lead_and_one_packet(
    engine: Engine, session: Session, vault: Vault, settings: Settings, clock: Clock
) -> None:
    """AB-01: also where the spellings differ in case and +tag."""
    spellings = [EMAIL, EMAIL.upper(), EMAIL.replace("@", "+a@"), EMAIL.replace("@", "+b@")] * 3
    start = threading.Barrier(len(spellings))

    def post(number: int) -> None:
        submission = a_submission(token=f"token-{number}", email=spellings[number])
        start.wait()
        with open_session(engine) as own:
            receive(own, vault, settings, submission, clock.now)
            own.commit()

    with ThreadPoolExecutor(len(spellings)) as pool:
        list(pool.map(post, range(len(spellings))))
    packets_queued = session.scalar(select(func.count()).where(Message.kind == MessageKind.PACKET))
    assert packets_queued == 1
    assert counts(session)["request"] == len(spellings)
    assert session.scalars(select(Request.packet_note).where(Request.packet_note != "")).all() == [
        "sent_today"
    ] * (len(spellings) - 1)


def test_an_unconfirmed_address_gets_three_packets_in_thirty_days(
    session: Session, accept: Receive, clock: Clock, send_due: Callable[[], int]
) -> None:
    """AB-01."""
    for day in range(30):
        for hour in range(2):
            accept(token=f"token-{day}-{hour}", kinds=(ConsentKind.HEALTH,))
        send_due()
        clock.advance(timedelta(days=1))
    count = session.scalar(select(func.count()).where(Message.kind == MessageKind.PACKET))
    assert count == 3
    assert counts(session)["request"] == 60


def test_packets_that_wait_for_the_relay_do_not_leave_together(
    session: Session,
    accept: Receive,
    clock: Clock,
    send_due: Callable[[], int],
    office: PostOffice,
) -> None:
    """AB-01: whoever asks each day while it is down has asked for the one that waits."""
    office.stop()
    for day in range(3):
        accept(token=f"token-{day}", kinds=(ConsentKind.HEALTH,))
        send_due()
        clock.advance(timedelta(days=1))
    office.restart()
    clock.advance(timedelta(hours=4))
    send_due()
    assert len(office.letters_to(EMAIL)) == 1
    notes = session.scalars(select(Request.packet_note).order_by(Request.id)).all()
    assert notes == ["", "sent_today", "sent_today"]


def test_a_packet_counts_from_when_it_left(
    session: Session, accept: Receive, clock: Clock, send_due: Callable[[], int], office: PostOffice
) -> None:
    """AB-01: queued 25 hours ago it is yesterday's; it left five hours later."""
    office.stop()
    accept(kinds=(ConsentKind.HEALTH,))
    send_due()
    office.restart()
    clock.advance(timedelta(hours=5))
    assert send_due() == 2, "the packet, and the alert to staff"
    clock.advance(timedelta(hours=20))
    accept(token="token-2", kinds=(ConsentKind.HEALTH,))
    notes = session.scalars(select(Request.packet_note).order_by(Request.id)).all()
    assert notes == ["", "sent_today"]


def test_a_second_request_edits_nothing_of_the_first(
    session: Session, accept: Receive, clock: Clock
) -> None:
    """AB-08: only the clocks move; what the person is called and where they live stays."""
    accept()
    # The version tells open pages that something is new.
    clocks = {"last_request_at", "waiting_since", "version"}

    def facts() -> dict[str, Any]:
        row = session.execute(select(Lead.__table__)).mappings().one()
        return {name: value for name, value in row.items() if name not in clocks}

    before = facts()
    clock.advance(timedelta(hours=3))
    accept(
        token="token-2",
        full_name="Somebody Else",
        phone="+15005550000",
        phone_typed="x",
        country="CR",
        time_zone="America/Costa_Rica",
        language="es",
        message="other",
    )
    assert facts() == before
    assert len(session.scalars(select(Request)).all()) == 2


def test_a_closed_lead_is_reopened_by_a_new_request(
    session: Session, accept: Receive, clock: Clock
) -> None:
    accept()
    lead = session.scalars(select(Lead)).one()
    lead.status, lead.closed_reason, lead.waiting_since = LeadStatus.CLOSED, "cost", None
    session.commit()
    clock.advance(timedelta(days=40))
    accept(token="token-2")
    assert (lead.status, lead.closed_reason) == (LeadStatus.NEW, "")
    assert lead.waiting_since == clock.now


def test_whoever_is_still_being_written_to_is_not_written_to_twice(
    session: Session, accept: Receive, clock: Clock
) -> None:
    accept()
    clock.advance(timedelta(days=2))
    accept(token="token-2")
    follow_ups = select(func.count()).where(Message.kind == MessageKind.FOLLOW_UP)
    assert session.scalar(follow_ups) == 3


def test_nothing_is_written_where_any_statement_fails(
    engine: Engine, session: Session, vault: Vault, settings: Settings, clock: Clock
) -> None:
    """DD-04: failing each statement of a submission in turn leaves 0 rows in 0 tables."""
    before = counts(session)
    session.commit()
    failing, reached = 1, 0

    def fail(*_: Any) -> None:
        nonlocal reached
        reached += 1
        if reached == failing:
            raise RuntimeError("planted")

    event.listen(engine, "before_cursor_execute", fail)
    try:
        while True:
            reached = 0
            with open_session(engine) as own:
                try:
                    receive(own, vault, settings, a_submission(), clock.now)
                except RuntimeError:
                    own.rollback()
                else:
                    own.rollback()
                    break
            failing += 1
    finally:
        event.remove(engine, "before_cursor_execute", fail)
    assert failing > 5, "every statement had its turn"
    assert counts(session) == before


def test_a_suspected_request_is_kept_and_waits_for_staff(
    session: Session,
    accept: Receive,
    vault: Vault,
    settings: Settings,
    clock: Clock,
    send_due: Callable[[], int],
    office: PostOffice,
) -> None:
    """AB-05: kept with its reason, never dropped; released, its packet goes out."""
    accept(held_reason="honeypot")
    request = session.scalars(select(Request)).one()
    assert (request.screening, request.held_reason) == (Screening.HELD, "honeypot")
    assert request.lead.status is LeadStatus.HELD
    send_due()
    assert [letter.recipients[0] for letter in office.letters] == [settings.staff_alerts_to]
    assert release(session, vault, settings, request, a_staff_id(session, clock), clock.now)
    assert not release(session, vault, settings, request, 1, clock.now), "decided once"
    send_due()
    assert len(office.letters_to(EMAIL)) == 1
    assert session.scalars(select(Lead.status)).all() == [LeadStatus.NEW]


def test_a_discarded_request_mails_nobody_and_stays_on_file(
    session: Session,
    accept: Receive,
    clock: Clock,
    send_due: Callable[[], int],
    office: PostOffice,
) -> None:
    accept(held_reason="honeypot")
    request = session.scalars(select(Request)).one()
    assert discard(session, request, a_staff_id(session, clock), clock.now)
    send_due()
    assert office.letters_to(EMAIL) == []
    assert (request.lead.status, request.lead.closed_reason) == (LeadStatus.CLOSED, "not_a_person")


def test_a_flood_of_suspected_requests_alerts_staff_once_an_hour(
    session: Session, accept: Receive
) -> None:
    for number in range(30):
        accept(token=f"t{number}", email=f"robot{number}@example.com", held_reason="too_fast")
    assert session.scalars(select(Message.kind)).all() == [MessageKind.STAFF_ALERT]


def test_a_held_request_of_a_known_person_changes_nothing_of_them(
    session: Session, accept: Receive, clock: Clock
) -> None:
    accept()
    before = session.execute(select(Lead.__table__)).mappings().one()
    clock.advance(timedelta(hours=1))
    accept(token="token-2", held_reason="honeypot")
    assert session.execute(select(Lead.__table__)).mappings().one() == before


def test_a_suppressed_address_gets_no_packet_and_the_reason_is_on_record(
    session: Session, accept: Receive, vault: Vault, clock: Clock
) -> None:
    """I2: every accepted request has one packet message or a recorded reason why not."""
    from leadcapture.intake.addresses import cap_key

    cap_hash = vault.keyed_hash("address", cap_key(EMAIL))
    stops.suppress(session, cap_hash, SuppressionScope.ALL, "no_such_address", clock.now)
    accept()
    assert session.scalars(select(Request)).one().packet_note == "suppressed"
    assert MessageKind.PACKET not in session.scalars(select(Message.kind)).all()


def test_a_logged_call_cancels_the_follow_ups(
    session: Session, accept: Receive, vault: Vault, clock: Clock
) -> None:
    accept()
    lead = session.scalars(select(Lead)).one()
    actor = a_staff_id(session, clock)
    contact.log_call(session, vault, lead, actor, clock.now, contact.CallOutcome.REACHED)
    session.commit()
    states = session.scalars(
        select(Message.state).where(Message.kind == MessageKind.FOLLOW_UP)
    ).all()
    assert states == [MessageState.CANCELLED] * 3
    assert lead.waiting_since is None


def test_the_alert_to_staff_names_neither_person_nor_condition(
    accept: Receive, send_due: Callable[[], int], office: PostOffice, settings: Settings
) -> None:
    accept()
    send_due()
    [alert] = office.letters_to(settings.staff_alerts_to)
    content = alert.content.decode().lower() + alert.text.lower()
    for word in ("janet", "whitfield", "osteoarthritis", "zebrafinch", "arthr"):
        assert word not in content


def test_packet_link_expires_and_is_issued_again_to_the_leads_own_address(
    session: Session,
    accept: Receive,
    vault: Vault,
    settings: Settings,
    clock: Clock,
    send_due: Callable[[], int],
    office: PostOffice,
) -> None:
    """PR-12."""
    accept()
    send_due()
    message = session.scalars(select(Message).where(Message.kind == MessageKind.PACKET)).one()
    token = links.sign(settings.hash_key, "packet", message.ref)
    opened = packets.open_packet(session, vault, settings, token, clock.now)
    assert (opened.state, len(opened.documents)) == ("open", 1)
    clock.advance(timedelta(days=31))
    assert packets.open_packet(session, vault, settings, token, clock.now).state == "expired"
    assert packets.issue_again(session, vault, settings, token, clock.now)
    session.commit()
    assert not packets.issue_again(session, vault, settings, token, clock.now), "once a day"
    send_due()
    assert len(office.letters_to(EMAIL)) == 2
    assert "/packet/" in office.letters_to(EMAIL)[-1].text


@pytest.mark.parametrize("purpose", ["stop", "packet"])
def test_forged_links_open_nothing(
    session: Session, accept: Receive, vault: Vault, settings: Settings, clock: Clock, purpose: str
) -> None:
    """AB-07: another purpose's token, an altered one, a cut one."""
    accept()
    message = session.scalars(select(Message).where(Message.kind == MessageKind.PACKET)).one()
    good = links.sign(settings.hash_key, purpose, message.ref)
    wrong = [good[:-1], good + "A", good.replace(message.ref, "x" * 22), "", ".", "é." + good]
    if purpose == "stop":
        wrong.append(good)
    for token in wrong:
        opened = packets.open_packet(session, vault, settings, token, clock.now)
        assert opened.state == "unknown"
        assert not packets.issue_again(session, vault, settings, token, clock.now)


def test_a_reader_who_presses_a_button_confirms_the_address_once(
    session: Session, accept: Receive, clock: Clock
) -> None:
    accept()
    letter = session.scalars(select(Message).where(Message.kind == MessageKind.PACKET)).one()
    for _ in range(3):
        packets.confirm_address(session, letter.ref, clock.now)
        clock.advance(timedelta(hours=1))
    session.commit()
    kinds = session.scalars(select(TimelineEntry.kind)).all()
    assert kinds.count("address_confirmed") == 1


def test_the_same_submission_is_the_same_whatever_else_it_says(
    session: Session, accept: Receive, vault: Vault, settings: Settings, clock: Clock
) -> None:
    """DD-03: the token decides, not the words."""
    first = accept()
    again = dataclasses.replace(a_submission(), full_name="Other", email="other@example.com")
    received = receive(session, vault, settings, again, clock.now)
    assert (received.receipt, received.is_repeat) == (first, True)
    assert counts(session)["lead"] == 1


def test_the_follow_ups_of_a_real_request_leave_with_a_link_to_its_packet(
    session: Session,
    accept: Receive,
    vault: Vault,
    settings: Settings,
    clock: Clock,
    send_due: Callable[[], int],
    office: PostOffice,
) -> None:
    """I3: whoever queues a letter gives it all its values, or it is held for ever."""
    accept()
    send_due()
    clock.advance(timedelta(days=3))
    send_due()
    letters = office.letters_to(EMAIL)
    assert len(letters) == 2
    [token] = {word.rpartition("/")[2] for word in letters[1].text.split() if "/packet/" in word}
    assert packets.open_packet(session, vault, settings, token, clock.now).state == "open"


def test_who_has_not_confirmed_gets_three_letters_a_month_of_whatever_kind(
    session: Session,
    accept: Receive,
    clock: Clock,
    send_due: Callable[[], int],
    office: PostOffice,
) -> None:
    """AB-01: a packet and two follow-ups are three, and a follow-up today is today's letter."""
    accept()
    for _ in range(10):
        send_due()
        clock.advance(timedelta(days=1))
    send_due()
    assert len(office.letters_to(EMAIL)) == 3
    accept(token="token-2")
    send_due()
    assert len(office.letters_to(EMAIL)) == 3
    notes = session.scalars(select(Request.packet_note).order_by(Request.id)).all()
    assert notes == ["", "sent_today"]
