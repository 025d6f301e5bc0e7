"""Search: leads by the start of a name or address, by digits of a telephone, by a reference.

The index is the database's own full-text index: FTS5 on SQLite, a GIN index over tsvector on
PostgreSQL. It is asked for whole prefixes of words, and for those that few leads have: a start
that every tenth lead has is met soon enough by whoever walks along the order of a list.
"""

import re
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import phonenumbers
from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    any_,
    bindparam,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
    text,
)
from sqlalchemy.orm import Session

from leadcapture.leads.among import among
from leadcapture.leads.references import read_reference
from leadcapture.models import Lead, Request

# The words stay in the lead's row alone: the index refers to them (FTS5 external content).
SQLITE_DDL = (
    "CREATE VIRTUAL TABLE lead_search USING fts5("
    "search_text, content='lead', content_rowid='id', "
    "tokenize='unicode61 remove_diacritics 2', prefix='2 3')",
    "CREATE TRIGGER lead_search_insert AFTER INSERT ON lead BEGIN "
    "INSERT INTO lead_search (rowid, search_text) VALUES (new.id, new.search_text); END",
    "CREATE TRIGGER lead_search_delete AFTER DELETE ON lead BEGIN "
    "INSERT INTO lead_search (lead_search, rowid, search_text) "
    "VALUES ('delete', old.id, old.search_text); END",
    "CREATE TRIGGER lead_search_update AFTER UPDATE OF search_text ON lead BEGIN "
    "INSERT INTO lead_search (lead_search, rowid, search_text) "
    "VALUES ('delete', old.id, old.search_text); "
    "INSERT INTO lead_search (rowid, search_text) VALUES (new.id, new.search_text); END",
)
POSTGRES_DDL = (
    "CREATE INDEX ix_lead_search ON lead USING gin (to_tsvector('simple'::regconfig, search_text))",
)

# So many leads that match are few enough to look at each of them.
FEW = 4_000
# PostgreSQL's index reads all that match before it gives the first. Of so many of the newest
# leads, this many tell that too many match to ask it.
_PROBED = 5_000
_IS_COMMON = 20
_MOST_WORDS = 6
_LONGEST_WORD = 60
_PHONE = re.compile(r"[+\d\s().\-–/]+")
# Letters to staff name the lead itself where they are about no request.
_OF_REFERENCE = (
    select(Request.lead_id)
    .where(Request.receipt == bindparam("reference"))
    .union_all(select(Lead.id).where(Lead.ref == bindparam("reference")))
    .limit(1)
)


def install(connection: Connection) -> None:
    """Make the index, once, after the tables."""
    ddl = SQLITE_DDL if connection.dialect.name == "sqlite" else POSTGRES_DDL
    for statement in ddl:
        connection.exec_driver_sql(statement)


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
    query = " & ".join(f"'{word}'" for word in wanted)
    simple: ColumnElement[str] = literal_column("'simple'::regconfig")
    vector = func.to_tsvector(simple, Lead.search_text)
    asked = func.to_tsquery(simple, bindparam("query", query, unique=True))
    found = select(Lead.id).where(vector.op("@@")(asked)).limit(limit)
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
    # The first word has no space before it.
    spaced = literal(" ").concat(words)
    return and_(
        *(
            or_(*(place(spaced, f" {start}") > 0 for start in alternatives))
            for alternatives in terms
        )
    )


def _few_by_fts5(session: Session, terms: list[tuple[str, ...]]) -> ColumnElement[bool] | None:
    query = " AND ".join(
        "(" + " OR ".join(f'"{word}"*' for word in alternatives) + ")" for alternatives in terms
    )
    found = text(
        "SELECT rowid FROM lead_search WHERE lead_search MATCH :query LIMIT :reach"
    ).bindparams(query=query, reach=FEW + 1)
    ids = session.scalars(found.columns(Lead.id)).all()
    if len(ids) > FEW:
        return None
    # Not the question itself once more: it would be looked up again for the page.
    return among(session, Lead.id, ids)


def _few_by_tsvector(session: Session, terms: list[tuple[str, ...]]) -> ColumnElement[bool] | None:
    newest = select(Lead.search_text).order_by(Lead.id.desc()).limit(_PROBED).subquery()
    probe = select(func.count()).where(_look(newest.c.search_text, terms, False))
    if (session.scalar(probe) or 0) >= _IS_COMMON:
        return None
    query = " & ".join(
        "(" + " | ".join(f"'{word}':*" for word in alternatives) + ")" for alternatives in terms
    )
    simple: ColumnElement[str] = literal_column("'simple'::regconfig")
    vector = func.to_tsvector(simple, Lead.search_text)
    asked = func.to_tsquery(simple, bindparam("query", query, unique=True))
    found = session.scalars(select(Lead.id).where(vector.op("@@")(asked)).limit(FEW + 1)).all()
    if len(found) > FEW:
        return None
    return among(session, Lead.id, found)


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
