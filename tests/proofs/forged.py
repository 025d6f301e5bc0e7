"""AB-07: forged unsubscribe, confirm, bounce and complaint tokens change nothing."""

import dataclasses
import random
import string
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from leadcapture.app import create_app
from leadcapture.database import open_session
from leadcapture.intake.inbound.mail import read_mail
from leadcapture.intake.inbound.taking import take_in
from leadcapture.models import (
    Consent,
    Lead,
    Message,
    MessageState,
    Request,
    Suppression,
    Task,
    TimelineEntry,
)
from leadcapture.outbox import envelope, links
from leadcapture.settings import Settings
from leadcapture.vault import Vault
from tests.both import Place
from tests.clock import TUESDAY_MORNING, Clock
from tests.configured import make_settings
from tests.incoming import BOUNCES, bounce, complaint
from tests.people import a_lead, a_message, a_request, test_vault
from tests.proofs.finding import Finding

# On each database; a hundred thousand on both.
TRIES, QUICK_TRIES = 50_000, 2_000
# One commit for so many mails: what is tried is the proof, not the disk.
AT_ONCE = 200
_SIGNS = string.ascii_letters + string.digits + "-_."


def forged(place: Place, quick: bool, seed: int) -> Finding:
    """Try forged tokens of every kind; no row but the mails' own records may differ after."""
    settings = make_settings(place.folder, place.url)
    settings = dataclasses.replace(settings, bounce_address=BOUNCES)
    tries = QUICK_TRIES if quick else TRIES
    with open_session(place.engine) as session:
        message, other = _two_letters(session)
        session.commit()
    before = _state(place.engine)
    forger = _Forger(random.Random(seed), settings, message, other)
    taken = _try_links(settings, forger, tries // 2)
    _try_mails(place.engine, settings, test_vault, forger, tries - tries // 2)
    faults = [] if taken == 0 else [f"{taken} forged links were taken for true ones"]
    if (after := _state(place.engine)) != before:
        faults.append(f"something changed: {before} became {after}")
    return Finding(f"{tries} forged tokens, {taken} believed", faults)


class _Forger:
    """Makes tokens that look right: a true one spoilt, one of another purpose, or noise."""

    def __init__(
        self, chance: random.Random, settings: Settings, message: Message, other: Message
    ) -> None:
        key = settings.hash_key
        self.chance, self.message = chance, message
        stop, stop_other = (links.sign(key, "stop", one.cap_hash) for one in (message, other))
        packet, packet_other = (links.sign(key, "packet", one.ref) for one in (message, other))
        marks = {
            purpose: envelope.sign(key, purpose, message.ref)
            for purpose in (envelope.SENDER, envelope.ENVID, envelope.COMPLAINT)
        }
        other_mark = envelope.sign(key, envelope.SENDER, other.ref)
        self.true: dict[str, list[str]] = {
            "stop": [stop, stop_other],
            "packet": [packet, packet_other],
            envelope.SENDER: [marks[envelope.SENDER], other_mark],
            envelope.ENVID: [marks[envelope.ENVID]],
            envelope.COMPLAINT: [marks[envelope.COMPLAINT]],
        }

    def token(self, purpose: str) -> str:
        """A token that is not one for this purpose."""
        others = [one for name, tokens in self.true.items() if name != purpose for one in tokens]
        own = self.true[purpose]
        makes: list[Callable[[], str]] = [
            lambda: self._spoilt(own[0]),
            lambda: self._spoilt(own[0]),
            lambda: self._grafted(own),
            lambda: self.chance.choice(others),
            lambda: own[0][: self.chance.randrange(1, len(own[0]))],
            lambda: own[0] + self.chance.choice(_SIGNS),
            lambda: "".join(self.chance.choices(_SIGNS, k=self.chance.randrange(1, 90))),
        ]
        while (token := self.chance.choice(makes)()).lower() in {one.lower() for one in own}:
            pass
        return token

    def _spoilt(self, token: str) -> str:
        at = self.chance.randrange(len(token))
        return token[:at] + self.chance.choice(_SIGNS) + token[at + 1 :]

    def _grafted(self, tokens: list[str]) -> str:
        """One letter's subject with another letter's proof."""
        cut = len(tokens[0]) // 2
        return tokens[0][:cut] + tokens[-1][cut:] if len(tokens) > 1 else self._spoilt(tokens[0])


def _try_links(settings: Settings, forger: _Forger, tries: int) -> int:
    """Press every forged link as a mail service would; how many were believed."""
    client = create_app(settings, Clock()).test_client()
    believed = 0
    for number in range(tries):
        path = ("stop", "packet")[number % 2]
        answer = client.post(f"/{path}/{forger.token(path)}", base_url=settings.public_url)
        believed += answer.status_code not in (404, 405, 308)
    return believed


def _try_mails(
    engine: Engine, settings: Settings, vault: Vault, forger: _Forger, tries: int
) -> None:
    makes: list[Callable[[], bytes]] = [
        lambda: bounce(_address(forger.token(envelope.SENDER)), forger.message),
        lambda: bounce(BOUNCES, forger.message, envid=forger.token(envelope.ENVID)),
        lambda: complaint(
            BOUNCES, original=f"CFBL-Feedback-ID: {forger.token(envelope.COMPLAINT)}"
        ),
        lambda: complaint(
            BOUNCES, original=f"Return-Path: <{_address(forger.token(envelope.SENDER))}>"
        ),
    ]
    for start in range(0, tries, AT_ONCE):
        mails = [makes[n % len(makes)]() for n in range(start, min(start + AT_ONCE, tries))]
        with open_session(engine) as session:
            for content in mails:
                at = TUESDAY_MORNING + timedelta(minutes=1)
                take_in(session, vault, settings, content, read_mail(content), at, at)
            session.commit()


def _address(token: str) -> str:
    local, _, domain = BOUNCES.partition("@")
    return f"{local}+{token}@{domain}"


def _two_letters(session: Session) -> tuple[Message, Message]:
    letters = []
    for _ in range(2):
        lead = a_lead(session)
        a_request(session, lead)
        letters.append(a_message(session, lead, state=MessageState.SENT))
    return letters[0], letters[1]


def _state(engine: Engine) -> dict[str, Any]:
    """All that a believed token would change."""
    with open_session(engine) as session:
        return {
            "messages": session.execute(
                select(Message.id, Message.state, Message.reason).order_by(Message.id)
            ).all(),
            "leads": session.execute(
                select(Lead.id, Lead.status, Lead.waiting_since, Lead.confirmed_at)
            ).all(),
            "withdrawn": session.scalar(
                select(func.count()).where(Consent.withdrawn_at.is_not(None))
            ),
            **{
                model.__tablename__: session.scalar(select(func.count()).select_from(model))
                for model in (Suppression, TimelineEntry, Task, Request)
            },
        }
