"""Keys: the desk by single letters, the sheet that lists them, and the switch that stops them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString, gettext, lazy_gettext
from markupsafe import Markup

from leadcapture import web
from leadcapture.accounts.access import EVERYONE, me, staff_only
from leadcapture.dashboard.blueprint import blueprint
from leadcapture.database import db
from leadcapture.leads import clock, presence, waiting

_OFF = "keys_off"
_A_YEAR = timedelta(days=365)


@dataclass(frozen=True)
class Group:
    """Keys that belong together, each with what it does; ``g n`` is one after the other."""

    title: LazyString
    keys: Sequence[tuple[str, LazyString]]


SHEET = (
    Group(
        lazy_gettext("Through the queue"),
        (
            ("n", lazy_gettext("Open the next person who waits")),
            ("a", lazy_gettext("Assign to me")),
            ("c", lazy_gettext("Log a call: reached")),
            ("m", lazy_gettext("Log a call: left a message")),
            ("u", lazy_gettext("Log a call: no answer")),
        ),
    ),
    Group(
        lazy_gettext("On a lead"),
        (
            ("w", lazy_gettext("Write a note")),
            ("e", lazy_gettext("Edit the details")),
            ("s", lazy_gettext("Choose where the lead goes")),
        ),
    ),
    Group(
        lazy_gettext("In a list"),
        (
            ("j", lazy_gettext("Down")),
            ("k", lazy_gettext("Up")),
            ("Enter", lazy_gettext("Open")),
            (".", lazy_gettext("Show what is new")),
            ("/", lazy_gettext("Search")),
        ),
    ),
    Group(
        lazy_gettext("Anywhere"),
        (
            ("t", lazy_gettext("Take down a call or a visit")),
            ("g n", lazy_gettext("Go to Now")),
            ("g l", lazy_gettext("Go to Leads")),
            ("g p", lazy_gettext("Go to the pipeline")),
            ("?", lazy_gettext("Show this sheet")),
            ("Esc", lazy_gettext("Close it")),
        ),
    ),
)


def are_on() -> bool:
    """False where this browser's reader has switched single letters off (WCAG 2.1.4)."""
    return _OFF not in request.cookies


def key(letter: str) -> Markup:
    """The attributes of a button or link that this letter presses; none where keys are off."""
    if not are_on():
        return Markup()
    return Markup(' data-shortcut="%s" aria-keyshortcuts="%s"') % (letter, letter)


def kbd(letter: str, read: bool = False) -> Markup:
    """The letter as it stands beside the button's words; ``read`` aloud where a sentence has it."""
    if not are_on():
        return Markup()
    silent = Markup() if read else Markup(' aria-hidden="true"')
    return Markup('<kbd class="key"%s>%s</kbd>') % (silent, letter)


@blueprint.get("/keys")
@staff_only(*EVERYONE)
def keys() -> ResponseReturnValue:
    """The sheet; the same stands in a dialog on ``?``."""
    return render_template("dashboard/keys.html", groups=SHEET, are_on=are_on())


@blueprint.post("/keys")
@staff_only(*EVERYONE)
def keys_switch() -> ResponseReturnValue:
    """Switch single letters on or off, in this browser."""
    answer = redirect(url_for("dashboard.keys"), 303)
    if request.form.get("keys") == "off":
        answer.set_cookie(
            _OFF,
            "1",
            max_age=_A_YEAR,
            httponly=True,
            secure=web.settings().is_https,
            samesite="Lax",
        )
        flash(gettext("Single letters do nothing any more in this browser."))
    else:
        answer.delete_cookie(_OFF)
        flash(gettext("Single letters work again."))
    return answer


@blueprint.get("/next")
@staff_only(*EVERYONE)
def next_waiting() -> ResponseReturnValue:
    """Open the next person who waits, after the one whose reference is ``after``."""
    at = web.now()
    rules = clock.read_rules(db.session(), web.settings().clinic.time_zone)
    ref = waiting.next_in_line(
        db.session(),
        rules,
        at,
        request.args.get("after", "").replace("\0", ""),
        me().id,
        presence.leads_with_others(db.session(), me().id, at),
    )
    if ref is None:
        flash(gettext("Nobody else is waiting for you."))
        return redirect(url_for("dashboard.now"), 303)
    return redirect(url_for("dashboard.lead", ref=ref), 303)
