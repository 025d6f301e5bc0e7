"""CSV that no spreadsheet takes for formulas, and that gives back what was put in (RFC 4180).

The rule (WS-06): a cell that begins as a formula might (``= + - @``, their full-width forms,
TAB, CR, LF, NUL), or with an apostrophe, gets one apostrophe in front. `unescape` takes exactly
that one away again, so that every text comes back.

Telephones are let through as they are: plus, country, and groups of digits with single spaces
between, such as ``+506 8888 1234``. A spreadsheet can reckon nothing with that; without the
spaces it would take the number for an amount and drop the plus. `telephone` writes them so.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence

import phonenumbers

BOM = "\ufeff"
"""What tells Excel that a file is UTF-8; it stands once, at its beginning."""

_BEGINS_FORMULA = tuple("=+-@\t\r\n\0＝＋－＠")
_TELEPHONE = re.compile(r"\+[0-9]{1,3}(?: [0-9]+)+")
# In some languages a space parts the thousands: groups of three would read as an amount.
_THOUSANDS = re.compile(r"\+[0-9]{1,3}(?: [0-9]{3})+")


def escape(text: str) -> str:
    """The text as a cell that a spreadsheet shows and never reckons."""
    return f"'{text}" if _needs_apostrophe(text) else text


def unescape(cell: str) -> str:
    """What stood in a cell before `escape`: ``unescape(escape(text)) == text`` for every text."""
    return cell[1:] if cell[:1] == "'" and _needs_apostrophe(cell[1:]) else cell


def telephone(number: str) -> str:
    """An E.164 number in groups that spreadsheets leave alone; other text stands for itself."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return number
    style = phonenumbers.PhoneNumberFormat.INTERNATIONAL
    written = re.sub(r"[^0-9+]+", " ", phonenumbers.format_number(parsed, style)).strip()
    return _join_last_groups(written) if _THOUSANDS.fullmatch(written) else written


def write_rows(rows: Iterable[Sequence[str]]) -> str:
    """The rows as lines of CSV: each cell escaped and in quotes, each line ended by CR LF."""
    file = io.StringIO(newline="")
    # All in quotes: a reader then never takes a separator of its own country for ours.
    writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerows([escape(cell) for cell in row] for row in rows)
    return file.getvalue()


def read_rows(text: str) -> Iterator[list[str]]:
    """The rows of a file that `write_rows` wrote, each cell as it was before."""
    lines = io.StringIO(text.removeprefix(BOM), newline="")
    for row in csv.reader(lines, strict=True):
        yield [unescape(cell) for cell in row]


def _needs_apostrophe(text: str) -> bool:
    if _TELEPHONE.fullmatch(text) and not _THOUSANDS.fullmatch(text):
        return False
    return text.startswith((*_BEGINS_FORMULA, "'"))


def _join_last_groups(written: str) -> str:
    head, _, last = written.rpartition(" ")
    return head + last if " " in head else written
