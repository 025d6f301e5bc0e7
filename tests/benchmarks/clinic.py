"""A clinic's archive of any size, with one day's work on top.

The archive grows with the number of leads, the day's work does not: who waits, what is held and
what failed today is the same for a clinic of ten thousand leads and of a million.
"""

import json
import random
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from leadcapture.leads.search import search_text
from tests.benchmarks.bulk import Row, storing
from tests.people import MESSAGE, ZONE, test_vault

# The day's work; a clinic of few leads has fewer who wait.
WAITING, HELD, FAILED, TO_DO = 300, 12, 10, 20
YEARS = timedelta(days=3 * 365)
RARE = "Xylander"
BUSY = 3
"""The number of a lead with a long history."""

_BATCH = 5_000
_NEVER_OPENED = b"sealed"
_FIRST = (
    *("Janet", "María", "Robert", "Carmen", "William", "Ana", "Denise", "José", "Linda", "Priya"),
    *("Thomas", "Elena", "Kevin", "Ruth", "Samuel", "Beatriz", "Oliver", "Grace", "Jorge", "Tess"),
)
_LAST = (
    *("Whitfield", "Solís", "Ortiz", "García", "Johnson", "Smith", "Mora", "Baptiste", "Kim"),
    *("Lindqvist", "Chaves", "Abramson", "Doyle", "Petrova", "Castellano", "Novak", "Reyes"),
    *("Diallo", "Nguyen", "Salas", "Grant", "Stone", "Feldman", "Umaña", "Rodríguez", "Brown"),
)
_STATUSES = ("contacted", "booked", "patient", "closed")
_TOUCHES: tuple[dict[str, Any], ...] = (
    {"first": {"utm_source": "google", "utm_medium": "cpc"}},
    {"first": {"utm_source": "newsletter"}, "last": {"utm_source": "google"}},
    {"last": {"referrer": "www.facebook.example"}},
    {},
)
_ANSWERS = json.dumps({"conditions": ["osteoarthritis"], "message": MESSAGE})
_COLUMNS = {
    "lead": "id ref address_key cap_hash email full_name phone phone_typed country time_zone "
    "language contact_by contact_time status closed_reason owner_id created_at last_request_at "
    "waiting_since search_text",
    "request": "id receipt token lead_id channel full_name email_typed phone_typed country "
    "contact_by contact_time time_zone language page touch answers screening held_reason "
    "packet_note created_at",
    "consent": "lead_id request_id kind text_version text_sha256 language page given_at",
    "message": "id ref kind step dedupe_key lead_id request_id recipient domain cap_hash language "
    "time_zone priority payload state reason due_at fence attempts doubts mail_id created_at "
    "state_at sent_at",
    "timeline_entry": "ref lead_id request_id actor_id kind facts at",
    "task": "ref dedupe_key kind lead_id message_id due_at done_at created_at",
    "lead_tag": "lead_id tag_id",
}
_LETTERS_EACH = 5


@dataclass(frozen=True)
class Person:
    """What the rows of one lead are made from; ``today`` is what the day's work wants of them."""

    number: int
    name: str
    email: str
    phone: str
    cap_hash: str
    language: str
    asked_at: datetime
    status: str
    owner_id: int | None
    today: str


class Clinic:
    """Fills one database step by step; ``leads`` is how many there are.

    Every tenth lead carries one of the tags.
    """

    def __init__(
        self,
        engine: Engine,
        staff_ids: Sequence[int],
        now: datetime,
        tag_ids: Sequence[int] = (),
    ) -> None:
        self.engine = engine
        self.leads = 0
        self._tag_ids = tag_ids
        self._staff_ids = staff_ids
        self._now = now
        self._chance = random.Random(4)

    def grow(self, to: int) -> None:
        """Store leads until there are so many, with all that belongs to them."""
        with storing(self.engine) as store:
            for begin in range(self.leads + 1, to + 1, _BATCH):
                numbers = range(begin, min(begin + _BATCH, to + 1))
                people = [self._person(number, to) for number in numbers]
                for table, rows_of in self._tables().items():
                    rows = (row for person in people for row in rows_of(person))
                    store(table, _COLUMNS[table], rows)
        self.leads = to

    def _tables(self) -> dict[str, Any]:
        return {
            "lead": self._lead,
            "request": self._request,
            "consent": self._consents,
            "message": self._letters,
            "timeline_entry": self._entries,
            "task": self._tasks,
            "lead_tag": self._tags,
        }

    def _person(self, number: int, size: int) -> Person:
        today = self._today(number, size)
        name = f"{self._chance.choice(_FIRST)} {self._chance.choice(_LAST)}"
        if number == size // 2:
            name = f"{name} {RARE}"
        mailbox = search_text(name, "", "").replace(" ", ".")
        email = f"{mailbox}.{number}@tampamail.example"
        age = timedelta(hours=number % 48) if today else YEARS * (number * 7919 % 999_983 / 999_983)
        return Person(
            number=number,
            name=name,
            email=email,
            phone=f"+1813{number % 10_000_000:07d}" if number % 5 < 3 else "",
            cap_hash=test_vault.keyed_hash("address", email),
            language="es" if number % 4 == 0 else "en",
            asked_at=self._now - age - timedelta(minutes=3),
            status={"": self._chance.choices(_STATUSES, (30, 8, 17, 45))[0], "held": "held"}.get(
                today, "new"
            ),
            owner_id=self._chance.choice((*self._staff_ids, None)),
            today=today,
        )

    def _today(self, number: int, size: int) -> str:
        """What the day's work wants of this person: only the first thousand are in it."""
        share = min(size / 1_000, 1)
        bounds = (("wait", WAITING), ("held", HELD), ("failed", FAILED), ("task", TO_DO))
        end = 0
        for today, many in bounds:
            end += max(int(many * share), 1)
            if number <= end:
                return today
        return ""

    def _lead(self, one: Person) -> Iterator[Row]:
        yield (
            *(one.number, secrets.token_urlsafe(16), one.email, one.cap_hash, one.email, one.name),
            *(one.phone or None, one.phone, "US", ZONE, one.language, "phone", "morning"),
            *(one.status, "cost" if one.status == "closed" else "", one.owner_id),
            *(one.asked_at, one.asked_at, one.asked_at if one.today == "wait" else None),
            _search_text(one),
        )

    def _request(self, one: Person) -> Iterator[Row]:
        receipt = secrets.token_urlsafe(16)
        held = one.today == "held"
        yield (
            *(one.number, receipt, secrets.token_hex(16), one.number, "web", one.name, one.email),
            *(one.phone, "US", "phone", "morning", ZONE, one.language, "/"),
            _TOUCHES[one.number % len(_TOUCHES)],
            test_vault.seal("request", "answers", receipt, _ANSWERS),
            *("held" if held else "accepted", "too_fast" if held else "", "", one.asked_at),
        )

    def _consents(self, one: Person) -> Iterator[Row]:
        for kind in ("health", "follow_ups"):
            words = ("1", "0" * 64, one.language, "/")
            yield one.number, one.number, kind, *words, one.asked_at

    def _letters(self, one: Person) -> Iterator[Row]:
        """The packet, the alert to staff, and three follow-ups, most of which have left."""
        states = {1: "bounced", 2: "failed"}
        went_wrong = one.today == "failed" or one.number % 100 in states
        packet = states.get(one.number % 100, "failed") if went_wrong else "sent"
        if one.today == "held":
            return
        yield self._letter(one, 0, "packet", "", packet, 0)
        yield self._letter(one, 1, "staff_alert", "", "sent", 0)
        for place, days in enumerate((3, 10, 24), start=2):
            state = "cancelled" if one.number % 3 else "sent"
            if one.asked_at + timedelta(days=days) > self._now:
                state = "queued"
            yield self._letter(one, place, "follow_up", f"day-{days}", state, days)

    def _letter(self, one: Person, place: int, kind: str, step: str, state: str, days: int) -> Row:
        ref = secrets.token_urlsafe(16)
        due = one.asked_at + timedelta(days=days)
        return (
            *(one.number * _LETTERS_EACH + place, ref, kind, step, f"stored:{ref}", one.number),
            *(one.number, one.email, "tampamail.example", one.cap_hash, one.language, ZONE),
            *(10, _NEVER_OPENED, state, "rcpt_5.1.1" if state == "failed" else "", due),
            *(1, 1, 0, f"<{ref}@clinic.example>", one.asked_at, min(due, self._now)),
            due if state == "sent" else None,
        )

    def _entries(self, one: Person) -> Iterator[Row]:
        """Asked, and for those who do not wait any more: reached by telephone, then moved on."""
        told: dict[str, Any] = {"channel": "web"}
        yield self._entry(one, "requested", told, timedelta(0), None)
        if one.status not in ("new", "held"):
            after = timedelta(minutes=5 + one.number * 31 % 400)
            by = one.number % len(self._staff_ids)
            reached = {"outcome": "reached", "follow_ups_cancelled": 0}
            yield self._entry(one, "call_logged", reached, after, by)
            moved = {"from": "new", "to": one.status}
            yield self._entry(one, "status_changed", moved, after + timedelta(minutes=4), by)
        if one.number == BUSY:
            tried = {"outcome": "no_answer", "follow_ups_cancelled": 0}
            for hour in range(250):
                yield self._entry(one, "call_logged", tried, timedelta(hours=hour), 0)

    def _entry(
        self, one: Person, kind: str, facts: dict[str, Any], after: timedelta, actor: int | None
    ) -> Row:
        actor_id = None if actor is None else self._staff_ids[actor]
        ref = secrets.token_urlsafe(16)
        return ref, one.number, one.number, actor_id, kind, facts, one.asked_at + after

    def _tasks(self, one: Person) -> Iterator[Row]:
        """A task about each letter that went wrong, long done save today's; and the day's own."""
        asked, done = one.asked_at, one.asked_at + timedelta(hours=5)
        letter = one.number * _LETTERS_EACH
        if one.today == "failed" or (one.number % 100 in (1, 2) and one.today != "held"):
            settled = None if one.today == "failed" else done
            yield self._task(f"letter:{letter}", "letter_failed", one, letter, asked, settled)
        if one.today == "task":
            yield self._task(f"call:{one.number}", "call_back", one, None, asked, None)

    def _tags(self, one: Person) -> Iterator[Row]:
        if self._tag_ids and one.number % 10 == 0:
            yield one.number, self._tag_ids[one.number // 10 % len(self._tag_ids)]

    def _task(
        self,
        key: str,
        kind: str,
        one: Person,
        letter: int | None,
        due: datetime,
        done: datetime | None,
    ) -> Row:
        return secrets.token_urlsafe(16), key, kind, one.number, letter, due, done, due


def _search_text(one: Person) -> str:
    """What `leads.search` makes; to read a million numbers as it does would take minutes."""
    words = search_text(one.name, one.email, "")
    if not one.phone:
        return words
    return f"{words} {one.phone[1:]} {one.phone[2:]} r{one.phone[:0:-1]}"
