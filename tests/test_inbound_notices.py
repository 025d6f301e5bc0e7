"""Missed calls and chats by mail: read honestly, kept whole, one alert, and no mail to anybody."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from leadcapture.intake.inbound.authentication import confirms
from leadcapture.intake.inbound.mail import read_mail
from leadcapture.intake.inbound.notices import read_notice
from leadcapture.intake.inbound.reading import read_mailbox
from leadcapture.intake.inbound.taking import take_in
from leadcapture.models import (
    InboundKind,
    InboundMail,
    Lead,
    LeadStatus,
    Message,
    MessageKind,
    NoticeKind,
    NoticeSender,
    Request,
    Screening,
    SettingChange,
    Task,
    TimelineEntry,
)
from leadcapture.outbox.queue import new_ref
from leadcapture.settings import Imap, Settings
from leadcapture.vault import Vault
from tests.clock import Clock
from tests.conftest import SignIn
from tests.dovecot import open_dovecot
from tests.notices import CALL_SAMPLES, CALLS, CHAT_SAMPLES, CHATS, Sample, notice
from tests.people import PHONE, a_lead, a_request

Take = Callable[[bytes], InboundMail]
OWN = frozenset({"+18582585090", "hello@clinic.example", "@chatservice.example"})
SETTINGS = "/desk/settings/services"


def a_sender(session: Session, address: str = CALLS, kind: NoticeKind = NoticeKind.CALL) -> None:
    name = "The telephone" if kind is NoticeKind.CALL else "The chat"
    session.add(NoticeSender(ref=new_ref(), name=name, address=address, kind=kind, language="en"))
    session.commit()


@pytest.fixture
def take(session: Session, vault: Vault, settings: Settings, clock: Clock) -> Take:
    def take_one(content: bytes) -> InboundMail:
        session.commit()
        now = clock.advance(timedelta(seconds=30))
        came = now - timedelta(seconds=20)
        record, _ = take_in(session, vault, settings, content, read_mail(content), came, now)
        session.commit()
        session.expire_all()
        return record

    return take_one


@pytest.mark.parametrize("sample", [*CALL_SAMPLES, *CHAT_SAMPLES], ids=lambda one: one.name)
def test_what_is_certain_is_read_and_the_rest_left_out(sample: Sample) -> None:
    mail = read_mail(sample.content)
    found = read_notice(mail.subject, mail.body, OWN)
    assert (found.phone, found.full_name, found.email) == (
        sample.phone,
        sample.full_name,
        sample.email,
    )
    assert sample.words in mail.body


@given(subject=st.text(max_size=80), body=st.text(max_size=600))
def test_no_text_breaks_the_reading(subject: str, body: str) -> None:
    found = read_notice(subject, body, OWN)
    assert found.phone is None or found.phone.startswith("+")


def test_a_missed_call_becomes_a_lead_who_waits(
    session: Session, vault: Vault, take: Take, clock: Clock, sign_in: SignIn
) -> None:
    """Its words are sealed, its clock runs since the call, staff get one alert, nobody else any."""
    a_sender(session)
    record = take(CALL_SAMPLES[2].content)
    lead = session.scalars(select(Lead)).one()
    request = session.scalars(select(Request)).one()
    assert (record.kind, record.lead_id) == (InboundKind.NOTICE, lead.id)
    assert (lead.full_name, lead.phone, lead.email) == ("John Smith", "+13055550100", "")
    assert lead.waiting_since == clock.now - timedelta(seconds=20)
    assert (request.channel, request.packet_note) == ("missed_call", "no_address")
    assert b"quillwort" not in request.answers
    opened = vault.open("request", "answers", request.receipt, request.answers)
    assert "quillwort" in json.loads(opened)["message"]
    assert session.scalars(select(Message.kind)).all() == [MessageKind.STAFF_ALERT]
    rosa = sign_in()
    assert "John Smith" in rosa.page("/desk/").main_text
    page = rosa.page(f"/desk/leads/{lead.ref}").main_text
    assert "Called, and nobody answered" in page and "Missed call" in page


def test_who_calls_again_within_the_hour_is_one_wait_and_later_one_lead(
    session: Session, take: Take, clock: Clock
) -> None:
    a_sender(session)
    first, second = CALL_SAMPLES[0], CALL_SAMPLES[2]
    take(first.content)
    take(second.content)
    again = select(TimelineEntry).where(TimelineEntry.kind == "called_again")
    assert session.scalars(again).one().note is not None
    assert session.scalar(select(func.count()).select_from(Request)) == 1
    alerts = select(func.count()).where(Message.kind == MessageKind.STAFF_ALERT)
    assert session.scalar(alerts) == 1
    clock.advance(timedelta(hours=2))
    take(CALL_SAMPLES[1].content)
    assert session.scalar(select(func.count()).select_from(Lead)) == 1
    assert session.scalar(select(func.count()).select_from(Request)) == 2
    take(CALL_SAMPLES[1].content)
    assert session.scalar(select(func.count()).select_from(Request)) == 2, "a copy of that mail"


def test_a_known_persons_telephone_only_suggests(session: Session, take: Take) -> None:
    """AB-08: a caller's number can be forged; but who asked a moment ago and calls is that one."""
    a_sender(session)
    janet = a_request(session, a_lead(session)).lead
    call = notice("Missed call", f"Caller: {PHONE}")
    assert take(call).lead_id == janet.id, "she asked within the hour and waits"
    janet.waiting_since = None
    record = take(notice("Missed call", f"Caller: {PHONE}\n"))
    assert record.lead_id not in (None, janet.id)
    session.refresh(janet)
    assert (janet.full_name, janet.waiting_since) == ("Janet Whitfield", None)


def test_a_chat_mails_nobody_before_a_colleague_has_decided(
    session: Session, take: Take, sign_in: SignIn, send_due: Callable[[], int]
) -> None:
    """MD-13, AB-01, AB-02: the address may be anyone's."""
    a_sender(session, CHATS, NoticeKind.CHAT)
    for sample in CHAT_SAMPLES[:3]:
        take(sample.content)
    leads = {lead.email: lead for lead in session.scalars(select(Lead))}
    assert set(leads) == {sample.email for sample in CHAT_SAMPLES[:3]}
    assert set(session.scalars(select(Message.recipient))) == {"desk@clinic.example"}
    assert send_due() == 3
    lead = leads["John.Smith@mail.example"]
    rosa = sign_in()
    page = rosa.page(f"/desk/leads/{lead.ref}")
    assert "The packet can go out when they have agreed to it." in page.main_text
    new = rosa.page(page.link("Add what is missing"))
    rosa.send(new, "/desk/requests", agreed="y", packet="y", then="spoken")
    packet = session.scalars(select(Message).where(Message.kind == MessageKind.PACKET)).one()
    assert packet.recipient == lead.email


def test_a_notice_of_an_unknown_shape_waits_for_a_persons_eyes(
    session: Session, take: Take, sign_in: SignIn
) -> None:
    """Never lost, never guessed at: held with all its words, and let in by a person."""
    a_sender(session)
    for sample in (one for one in CALL_SAMPLES if one.phone is None):
        take(sample.content)
    held = session.scalars(select(Request)).all()
    assert [request.screening for request in held] == [Screening.HELD] * 3
    assert {request.held_reason for request in held} == {"mail_unread"}
    rosa = sign_in()
    now = rosa.page("/desk/")
    assert "not in a way that says whom to call" in now.main_text
    rosa.send(now, f"/desk/requests/{held[0].receipt}/decision", decision="release")
    session.expire_all()
    lead = held[0].lead
    assert (lead.status, lead.full_name) == (LeadStatus.NEW, "The telephone")
    assert lead.waiting_since is not None
    assert session.scalar(select(Message.id).where(Message.kind == MessageKind.PACKET)) is None
    assert "Anonymous" in rosa.page(f"/desk/leads/{lead.ref}").main_text


def test_only_senders_that_staff_named_are_read_so(session: Session, take: Take) -> None:
    """A forger's mail stays what it was: automatic, or a stranger's."""
    a_sender(session, "@callservice.example")
    assert take(CALL_SAMPLES[0].content).kind is InboundKind.NOTICE
    for sender in ("notify@evil.example", "notify@callservice.example.evil.example"):
        forged = notice("Missed call from +1 305 555 0177", "From: (305) 555-0177", sender)
        assert take(forged).kind is InboundKind.AUTOMATIC
    assert session.scalar(select(func.count()).select_from(Lead)) == 1
    assert session.scalars(select(Task)).all() == []


OURS = "mx.clinic.example"
IMAP = Imap("imap.clinic.example", 993, "desk", "a password", authserv_id=OURS)
SIGNED = "dkim=pass header.d=callservice.example"
PASSED = f"{OURS}; {SIGNED}"


def with_results(content: bytes, *results: str) -> bytes:
    """The mail as servers hand it on, each having written its results above the rest."""
    lines = [f"Authentication-Results: {one}\r\n".encode() for one in results]
    return b"".join(lines) + content


@pytest.mark.parametrize(
    "results",
    [
        PASSED,
        f"{OURS} 1;\r\n\tdkim=pass (2048-bit key; secure) header.i=@callservice.example",
        f"{OURS.upper()}; spf=fail smtp.mailfrom=x@evil.example; dkim=fail header.d=evil.example;"
        ' DKIM/1 = Pass reason="a \\"good\\"; one" header.d=CallService.example header.b=Ab/c+d==',
        f"{OURS}; dmarc=pass (p=NONE (sp=NONE)) action=none header.from=callservice.example",
    ],
)
def test_our_mail_server_confirms_a_sender(results: str) -> None:
    mail = read_mail(with_results(CALL_SAMPLES[0].content, results, "evil.example; none"))
    assert confirms(mail.results, OURS, "callservice.example")
    assert confirms(mail.results, OURS, "mail.callservice.example") is ("dmarc" not in results)


FORGED = {
    "no results": (),
    "another server's": ("mx.evil.example; dmarc=pass header.from=callservice.example",),
    "ours below another's": ("mx.evil.example; none", PASSED),
    "ours found nothing": (f"{OURS}; none", PASSED),
    "a name that begins as ours": (PASSED.replace(OURS, f"{OURS}.evil.example"),),
    "our name in a comment": (PASSED.replace(OURS, f"({OURS};) mx.evil.example"),),
    "another version": (PASSED.replace(";", " 2;"),),
    "failed": (PASSED.replace("pass", "fail"),),
    "spf alone": (f"{OURS}; spf=pass smtp.mailfrom=notify@callservice.example",),
    "another's signature": (PASSED.replace("callservice", "evil"),),
    "a domain that ends as theirs": (PASSED.replace("callservice", "service"),),
    "a domain below theirs": (PASSED.replace("callservice", "evil.callservice"),),
    "a whole top level": (PASSED.replace("callservice.example", "example"),),
    "dmarc of another From": (f"{OURS}; dmarc=pass header.from=evil.example",),
    "in a comment": (f"{OURS}; x=y (; {SIGNED}; )",),
    "in a reason": (f'{OURS}; x=y reason="; {SIGNED}; "',),
    "a comment that never ends": (f"{PASSED} (",),
    "another method": (PASSED.replace("dkim", "x-dkim"),),
}


@pytest.mark.parametrize("settings_changes", [{"imap": IMAP}])
def test_a_forged_notice_is_kept_for_a_person_and_does_nothing_else(
    session: Session, vault: Vault, take: Take, sign_in: SignIn, settings_changes: dict[str, Any]
) -> None:
    """AB-07: it joins nobody's wait, gives one alert an hour, and keeps no true notice back."""
    a_sender(session)
    janet = a_request(session, a_lead(session)).lead
    call = notice("Missed call", f"Caller: {PHONE}, about quillwort")
    two_froms = b"From: notify@callservice.example\r\n" + with_results(call, PASSED)
    forged = [with_results(call + b"\r\n" * n, *some) for n, some in enumerate(FORGED.values())]
    for content in (*forged, two_froms, *(call + b" " * n for n in range(1, 50))):
        record = take(content)
        assert record.kind is InboundKind.UNPROVEN and record.lead_id != janet.id
    held = session.scalars(select(Request).where(Request.screening == Screening.HELD)).all()
    assert {request.held_reason for request in held} == {"sender_unproven"}
    assert len(held) == len(forged) + 1 + 49
    assert (
        session.scalars(select(TimelineEntry.id).where(TimelineEntry.note.is_not(None))).all() == []
    )
    opened = vault.open("request", "answers", held[0].receipt, held[0].answers)
    assert "quillwort" in json.loads(opened)["message"]
    assert session.scalars(select(Message.kind)).all() == [MessageKind.STAFF_ALERT]
    assert take(with_results(call, PASSED)).lead_id == janet.id
    true = take(with_results(CALL_SAMPLES[0].content, PASSED))
    assert (true.kind, session.get_one(Lead, true.lead_id).status) == (
        InboundKind.NOTICE,
        LeadStatus.NEW,
    )
    rosa = sign_in()
    now = rosa.page("/desk/")
    assert "our mail server does not confirm that it came from there" in now.main_text
    assert "Missed call · (813) 555-0142" in now.main_text
    newest = held[-1]
    rosa.send(now, f"/desk/requests/{newest.receipt}/decision", decision="release")
    session.expire_all()
    assert newest.lead.waiting_since is not None
    settings_page = sign_in("admin", name="Marta Solís").page(SETTINGS).main_text
    assert f"believed where our mail server, {OURS}, confirms who sent it" in settings_page


def test_a_flood_of_notices_is_held(session: Session, take: Take) -> None:
    """AB-06: whoever forges the service fills no queue; each is kept for a person to look at."""
    a_sender(session)
    for number in range(63):
        take(notice("Missed call", f"From: (305) 555-01{number:02}\n"))
    reasons = session.scalars(select(Request.held_reason).order_by(Request.id)).all()
    assert reasons[:50] == [""] * 50 and reasons[-1] == "rate"


def test_a_notice_leaves_a_real_mailbox_once_it_is_a_lead(
    engine: Engine, session: Session, settings: Settings, vault: Vault, clock: Clock
) -> None:
    """MD-11's order, for arrivals: our commit first."""
    a_sender(session)
    with open_dovecot() as dovecot:
        dovecot.deliver(CALL_SAMPLES[3].content)
        assert read_mailbox(engine, settings, vault, dovecot.imap, clock) == 1
        assert (dovecot.count(), dovecot.count("leadcapture.filed")) == (0, 1)
    assert session.scalars(select(Lead.phone)).one() == "+13055550100"


@pytest.mark.parametrize("settings_changes", [{"imap": replace(IMAP, authserv_id="")}])
def test_an_admin_says_which_services_there_are(
    session: Session, take: Take, sign_in: SignIn, settings_changes: dict[str, Any]
) -> None:
    """Added, refused where it would swallow patients' mail or our own, taken away, on record."""
    marta = sign_in("admin")
    a_lead(session)

    def add(**typed: Any) -> Any:
        usual = {"name": "Office line", "address": CALLS, "kind": "call", "language": "es"}
        return marta.send(marta.page(SETTINGS), SETTINGS, **(usual | typed))

    refused: tuple[dict[str, str], ...] = (
        {"address": "@gmail.com"},
        {"address": "hello@clinic.example"},
        {"address": "@clinic.example"},
        {"address": "janet.whitfield@tampamail.example"},
        {"address": "nonsense"},
        {"address": "@"},
        {"name": ""},
        {"kind": "pigeon"},
    )
    for typed in refused:
        answer = add(**typed)
        assert answer.status_code == 422, typed
        assert "Office line" in answer.text or "name" in typed
    assert add().status_code == 303
    assert add().status_code == 422, "twice"
    take(CALL_SAMPLES[0].content)
    assert session.scalars(select(Lead.language).order_by(Lead.id.desc())).first() == "es"
    page = marta.page(SETTINGS)
    assert CALLS in page.main_text
    assert "believed by their address alone" in page.main_text
    marta.send(page, "/removal")
    assert session.scalars(select(NoticeSender)).all() == []
    assert len(session.scalars(select(SettingChange)).all()) == 2
