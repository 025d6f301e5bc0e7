"""Search: leads by the start of a name or address, or by digits of a telephone number.

The index is the database's own full-text index: FTS5 on SQLite, a GIN index over tsvector on
PostgreSQL. Both are asked for whole prefixes of words, which they answer at any size.
"""

import re
import unicodedata
from collections.abc import Iterator
from contextlib import suppress

import phonenumbers
from sqlalchemy import (
    ColumnElement,
    Connection,
    any_,
    bindparam,
    false,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy.orm import Session

from leadcapture.models import Lead

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

# A one-letter search matches a tenth of all leads: only the newest of them are looked at.
REACH = 2_000
_MOST_WORDS = 6
_LONGEST_WORD = 60
_PHONE = re.compile(r"[+\d\s().\-–/]+")


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


def matching(session: Session, typed: str) -> ColumnElement[bool]:
    """The condition on ``Lead.id`` that every word typed begins a word of the lead.

    Text in which nothing can be searched for matches nobody. Only the `REACH` newest leads
    that match are found.
    """
    terms = list(_terms(typed))
    if not terms:
        return false()
    if session.get_bind().dialect.name == "sqlite":
        return _matching_fts5(terms)
    return _matching_tsvector(terms)


def _matching_fts5(terms: list[tuple[str, ...]]) -> ColumnElement[bool]:
    query = " AND ".join(
        "(" + " OR ".join(f'"{word}"*' for word in alternatives) + ")" for alternatives in terms
    )
    # FTS5 walks by rowid, so that the newest come first and the limit ends the walk.
    found = text(
        "SELECT rowid FROM lead_search WHERE lead_search MATCH :query "
        "ORDER BY rowid DESC LIMIT :reach"
    ).bindparams(query=query, reach=REACH)
    return Lead.id.in_(found.columns(Lead.id).scalar_subquery())


def _matching_tsvector(terms: list[tuple[str, ...]]) -> ColumnElement[bool]:
    query = " & ".join(
        "(" + " | ".join(f"'{word}':*" for word in alternatives) + ")" for alternatives in terms
    )
    simple: ColumnElement[str] = literal_column("'simple'::regconfig")
    vector = func.to_tsvector(simple, Lead.search_text)
    asked = func.to_tsquery(simple, bindparam("query", query, unique=True))
    found = select(Lead.id).where(vector.op("@@")(asked)).limit(REACH)
    # As an array, not IN: PostgreSQL would guess that many match, and join with the whole table.
    return Lead.id == any_(func.array(found.scalar_subquery()))


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
