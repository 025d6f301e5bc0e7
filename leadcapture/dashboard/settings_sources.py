"""Settings of sources: the names under which reports and lists tell where requests come from."""

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy import select

from leadcapture import web
from leadcapture.accounts.access import RoleName, me, staff_only
from leadcapture.dashboard.blueprint import blueprint
from leadcapture.database import db
from leadcapture.leads import clock, setting_changes
from leadcapture.leads import sources as ways
from leadcapture.models import SourceRule

AREA = "sources"
LONGEST_NAME = 60
_LONGEST_WORD = 80
_MOST_RULES = 100


@blueprint.get("/settings/sources")
@staff_only(RoleName.ADMIN)
def sources() -> ResponseReturnValue:
    """The rules in their order, how they name the latest requests, and a form for one more."""
    return _show(typed=request.args)


@blueprint.post("/settings/sources")
@staff_only(RoleName.ADMIN)
def sources_new() -> ResponseReturnValue:
    """Add a rule behind the others."""
    rules = ways.read_rules(db.session())
    name, conditions = _typed_name(), _typed_conditions()
    problems = _problems(rules, name, conditions)
    if len(rules) >= _MOST_RULES:
        problems["name"] = gettext("There are %(most)s already: remove one.", most=_MOST_RULES)
    if problems:
        return _show(problems, request.form)
    rule = ways.add_rule(db.session(), name, conditions)
    _keep(name, {}, _told(rule), gettext("Added. All requests, old ones too, are named anew."))
    return redirect(url_for("dashboard.sources"), 303)


@blueprint.post("/settings/sources/<ref>")
@staff_only(RoleName.ADMIN)
def source(ref: str) -> ResponseReturnValue:
    """Change a rule's name or what it asks for."""
    rule = _find(ref)
    name, conditions = _typed_name(), _typed_conditions()
    problems = _problems(ways.read_rules(db.session()), name, conditions, rule)
    if problems:
        return _show(problems, request.form, rule)
    before = _told(rule)
    rule.name, rule.conditions = name, conditions
    _keep(name, before, _told(rule), gettext("Saved. All requests, old ones too, are named anew."))
    return redirect(url_for("dashboard.sources"), 303)


@blueprint.post("/settings/sources/<ref>/position")
@staff_only(RoleName.ADMIN)
def source_position(ref: str) -> ResponseReturnValue:
    """Try a rule earlier."""
    rule = _find(ref)
    places = {own.id: str(n) for n, own in enumerate(ways.read_rules(db.session()), start=1)}
    passed = ways.move_earlier(db.session(), rule)
    if passed is not None:
        told = gettext(
            "“%(name)s” is tried before “%(other)s” now.", name=rule.name, other=passed.name
        )
        _keep(rule.name, {"place": places[rule.id]}, {"place": places[passed.id]}, told)
    return redirect(url_for("dashboard.sources"), 303)


@blueprint.post("/settings/sources/<ref>/removal")
@staff_only(RoleName.ADMIN)
def source_removal(ref: str) -> ResponseReturnValue:
    """Remove a rule; it still stands in the form for a new one, so that one press undoes it."""
    rule = _find(ref)
    before = _told(rule)
    again = urlencode({"name": rule.name, **rule.conditions})
    db.session.delete(rule)
    told = gettext("Removed. It still stands in the form below: “Add” brings it back.")
    _keep(rule.name, before, {}, told)
    return redirect(f"{url_for('dashboard.sources')}?{again}#new", 303)


def _keep(name: str, before: Mapping[str, str], after: Mapping[str, str], told: str) -> None:
    changed = setting_changes.record(db.session(), AREA, name, before, after, me().id, web.now())
    db.session.commit()
    flash(told if changed else gettext("Nothing was changed."))


def _find(ref: str) -> SourceRule:
    rule = db.session.scalar(select(SourceRule).where(SourceRule.ref == ref))
    if rule is None:
        abort(404)
    return rule


def _typed_name() -> str:
    return " ".join(request.form.get("name", "").split())


def _typed_conditions() -> dict[str, str]:
    typed = {field: request.form.get(field, "").strip().lower() for field in ways.FIELDS}
    return {field: word for field, word in typed.items() if word}


def _problems(
    rules: Sequence[SourceRule],
    name: str,
    conditions: Mapping[str, str],
    rule: SourceRule | None = None,
) -> dict[str, str]:
    problems = {}
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        problems["name"] = gettext("Give a name of 1 to %(most)s characters.", most=LONGEST_NAME)
    if not conditions:
        problems["utm_source"] = gettext("Fill in one field at least, or the rule names everybody.")
    for field, word in conditions.items():
        if len(word) > _LONGEST_WORD or not word.isprintable():
            problems[field] = gettext("Shorten this to %(most)s characters.", most=_LONGEST_WORD)
    if conditions.get("channel", clock.CHANNELS[0]) not in clock.CHANNELS:
        problems["channel"] = gettext("Choose one of the ways in.")
    if twin := ways.twin_of(rules, conditions, rule):
        problems["utm_source"] = gettext("“%(name)s” asks for exactly this.", name=twin.name)
    return problems


def _told(rule: SourceRule) -> dict[str, str]:
    return {
        "name": rule.name,
        "conditions": " & ".join(f"{field}={word}" for field, word in rule.conditions.items()),
    }


def _show(
    problems: Mapping[str, str] | None = None,
    typed: Mapping[str, str] | None = None,
    wrong: SourceRule | None = None,
) -> ResponseReturnValue:
    """``wrong`` is the rule whose form was sent; without it the form for a new one was."""
    rules = ways.read_rules(db.session())
    page = render_template(
        "dashboard/settings_sources.html",
        rules=rules,
        recent=ways.recent_ways(db.session(), rules),
        fields=ways.FIELDS,
        channels=clock.CHANNELS,
        changes=setting_changes.latest(db.session(), AREA),
        problems=problems or {},
        typed=typed or {},
        wrong=wrong,
    )
    return page, 422 if problems else 200
