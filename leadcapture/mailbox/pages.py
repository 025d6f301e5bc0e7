"""The page of the newcomer's mailbox; it exists only where no relay is configured."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from flask import Blueprint, Flask, Response, abort, make_response, render_template

from leadcapture.web import settings

NEWEST = 100

blueprint = Blueprint("mailbox", __name__, url_prefix="/mailbox")


@dataclass(frozen=True)
class Letter:
    """One letter that arrived."""

    name: str
    arrived_at: datetime
    mail: EmailMessage

    @property
    def text(self) -> str:
        part = self.mail.get_body(("plain",))
        return str(part.get_content()) if part else ""

    @property
    def html(self) -> str:
        part = self.mail.get_body(("html",))
        return str(part.get_content()) if part else ""

    @property
    def attachments(self) -> list[EmailMessage]:
        return list(self.mail.iter_attachments())


def register(app: Flask) -> None:
    app.register_blueprint(blueprint)


@blueprint.get("")
def index() -> str:
    """All letters, newest first."""
    names = sorted((path.name for path in _folder().glob("*.eml")), reverse=True)
    letters = [_letter(name) for name in names[:NEWEST]]
    return render_template("mailbox/index.html", letters=letters)


@blueprint.get("/<name>")
def letter(name: str) -> str:
    """One letter with its headers, its text and what is attached."""
    return render_template("mailbox/letter.html", letter=_letter(name))


@blueprint.get("/<name>/html")
def html(name: str) -> Response:
    """The HTML part, in a sandbox: mail brings its own styles."""
    response = make_response(_letter(name).html)
    response.headers["Content-Security-Policy"] = (
        "sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"
    )
    return response


@blueprint.get("/<name>/attachment/<int:number>")
def attachment(name: str, number: int) -> Response:
    """One attachment, to be saved."""
    parts = _letter(name).attachments
    if number >= len(parts):
        abort(404)
    content = parts[number].get_content()
    response = make_response(content)
    response.headers["Content-Type"] = parts[number].get_content_type()
    filename = re.sub(r"[^A-Za-z0-9.-]", "", parts[number].get_filename("letter"))
    response.headers["Content-Disposition"] = f'inline; filename="{filename}"'
    return response


def _letter(name: str) -> Letter:
    if not re.fullmatch(r"[0-9]{20}-[0-9a-f]{8}\.eml", name):
        abort(404)
    path = _folder() / name
    if not path.is_file():
        abort(404)
    mail = message_from_bytes(path.read_bytes(), policy=policy.default)
    arrived_at = datetime.fromtimestamp(int(name[:20]) / 1e9, UTC)
    return Letter(name, arrived_at, mail)


def _folder() -> Path:
    folder = settings().mailbox_dir
    if folder is None:
        abort(404)
    return folder
