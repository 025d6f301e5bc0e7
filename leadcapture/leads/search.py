"""Search: leads by the start of a name or address, by digits of a telephone, by a reference.

The index is the database's own full-text index: FTS5 on SQLite, a GIN index over tsvector on
PostgreSQL (``migrations/``). It is asked for starts of words, and for those that few leads have: a
start that every tenth lead has is met soon enough by whoever walks along the order of a list.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import phonenumbers
from sqlalchemy import (
    ColumnElement,
    and_,
    any_,
    bindparam,
    cast,
    false,
    func,
    literal,
    or_,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import TSQUERY, TSVECTOR
from sqlalchemy.orm import Session

from leadcapture.leads.among import among
from leadcapture.leads.references import read_reference
from leadcapture.models import Lead, Request

# So many leads that match are few enough to look at each of them.
FEW = 4_000
# PostgreSQL's index reads all that match before it gives the first. Of so many of the newest
# leads, this many tell that too many match to ask it.
_PROBED = 5_000
_IS_COMMON = 20
_MOST_WORDS = 6
# PostgreSQL's index has each word to this length and, as words of their own, its starts of up to so
# many letters: it reads what lies at a word in a fraction of the time that a start takes it, for
# which it gathers all that lies at any word with it.
_LONGEST_WORD = 60
_LONGEST_START = 5
_PHONE = re.compile(r"[+\d\s().\-–/]+")
# Letters to staff name the lead itself where they are about no request.
_OF_REFERENCE = (
    select(Request.lead_id)
    .where(Request.receipt == bindparam("reference"))
    .union_all(select(Lead.id).where(Lead.ref == bindparam("reference")))
    .limit(1)
)


def search_text(full_name: str, email: str, phone: str) -> str:
    """The words by which a lead is found, as they stand in ``Lead.search_text``.

    A telephone number is there three times: whole, without its country code, and backwards
    after an ``r``, so that its last digits are the start of a word too.
    """
    return " ".join(dict.fromkeys((*_words(full_name), *_words(email), *_phone_words(phone))))


def few(session: Session, typed: str) -> ColumnElement[bool] | None:
    """The condition on ``Lead.id`` that every word typed begins a word of the lead.

    The reference of a request finds its lead alone. None where more than `FEW` match: then `test`
    is asked along the way. Text in which nothing can be searched for matches nobody.
    """
    alone = _by_reference(session, typed)
    if alone is not None:
        return alone
    terms = list(_terms(typed))
    if not terms:
        return false()
    if session.get_bind().dialect.name == "sqlite":
        return _few_by_fts5(session, terms)
    return _few_by_tsvector(session, terms)


def test(session: Session, typed: str) -> ColumnElement[bool]:
    """The same as a look at the words of the lead itself, which needs no index."""
    alone = _by_reference(session, typed)
    if alone is not None:
        return alone
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    terms = list(_terms(typed))
    return _look(Lead.search_text, terms, is_sqlite) if terms else false()


def with_words(session: Session, words: str, limit: int) -> ColumnElement[bool]:
    """The condition on ``Lead.id`` that all of these words stand in the lead's, each whole.

    Only the ``limit`` newest of them are found, on PostgreSQL any so many.
    """
    wanted = list(dict.fromkeys(_words(words)))
    if not wanted:
        return false()
    if session.get_bind().dialect.name == "sqlite":
        query = " AND ".join(f'"{word}"' for word in wanted)
        rows = text(
            "SELECT rowid FROM lead_search WHERE lead_search MATCH :query "
            "ORDER BY rowid DESC LIMIT :reach"
        ).bindparams(query=query, reach=limit)
        return Lead.id.in_(rows.columns(Lead.id).scalar_subquery())
    query = " & ".join(f"'{word[:_LONGEST_WORD]}'" for word in wanted)
    # What the index takes for a short word may be the start of a longer one.
    is_whole = and_(*(func.strpos(_spaced(Lead.search_text, " "), f" {w} ") > 0 for w in wanted))
    found = select(Lead.id).where(_in_index(query), is_whole).limit(limit)
    # As an array, not IN: PostgreSQL would guess that many match, and join with the whole table.
    return Lead.id == any_(func.array(found.scalar_subquery()))


def folded(typed: str) -> str:
    """The words of a text as they are compared: without case, accents and signs."""
    return " ".join(_words(typed))


def _by_reference(session: Session, typed: str) -> ColumnElement[bool] | None:
    reference = read_reference(typed)
    lead_id = session.scalar(_OF_REFERENCE, {"reference": reference}) if reference else None
    return Lead.id == lead_id if lead_id is not None else None


def _look(words: Any, terms: list[tuple[str, ...]], is_sqlite: bool) -> ColumnElement[bool]:
    place = func.instr if is_sqlite else func.strpos
    spaced = _spaced(words)
    return and_(
        *(
            or_(*(place(spaced, f" {start}") > 0 for start in alternatives))
            for alternatives in terms
        )
    )


def _spaced(words: Any, end: str = "") -> ColumnElement[str]:
    """Each word with a space before it, the first one too."""
    spaced = literal(" ").concat(words)
    return spaced.concat(end) if end else spaced


def _few_by_fts5(session: Session, terms: list[tuple[str, ...]]) -> ColumnElement[bool] | None:
    # Of a start, all that begins with it is gathered before the first is given; a word that is
    # common by itself tells so at once.
    if len(terms) == 1 and len(_ask_fts5(session, terms, "")) > FEW:
        return None
    ids = _ask_fts5(session, terms, "*")
    if len(ids) > FEW:
        return None
    # Not the question itself once more: it would be looked up again for the page.
    return among(session, Lead.id, ids)


def _ask_fts5(session: Session, terms: list[tuple[str, ...]], end: str) -> Sequence[int]:
    """The leads, `FEW` and one at most, that have for each term one of its words; of words that
    begin so where ``end`` is ``*``.
    """
    query = " AND ".join(
        "(" + " OR ".join(f'"{word}"{end}' for word in alternatives) + ")" for alternatives in terms
    )
    found = text(
        "SELECT rowid FROM lead_search WHERE lead_search MATCH :query LIMIT :reach"
    ).bindparams(query=query, reach=FEW + 1)
    return session.scalars(found.columns(Lead.id)).all()


def _few_by_tsvector(session: Session, terms: list[tuple[str, ...]]) -> ColumnElement[bool] | None:
    newest = select(Lead.search_text).order_by(Lead.id.desc()).limit(_PROBED).subquery()
    is_one = len(terms) == 1
    long = [] if is_one else [term for term in terms if len(max(term, key=len)) > _LONGEST_START]
    looks = (_look(newest.c.search_text, some, False) for some in (terms, *([t] for t in long)))
    of_all, *of_each = session.execute(select(*(func.count().filter(look) for look in looks))).one()
    if of_all >= _IS_COMMON:
        return None
    common = {term for term, number in zip(long, of_each, strict=True) if number >= _IS_COMMON}
    query = " & ".join(_ask(term, term in common) for term in terms)
    # What is left of a long word after its first letters is looked for in each lead found.
    wanted = select(Lead.id).where(_in_index(query), _look(Lead.search_text, terms, False))
    found = session.scalars(wanted.limit(FEW + 1)).all()
    if len(found) > FEW:
        return None
    return among(session, Lead.id, found)


def _ask(alternatives: tuple[str, ...], is_common: bool) -> str:
    """What to ask PostgreSQL's index for the starts of words.

    A long one that many leads have by itself is asked for by its first letters: with the other
    words that were typed they leave few.
    """
    asked = (
        f"'{word[:_LONGEST_START]}'" if is_common or len(word) <= _LONGEST_START else f"'{word}':*"
        for word in alternatives
    )
    return "(" + " | ".join(asked) + ")"


def _in_index(query: str) -> ColumnElement[bool]:
    asked = cast(bindparam("query", query, unique=True), TSQUERY)
    return func.lead_starts(Lead.search_text, type_=TSVECTOR).op("@@", is_comparison=True)(asked)


def _terms(typed: str) -> Iterator[tuple[str, ...]]:
    """For each thing typed, the starts of words of which one must be found."""
    digits = "".join(character for character in typed if character in "0123456789")
    if _PHONE.fullmatch(typed) and len(digits) >= 3:
        yield digits, "r" + digits[::-1]
        return
    for word in _words(typed)[:_MOST_WORDS]:
        yield (word[:_LONGEST_WORD],)


def _words(typed: str) -> list[str]:
    """Lower case, without accents, split at everything that is no letter or digit."""
    folded = unicodedata.normalize("NFKD", typed.casefold())
    plain = "".join(character for character in folded if not unicodedata.combining(character))
    return re.findall(r"[^\W_]+", plain)


def _phone_words(phone: str) -> Iterator[str]:
    digits = "".join(character for character in phone if character in "0123456789")
    if not digits:
        return
    yield digits
    if phone.startswith("+"):
        # Kept as it was typed where it cannot be read; its beginning and end still find it.
        with suppress(phonenumbers.NumberParseException):
            yield str(phonenumbers.parse(phone).national_number)
    yield "r" + digits[::-1]
