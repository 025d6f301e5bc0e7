"""What a visitor typed, as far as it may be read: 64 KB, 1,000 fields."""

from dataclasses import dataclass
from urllib.parse import parse_qsl

from flask import Request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge

MAX_BYTES = 64 * 1024
MAX_FIELDS = 1000
MAX_MESSAGE = 5000


@dataclass(frozen=True)
class Typed:
    """The fields of a form. ``is_cut`` where more was sent than is read."""

    fields: MultiDict[str, str]
    is_cut: bool = False


def read_typed(request: Request) -> Typed:
    """The form's fields, urlencoded or multipart; of a body that is too large, its beginning."""
    if request.mimetype == "application/x-www-form-urlencoded":
        return _read_urlencoded(request)
    try:
        fields = MultiDict(list(request.form.items(multi=True)))
    except RequestEntityTooLarge:
        return Typed(MultiDict(), is_cut=True)
    except BadRequest:
        return Typed(MultiDict())
    return Typed(fields, is_cut=len(list(fields.items(multi=True))) > MAX_FIELDS)


def _read_urlencoded(request: Request) -> Typed:
    # Read here, not through request.form: that gives nothing at all of a body over the limit.
    too_long = (request.content_length or 0) > MAX_BYTES
    try:
        if too_long:
            body = request.environ["wsgi.input"].read(MAX_BYTES)
        else:
            body = request.get_data(cache=False)
    except RequestEntityTooLarge:
        return Typed(MultiDict(), is_cut=True)
    except BadRequest:
        return Typed(MultiDict())
    text = body.decode("utf-8", "replace")
    too_many = text.count("&") >= MAX_FIELDS
    if too_many:
        text = "&".join(text.split("&", MAX_FIELDS)[:MAX_FIELDS])
    fields = MultiDict(parse_qsl(text, keep_blank_values=True, errors="replace"))
    if too_long and "message" in fields:
        fields["message"] = fields["message"][:MAX_MESSAGE]
    return Typed(fields, is_cut=too_long or too_many)
