"""Settings of the form's texts: write a version, look at it, put it into use, go back."""

from collections.abc import Mapping

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from leadcapture import web
from leadcapture.accounts.access import RoleName, me, staff_only
from leadcapture.dashboard import words
from leadcapture.dashboard.blueprint import blueprint
from leadcapture.database import db
from leadcapture.intake.consent_texts import current_text
from leadcapture.leads import setting_changes
from leadcapture.letters import form_texts
from leadcapture.models import ConsentKind

AREA = "texts"


@blueprint.get("/settings/texts")
@staff_only(RoleName.ADMIN)
def texts() -> ResponseReturnValue:
    """The words in use, ready to be written anew, and every version there was."""
    language = _language(request.args.get("language", "en"))
    number = request.args.get("from", type=int)
    if number is None:
        number = form_texts.number_in_use(db.session(), language)
    parts = form_texts.parts_of(db.session(), language, number)
    if parts is None:
        abort(404)
    return _show(language, parts)


@blueprint.post("/settings/texts")
@staff_only(RoleName.ADMIN)
def texts_new() -> ResponseReturnValue:
    """Keep what was written as a version, and show it as visitors would read it."""
    language = _language(request.form.get("language", ""))
    parts = {part: _typed(part) for part in form_texts.PARTS}
    flaws = form_texts.flaws_of(parts)
    if flaws:
        return _show(language, parts, {flaw.part: _sentence(flaw) for flaw in reversed(flaws)})
    version = form_texts.keep_version(db.session(), language, parts, me().id, web.now())
    db.session.commit()
    return redirect(
        url_for("dashboard.texts_version", language=language, number=version.number), 303
    )


@blueprint.get("/settings/texts/version")
@staff_only(RoleName.ADMIN)
def texts_version() -> ResponseReturnValue:
    """One version as visitors would read it."""
    language, number = _language(request.args.get("language", "en")), _number(request.args)
    parts = form_texts.parts_of(db.session(), language, number)
    if parts is None:
        abort(404)
    return render_template(
        "dashboard/settings_texts_version.html",
        language=language,
        languages=web.LANGUAGES,
        number=number,
        in_use=form_texts.number_in_use(db.session(), language),
        text=form_texts.words_of(parts, web.settings().clinic, number),
    )


@blueprint.post("/settings/texts/use")
@staff_only(RoleName.ADMIN)
def texts_use() -> ResponseReturnValue:
    """Let visitors read this version from now on."""
    language, number = _language(request.form.get("language", "")), _number(request.form)
    before = form_texts.number_in_use(db.session(), language)
    if not form_texts.use_version(db.session(), language, number, web.now()):
        abort(404)
    setting_changes.record(
        db.session(),
        AREA,
        web.LANGUAGES[language],
        {"version": str(before)},
        {"version": str(number)},
        me().id,
        web.now(),
    )
    db.session.commit()
    flash(gettext("Visitors read version %(number)s within half a minute.", number=number))
    return redirect(url_for("dashboard.texts", language=language), 303)


def _typed(part: str) -> str:
    typed = request.form.get(part, "").replace("\r\n", "\n").strip()
    return typed if part not in form_texts.LINES else " ".join(typed.split())


def _language(typed: str) -> str:
    if typed not in web.LANGUAGES:
        abort(400)
    return typed


def _number(typed: Mapping[str, str]) -> int:
    number = typed.get("number", "")
    if not number.isascii() or not number.isdigit() or len(number) > 6:
        abort(400)
    return int(number)


def _sentence(flaw: form_texts.Flaw) -> str:
    if flaw.kind == "empty":
        return str(gettext("Write something here: the form cannot do without it."))
    if flaw.kind == "too_long":
        return str(gettext("Shorten this to %(most)s characters.", most=flaw.words))
    if flaw.kind == "name":
        return str(gettext("There is no name “%(name)s” to fill in here.", name=flaw.words))
    if flaw.kind == "lines":
        return str(gettext("Write this in one line of plain characters."))
    return str(gettext("We may not say “%(phrase)s”: %(why)s.", phrase=flaw.words, why=flaw.reason))


def _show(
    language: str, parts: Mapping[str, str], problems: Mapping[str, str] | None = None
) -> ResponseReturnValue:
    page = render_template(
        "dashboard/settings_texts.html",
        language=language,
        languages=web.LANGUAGES,
        parts=parts,
        labels=words.FORM_PART,
        lines=form_texts.LINES,
        longest=form_texts.PARTS,
        names=form_texts.NAMES,
        in_use=form_texts.number_in_use(db.session(), language),
        versions=form_texts.versions(db.session(), language),
        consents=[current_text(kind, language) for kind in ConsentKind],
        changes=setting_changes.latest(db.session(), AREA),
        problems=problems or {},
    )
    return page, 422 if problems else 200
