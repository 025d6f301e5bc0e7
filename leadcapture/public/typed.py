"""What a visitor typed, as far as it may be read: 64 KB, 1,000 fields."""

import io
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl

from flask import Request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

MAX_BYTES = 64 * 1024
MAX_FIELDS = 1000
MAX_MESSAGE = 5000

_URLENCODED = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"
_HALF_AN_ESCAPE = re.compile("%[0-9A-Fa-f]?$")


@dataclass(frozen=True)
class Typed:
    """The fields of a form. ``is_cut`` where more was sent than is read."""

    fields: MultiDict[str, str]
    is_cut: bool = False


def read_typed(request: Request) -> Typed:
    """The form's fields, urlencoded or multipart; of a body that is too large, its beginning."""
    if request.mimetype not in (_URLENCODED, _MULTIPART):
        return Typed(MultiDict())
    body = _read_body(request)
    is_long = len(body) > MAX_BYTES
    if request.mimetype == _URLENCODED:
        fields, are_many = _read_urlencoded(body[:MAX_BYTES], is_long)
    else:
        boundary = request.mimetype_params.get("boundary", "")
        fields, are_many = _read_multipart(body[:MAX_BYTES], is_long, boundary)
    return Typed(MultiDict(fields), is_cut=is_long or are_many)


def _read_body(request: Request) -> bytes:
    """The body, or a byte more than the limit where there is more. Its length may not be told."""
    # Not through request.form: that gives nothing at all of a body over the limit.
    told = request.content_length
    if told is None and not request.environ.get("wsgi.input_terminated"):
        return b""
    missing = MAX_BYTES + 1 if told is None else min(told, MAX_BYTES + 1)
    body, pieces = request.environ["wsgi.input"], []
    # Whoever asks Flask for the form later finds none, and not the rest of this one.
    request.environ.update({"wsgi.input": io.BytesIO(), "CONTENT_LENGTH": "0"})
    while missing:
        try:
            piece = body.read(missing)
        except OSError as gone:
            raise ClientDisconnected from gone
        if not piece:
            break
        pieces.append(piece)
        missing -= len(piece)
    if missing and told is not None:
        # Half a form must not pass for a whole one.
        raise ClientDisconnected
    return b"".join(pieces)


def _read_urlencoded(body: bytes, is_cut: bool) -> tuple[list[tuple[str, str]], bool]:
    text = body.decode("utf-8", "replace")
    are_many = text.count("&") >= MAX_FIELDS
    if are_many:
        text = "&".join(text.split("&", MAX_FIELDS)[:MAX_FIELDS])
    elif is_cut:
        text = _HALF_AN_ESCAPE.sub("", text)
    fields = parse_qsl(text, keep_blank_values=True, errors="replace")
    return _without_half_a_letter(fields) if is_cut else fields, are_many


def _read_multipart(body: bytes, is_cut: bool, boundary: str) -> tuple[list[tuple[str, str]], bool]:
    """The fields (RFC 7578); files are passed over, and what is no such body has none."""
    fields: list[tuple[str, str]] = []
    name: str | None = None
    value = b""
    decoder = MultipartDecoder(boundary.encode("latin-1", "replace"), max_parts=MAX_FIELDS)
    try:
        decoder.receive_data(body)
        if not is_cut:
            decoder.receive_data(None)
        while not isinstance(event := decoder.next_event(), Epilogue | NeedData):
            if isinstance(event, Field | File):
                name, value = (event.name if isinstance(event, Field) else None), b""
            elif isinstance(event, Data):
                value += event.data
                if not event.more_data and name is not None:
                    fields.append((name, value.decode("utf-8", "replace")))
                    name = None
    except RequestEntityTooLarge:
        return fields, True
    except ValueError:
        return fields if is_cut else [], False
    if is_cut and name is not None:
        fields.append((name, value.decode("utf-8", "replace")))
    return _without_half_a_letter(fields) if is_cut else fields, False


def _without_half_a_letter(fields: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [*fields[:-1], *((name, value.rstrip("\ufffd")) for name, value in fields[-1:])]
