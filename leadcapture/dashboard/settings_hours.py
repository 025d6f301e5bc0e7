"""Settings of the clock: the clinic's hours, its holidays, and how soon a person answers."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import get_locale, gettext, ngettext

from leadcapture import web
from leadcapture.accounts.access import RoleName, me, staff_only
from leadcapture.dashboard.blueprint import blueprint
from leadcapture.database import db
from leadcapture.leads import clock, setting_changes
from leadcapture.leads.hours import Hours, Span, holidays_of, read_span, write_span

AREA = "hours"
LONGEST_TARGET = 7 * 24 * 60
_MINUTE = timedelta(minutes=1)
_MONDAY = date(2024, 1, 1)


@blueprint.get("/settings/hours")
@staff_only(RoleName.ADMIN)
def hours() -> ResponseReturnValue:
    """The hours, holidays and targets, with what they make of a request on a Friday."""
    return _show(clock.read_rules(db.session(), _zone()))


@blueprint.post("/settings/hours")
@staff_only(RoleName.ADMIN)
def hours_change() -> ResponseReturnValue:
    """Keep what was typed; every running clock is read anew."""
    rules = clock.read_rules(db.session(), _zone())
    problems: dict[str, str] = {}
    typed = _typed_rules(rules, problems)
    if problems:
        # The special days as they are kept: the one to add and those to remove are still to send.
        return _show(typed, problems, rules.hours.exceptions)
    clock.keep_rules(db.session(), typed, _switched(), web.now())
    changed = setting_changes.record(
        db.session(), AREA, _clinic(), _told(rules), _told(typed), me().id, web.now()
    )
    db.session.commit()
    if changed:
        flash(gettext("Saved. Every running clock follows within a quarter of a minute."))
    else:
        flash(gettext("Nothing was changed."))
    return redirect(url_for("dashboard.hours"), 303)


def day_names() -> list[str]:
    """The days of the week from Monday, in the reader's language."""
    names: Mapping[int, str] = get_locale().days["stand-alone"]["wide"]
    return [names[number].capitalize() for number in range(7)]


def told_span(span: Span | None) -> str:
    """Two times of a day as the record of changes shows them; empty where there are none."""
    return "–".join(write_span(span) or [])


def typed_week(
    problems: dict[str, str], before: tuple[Span | None, ...]
) -> tuple[Span | None, ...]:
    """The seven days of a form; what cannot be read is told of and stays as it was."""
    return tuple(_typed_day(number, problems, span) for number, span in enumerate(before))


def _typed_day(number: int, problems: dict[str, str], before: Span | None) -> Span | None:
    return _typed_span(f"day-{number}", problems, before)


def _typed_span(field: str, problems: dict[str, str], before: Span | None) -> Span | None:
    opens = request.form.get(f"{field}-opens", "").strip()
    closes = request.form.get(f"{field}-closes", "").strip()
    if not opens and not closes:
        return None
    try:
        return read_span([opens, closes])
    except ValueError:
        problems[f"{field}-opens"] = gettext(
            "Give two times, the first before the second, such as 08:00 and 17:00; or leave both "
            "empty."
        )
        return before


def _typed_rules(rules: clock.Rules, problems: dict[str, str]) -> clock.Rules:
    week = typed_week(problems, rules.hours.week)
    if not any(week) and not problems:
        problems["day-0-opens"] = gettext("The clinic opens on one day of the week at least.")
        week = rules.hours.week
    targets = {
        channel: _typed_minutes(f"target-{channel}", problems, rules.target)
        for channel in clock.CHANNELS
        if request.form.get(f"target-{channel}", "").strip()
    }
    typed = replace(
        rules,
        hours=Hours(
            _zone(), week, _typed_exceptions(rules, problems), clock.closed_on(_switched())
        ),
        target=_typed_minutes("target", problems, rules.target),
        targets=targets,
        warn=_typed_minutes("warn", problems, rules.warn),
        then_next=_typed_minutes("next", problems, rules.then_next),
    )
    _check_warning(typed, problems)
    return typed


def _check_warning(typed: clock.Rules, problems: dict[str, str]) -> None:
    """Refuse a warning that would go out the moment somebody asks: it would warn of nothing."""
    lengths = {"target": typed.target} | {
        f"target-{channel}": length for channel, length in typed.targets.items()
    }
    # What could not be read stands here as it was before, which is not what was meant.
    read = [length for field, length in lengths.items() if field not in problems]
    if "warn" in problems or not read or typed.warn < min(read):
        return
    problems["warn"] = ngettext(
        "The owner would be warned as soon as somebody asks: of the times to a first answer the "
        "shortest is %(num)d minute. Make that time longer.",
        "The owner would be warned as soon as somebody asks: of the times to a first answer the "
        "shortest is %(num)d minutes. Give less here, or make that time longer.",
        int(min(read) / _MINUTE),
    )


def _typed_minutes(field: str, problems: dict[str, str], before: timedelta) -> timedelta:
    typed = request.form.get(field, "").strip()
    if typed.isascii() and typed.isdigit() and 1 <= int(typed[:6]) <= LONGEST_TARGET:
        return int(typed[:6]) * _MINUTE
    problems[field] = gettext("Give whole minutes, from 1 to %(most)s.", most=LONGEST_TARGET)
    return before


def _typed_exceptions(rules: clock.Rules, problems: dict[str, str]) -> dict[date, Span | None]:
    """The days that stay, and the one that was added."""
    kept = {
        day: span
        for day, span in rules.hours.exceptions.items()
        if f"drop-{day.isoformat()}" not in request.form
    }
    added = request.form.get("exception-day", "").strip()
    if added:
        try:
            kept[date.fromisoformat(added)] = _typed_span("exception", problems, None)
        except ValueError:
            problems["exception-day"] = gettext("Give a day such as 2026-12-24.")
    return kept


def _switched() -> dict[str, bool]:
    """What staff say of each holiday: all that the form showed."""
    return {
        name: name in request.form.getlist("holiday")
        for name in {name for names in holidays_of(web.now().year).values() for name in names}
    }


def _show(
    rules: clock.Rules,
    problems: Mapping[str, str] | None = None,
    exceptions: Mapping[date, Span | None] | None = None,
) -> ResponseReturnValue:
    kept = rules.hours.exceptions if exceptions is None else exceptions
    page = render_template(
        "dashboard/settings_hours.html",
        rules=rules,
        week=[*zip(day_names(), rules.hours.week, strict=True)],
        exceptions=sorted(kept.items()),
        holidays=[*_holidays(rules)],
        channels=clock.CHANNELS,
        previews=[*_previews(rules)],
        minutes=lambda length: int(length / _MINUTE),
        changes=setting_changes.latest(db.session(), AREA),
        problems=problems or {},
        form=request.form,
    )
    return page, 422 if problems else 200


def _told(rules: clock.Rules) -> dict[str, str]:
    """The rules as the record of changes shows them."""
    hours = rules.hours
    lengths = {"target": rules.target, "warn": rules.warn, "next": rules.then_next} | {
        f"target-{channel}": length for channel, length in rules.targets.items()
    }
    return (
        {name: str(int(length / _MINUTE)) for name, length in lengths.items()}
        | {f"day-{number}": told_span(span) for number, span in enumerate(hours.week)}
        | {
            f"date-{day.isoformat()}": told_span(span) or "closed"
            for day, span in sorted(hours.exceptions.items())
        }
        | {"holidays": ", ".join(sorted(hours.closed_on))}
    )


def _clinic() -> str:
    return web.settings().clinic.name


def _holidays(rules: clock.Rules) -> Iterator[tuple[date, str, str, bool]]:
    """Day, the name that is kept, the name that is read, and whether the clinic is closed."""
    year = web.now().year
    language = "es" if str(get_locale()) == "es" else "en_US"
    for day, names in sorted(holidays_of(year).items()):
        for name, read in zip(names, holidays_of(year, language)[day], strict=True):
            yield day, name, read, name in rules.hours.closed_on


def _previews(rules: clock.Rules) -> Iterator[tuple[datetime, datetime]]:
    """Requests of the coming days and when each is due."""
    zone = ZoneInfo(_zone())
    today = web.now().astimezone(zone).date()
    friday = today + timedelta(days=(4 - today.weekday()) % 7 or 7)
    for day, at in (
        (friday, time(9, 0)),
        (friday, time(16, 30)),
        (friday + timedelta(days=2), time(20, 0)),
    ):
        asked = datetime.combine(day, at, zone)
        yield asked, clock.due_at(asked, rules.hours, rules.target)


def _zone() -> str:
    return web.settings().clinic.time_zone
