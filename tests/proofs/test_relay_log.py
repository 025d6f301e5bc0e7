"""The short form of the proof that a real Postfix settles doubts: one worker in this process."""

import dataclasses
from datetime import timedelta

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from leadcapture.models import Message, MessageKind, MessageState
from leadcapture.outbox import ledger
from leadcapture.outbox.dispatch import Dispatcher
from leadcapture.outbox.relay import RelaySession
from leadcapture.outbox.relay_log import RelayLog
from leadcapture.scheduler import RESENT
from leadcapture.settings import Settings
from leadcapture.vault import Vault
from tests.clock import Clock
from tests.people import LETTER_VALUES, a_message
from tests.post_office import PostOffice
from tests.postfix import open_postfix
from tests.proofs.dot_proxy import Fate, open_dot_proxy
from tests.waiting import until

FATES = (Fate.ANSWER_LOST, Fate.ENDED, Fate.RESET, Fate.PASS, Fate.DOT_LOST)


def test_what_postfix_took_is_settled_and_what_it_never_got_is_sent_again(
    engine: Engine,
    session: Session,
    settings: Settings,
    vault: Vault,
    clock: Clock,
    office: PostOffice,
) -> None:
    """MD-25; forty doubts and more: ``python -m tests.proofs --only relay_log``."""
    for _ in FATES:
        a_message(session, kind=MessageKind.PACKET, values=LETTER_VALUES)
    session.commit()
    with open_postfix(office.port) as postfix, open_dot_proxy(postfix.port) as proxy:
        proxy.deal(FATES)
        relay = dataclasses.replace(settings.relay, port=proxy.port)
        dispatcher = Dispatcher(engine, settings, vault, RelaySession(relay, "localhost"), clock)
        log = RelayLog(postfix.log, "clinic.example")
        dispatcher.send_due()
        assert states(session) == [MessageState.SENT, *[MessageState.UNCERTAIN] * 4]
        settled = 0

        def are_three_settled() -> bool:
            nonlocal settled
            settled += log.settle_by_relay_log(session, clock.now)
            session.commit()
            return settled >= 3

        until(are_three_settled, within=20, what="the log")
        clock.now += timedelta(minutes=31)
        assert log.settle_by_relay_log(session, clock.now) == 0
        ledger.resolve_doubts(session, clock.now, RESENT)
        session.commit()
        dispatcher.send_due()
        until(lambda: len(office.letters) >= len(FATES), within=20, what="what Postfix took")
        dispatcher.close()
        log.close()
    assert states(session) == [MessageState.SENT] * 5
    assert len({letter.message_id for letter in office.letters}) == len(office.letters) == 5


def states(session: Session) -> list[MessageState]:
    """The states of all messages, sorted by name."""
    session.rollback()
    return sorted(session.scalars(select(Message.state)).all())
