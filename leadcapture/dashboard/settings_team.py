"""Settings of the team: who takes new requests, in which languages, when, and who is out."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy import select
from sqlalchemy.orm import lazyload

from leadcapture import web
from leadcapture.accounts.access import RoleName, me, staff_only
from leadcapture.dashboard.blueprint import blueprint
from leadcapture.dashboard.settings_hours import day_names, told_span, typed_week
from leadcapture.database import db
from leadcapture.leads import assignment, clock, cover, setting_changes
from leadcapture.leads.hours import read_week, write_span
from leadcapture.models import Roster, Staff

AREA = "team"
_NO_SHIFTS = (None,) * 7


@blueprint.get("/settings/team")
@staff_only(RoleName.ADMIN)
def team() -> ResponseReturnValue:
    """Everybody who may sign in, and what each one takes on."""
    return _show()


@blueprint.post("/settings/team")
@staff_only(RoleName.ADMIN)
def team_change() -> ResponseReturnValue:
    """Keep one person's line of the roster."""
    email = request.form.get("member", "")
    member = db.session.scalar(select(Staff).where(Staff.email == email, Staff.active))
    if member is None:
        abort(400)
    problems: dict[str, str] = {}
    line = db.session.get(Roster, member.id) or Roster(staff_id=member.id)
    shifts = typed_week(problems, read_week(line.shifts) if line.shifts else _NO_SHIFTS)
    out_until, stands_in = _typed_return(problems), _typed_cover(problems, member)
    if problems:
        return _show(member, problems)
    before = _told(line) if line.takes_requests is not None else {}
    line.takes_requests = "takes_requests" in request.form
    line.languages = [code for code in web.LANGUAGES if code in request.form.getlist("languages")]
    line.shifts = [write_span(span) for span in shifts] if any(shifts) else None
    line.out_until, line.cover_id = out_until, stands_in.id if stands_in else None
    db.session.add(line)
    changed = setting_changes.record(
        db.session(), AREA, member.name, before, _told(line), me().id, web.now()
    )
    db.session.commit()
    kept = gettext("Saved for %(name)s.", name=member.name)
    flash(kept if changed else gettext("Nothing was changed."))
    return redirect(url_for("dashboard.team"), 303)


def _told(line: Roster) -> dict[str, str]:
    """A line of the roster as the record of changes shows it."""
    zone = ZoneInfo(web.settings().clinic.time_zone)
    back = line.out_until.astimezone(zone).date().isoformat() if line.out_until else ""
    week = read_week(line.shifts) if line.shifts else _NO_SHIFTS
    stands_in = db.session.get(Staff, line.cover_id) if line.cover_id else None
    return {
        "takes_requests": "yes" if line.takes_requests else "no",
        "languages": ", ".join(str(web.LANGUAGES.get(code, code)) for code in line.languages),
        "back_on": back,
        "cover": stands_in.name if stands_in else "",
    } | {f"day-{number}": told_span(span) for number, span in enumerate(week)}


def _typed_return(problems: dict[str, str]) -> datetime | None:
    """The start, on the clinic's clock, of the day on which the person is back."""
    typed = request.form.get("back_on", "").strip()
    if not typed:
        return None
    try:
        zone = ZoneInfo(web.settings().clinic.time_zone)
        back = datetime.combine(date.fromisoformat(typed), time(), zone).astimezone(UTC)
    except (ValueError, OverflowError):
        problems["back_on"] = gettext("Give a day such as 2026-12-24.")
        return None
    if back <= web.now():
        problems["back_on"] = gettext("Choose a day after today, or none for who is here.")
        return None
    return back


def _typed_cover(problems: dict[str, str], member: Staff) -> Staff | None:
    """Who was named to stand in; None for whoever is on duty."""
    typed = request.form.get("cover", "")
    if not typed:
        return None
    named = db.session.scalar(
        select(Staff).where(Staff.email == typed, Staff.active, Staff.id != member.id)
    )
    if named is None:
        problems["cover"] = gettext("Choose a colleague who may sign in, or whoever is on duty.")
    return named


def _show(
    wrong: Staff | None = None, problems: Mapping[str, str] | None = None
) -> ResponseReturnValue:
    now = web.now()
    rules = clock.read_rules(db.session(), web.settings().clinic.time_zone)
    members = db.session.scalars(
        select(Staff)
        .where(Staff.active)
        .options(lazyload(Staff.roles))
        .order_by(Staff.name, Staff.id)
        .limit(100)
    ).all()
    lines = {line.staff_id: line for line in db.session.scalars(select(Roster))}
    on_duty = {line.staff_id for line in assignment.on_duty(db.session(), rules, now)}
    page = render_template(
        "dashboard/settings_team.html",
        members=[
            (member, line, read_week(line.shifts) if line and line.shifts else _NO_SHIFTS)
            for member in members
            for line in (lines.get(member.id),)
        ],
        on_duty=on_duty,
        absent=cover.absences(db.session(), now),
        day_names=day_names(),
        languages=web.LANGUAGES,
        now=now,
        changes=setting_changes.latest(db.session(), AREA),
        wrong=wrong,
        problems=problems or {},
        form=request.form,
    )
    return page, 422 if problems else 200
