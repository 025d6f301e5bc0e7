"""Letters through spam filters: every shipped letter as it leaves, and what the filters say."""

import html
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from leadcapture.database import open_session
from leadcapture.letters import Envelope, write_letter
from leadcapture.letters.manuscript import PACKET
from leadcapture.letters.placeholders import names_in
from leadcapture.models import LetterVersion
from tests.both import Place
from tests.people import LETTER_VALUES
from tests.proofs.finding import Finding
from tests.spam_filters import Opinion, ask_spamassassin, open_rspamd

SENDER, RECIPIENT = "hello@clinic.example", "janet.whitfield@tampamail.example"
HIGHEST_SCORE = 2.0
SAME_WORDS = 0.9


@dataclass(frozen=True)
class Posted:
    """One shipped letter as its reader's server gets it."""

    name: str
    content: bytes
    language: str

    @property
    def mail(self) -> EmailMessage:
        return message_from_bytes(self.content, policy=policy.default)


def posted_letters(session: Session) -> Iterator[Posted]:
    """Every shipped letter in every language; the packet's letter once with each packet."""
    versions = session.scalars(select(LetterVersion).order_by(LetterVersion.id)).all()
    for letter in versions:
        if letter.kind == PACKET:
            continue
        packets: Sequence[LetterVersion | None] = [None]
        if letter.kind == "packet_letter":
            packets = [
                one for one in versions if one.kind == PACKET and one.language == letter.language
            ]
        for packet in packets:
            words = [letter.kind, letter.topic, packet.topic if packet else "", letter.language]
            yield Posted(" ".join(filter(None, words)), _posted(letter, packet), letter.language)


def _posted(letter: LetterVersion, packet: LetterVersion | None) -> bytes:
    now = datetime.now(UTC).replace(microsecond=0)
    to_patient = "stop_link" in names_in(letter.text)
    here, clinic = "http://127.0.0.1:8000", "https://www.clinic.example"
    values = {name: value.replace(here, clinic) for name, value in LETTER_VALUES.items()}
    envelope = Envelope(
        sender=SENDER,
        sender_name="Cellebration Wellness",
        recipient=RECIPIENT,
        message_id="<q9XrTz0aKk7Lq2bWnE5cVw@clinic.example>",
        date=now,
        reply_to=SENDER,
        unsubscribe_url=values["stop_link"] if to_patient else "",
    )
    # The reader's own server writes this above every letter it takes. No address stands in the
    # rest: filters count one of an example's network, or of none, against a letter.
    returned = f"Return-Path: <{SENDER}>\r\n"
    written = write_letter(letter, [packet] if packet else [], values, envelope)
    return returned.encode() + bytes(written)


class _Page(HTMLParser):
    """The words that a reader sees of a letter's HTML, and what a mail program would fetch."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.fetched: list[str] = []
        self._hidden = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.fetched += [values[name] for name in ("src", "background", "poster") if name in values]
        self.fetched += [tag] if tag in ("img", "link", "iframe", "object", "video") else []
        if tag in ("head", "style") or "display:none" in values.get("style", ""):
            self._hidden += 1

    def handle_endtag(self, tag: str) -> None:
        if tag in ("head", "style") or (tag == "div" and self._hidden):
            self._hidden -= 1

    def handle_data(self, words: str) -> None:
        if not self._hidden:
            self.seen.append(words)


def faults_of_parts(letter: Posted) -> Iterator[str]:
    """Where text and HTML do not say the same, or something would be fetched."""
    text_part = letter.mail.get_body(("plain",))
    html_part = letter.mail.get_body(("html",))
    if text_part is None or html_part is None:
        yield f"{letter.name} lacks its text or its HTML"
        return
    source = str(html_part.get_content())
    page = _Page(source)
    text = re.sub(r"https?://\S+", "", str(text_part.get_content()))
    said, shown = (
        Counter(re.findall(r"\w+", words)) for words in (text, html.unescape(" ".join(page.seen)))
    )
    same = (said & shown).total() / max(said.total(), shown.total())
    if same < SAME_WORDS:
        yield f"{letter.name}: only {same:.0%} of the words stand in both parts"
    if page.fetched or re.search(r"url\(|@import|cid:", source):
        yield f"{letter.name} would fetch something"


def faults_of_opinion(name: str, filter_name: str, opinion: Opinion) -> Iterator[str]:
    """Where a filter thinks worse of a letter than we promise."""
    rules = ", ".join(f"{rule} {worth:+.1f}" for rule, worth in sorted(opinion.rules.items()))
    if filter_name == "spamassassin" and opinion.score > HIGHEST_SCORE:
        yield f"{name}: SpamAssassin {opinion.score} ({rules})"
    if filter_name == "rspamd" and opinion.action != "no action":
        yield f"{name}: rspamd says {opinion.action}, {opinion.score:.1f} ({rules})"


def honest_letters(place: Place, quick: bool, seed: int) -> Finding:
    """MD-21: SpamAssassin at most 2.0, rspamd "no action", both parts alike, nothing fetched."""
    with open_session(place.engine) as session:
        letters = list(posted_letters(session))
    if quick:
        letters = [letter for letter in letters if letter.name.startswith(("packet", "follow"))][
            ::3
        ]
    faults = [fault for letter in letters for fault in faults_of_parts(letter)]
    scores: dict[str, list[float]] = {"spamassassin": [], "rspamd": []}
    hit: Counter[str] = Counter()
    for name, opinions in opinions_of(letters).items():
        for letter, opinion in zip(letters, opinions, strict=True):
            scores[name].append(opinion.score)
            hit.update(rule for rule, worth in opinion.rules.items() if worth > 0)
            faults += faults_of_opinion(letter.name, name, opinion)
    rules = ", ".join(f"{rule} x{times}" for rule, times in hit.most_common(8))
    sentence = (
        f"{len(letters)} letters: SpamAssassin at most {max(scores['spamassassin']):.1f}, "
        f"rspamd at most {max(scores['rspamd']):.1f}; rules against us: {rules or 'none'}"
    )
    return Finding(sentence, faults)


def opinions_of(letters: Sequence[Posted]) -> dict[str, list[Opinion]]:
    """What each filter thinks of each letter."""
    contents = [letter.content for letter in letters]
    with tempfile.TemporaryDirectory(prefix="leadcapture-filters-") as name:
        folder = Path(name)
        (folder / "assassin").mkdir()
        (folder / "rspamd").mkdir()
        with open_rspamd(folder / "rspamd") as rspamd:
            quick = [rspamd.ask(content, SENDER, RECIPIENT) for content in contents]
        return {"rspamd": quick, "spamassassin": ask_spamassassin(folder / "assassin", contents)}
