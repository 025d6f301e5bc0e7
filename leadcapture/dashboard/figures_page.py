"""Reports: the clinic's figures of some days, as charts, as tables and as files."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import Response, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString, gettext, lazy_gettext

from leadcapture import web
from leadcapture.accounts.access import EVERYONE, staff_only
from leadcapture.dashboard import names, words
from leadcapture.dashboard.blueprint import blueprint
from leadcapture.dashboard.times import minutes
from leadcapture.database import db
from leadcapture.leads import clock, csv_safe, figures
from leadcapture.leads.figures import Figures, Period
from leadcapture.leads.responses import Responses

PERIODS = ("7", "30", "90", "month")
USUAL = "30"
# More would be neither told apart nor read.
_SOURCES = 5
_LETTERS = {
    "sent": ("sent",),
    "queued": ("queued", "claimed", "sending"),
    "bounced": ("bounced",),
    "failed": ("failed",),
    "uncertain": ("uncertain",),
    "held": ("held",),
    "cancelled": ("cancelled",),
    "suppressed": ("suppressed",),
    "expired": ("expired",),
}
_STAGE: Mapping[str, LazyString] = {
    "asked": lazy_gettext("Asked"),
    "reached": lazy_gettext("Reached"),
    "booked": lazy_gettext("Booked"),
    "patient": lazy_gettext("Became a patient"),
}

Cell = str | int | date | None


@dataclass(frozen=True)
class Column:
    """A column's heading, and what stands in it: word, day, count, minutes or percent."""

    heading: str
    kind: str
    has_bar: bool = False


@dataclass(frozen=True)
class Table:
    """The numbers of a chart: the page draws them, shows them, and gives them as CSV."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]

    def after_head(self, row: Sequence[Cell]) -> Iterator[tuple[Column, Cell]]:
        """The cells of a row after its heading, each with its column."""
        return zip(self.columns[1:], row[1:], strict=True)

    @property
    def most(self) -> int:
        """The largest number of the column with bars: so long is its bar."""
        at = next((at for at, column in enumerate(self.columns) if column.has_bar), 0)
        return max((number for row in self.rows if isinstance(number := row[at], int)), default=0)


@blueprint.get("/reports")
@staff_only(*EVERYONE)
def reports() -> ResponseReturnValue:
    """The figures of a period; which one stands in the address."""
    today = web.now().astimezone(_zone()).date()
    chosen, period, problem = _read_period(today)
    found, ready = _read(period)
    page = render_template(
        "dashboard/figures.html",
        figures=found,
        ready=ready,
        tables={name: table(found) for name, table in TABLES.items()} if found else {},
        chosen=chosen,
        periods=PERIODS,
        words_of_period=_words_of_period(),
        period=period,
        today=today,
        earliest=today - timedelta(days=figures.LONGEST - 1),
        typed=request.args,
        problem=problem,
        address=_address(chosen, period),
        target=minutes(_rules().target // timedelta(minutes=1)),
    )
    return page, 422 if problem else 200


@blueprint.get("/reports/table")
@staff_only(*EVERYONE)
def reports_table() -> ResponseReturnValue:
    """The numbers of one chart as CSV: minutes and percent as plain numbers."""
    table_of = TABLES.get(request.args.get("of", ""))
    chosen, period, problem = _read_period(web.now().astimezone(_zone()).date())
    if table_of is None or problem:
        abort(404)
    found, _ = _read(period)
    if found is None:
        # The page says how far the counting has come.
        return redirect(url_for("dashboard.reports", **_address(chosen, period)), 303)
    table = table_of(found)
    rows = [["" if cell is None else str(cell) for cell in row] for row in table.rows]
    lines = csv_safe.write_rows([[column.heading for column in table.columns], *rows])
    name = f"{request.args['of']}-{period.first}-{period.last}.csv"
    return Response(
        (csv_safe.BOM + lines).encode(),
        mimetype="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _requests(found: Figures) -> Table:
    shown = list(found.sources[:_SOURCES])
    rest = list(found.sources[_SOURCES:])
    columns = [Column(gettext("Day"), "day")]
    columns += [Column(words.of(words.CHANNEL, name), "count") for name in shown]
    columns += [Column(gettext("Others"), "count")] if rest else []
    rows: list[list[Cell]] = []
    for day, numbers in found.requests.items():
        row: list[Cell] = [day, *(numbers.get(name, 0) for name in shown)]
        rows.append([*row, sum(numbers.get(name, 0) for name in rest)] if rest else row)
    return Table(columns, rows)


def _funnel(found: Figures) -> Table:
    asked = found.funnel["asked"]
    columns = [
        Column(gettext("Step"), "word"),
        Column(gettext("People"), "count", has_bar=True),
        Column(gettext("Share"), "percent"),
    ]
    return Table(
        columns,
        [
            [str(_STAGE[stage]), number, round(100 * number / asked) if asked else None]
            for stage, number in found.funnel.items()
        ],
    )


def _hours(found: Figures) -> Table:
    busy = found.hours
    hours = range(min(busy), max(busy) + 1) if busy else range(0)
    rows = [(f"{hour:02}:00", busy.get(hour, Responses())) for hour in hours]
    return _responses(gettext("Asked at"), rows)


def _languages(found: Figures) -> Table:
    rows = [(names.language_name(code), told) for code, told in found.languages.items()]
    return _responses(gettext("Language"), rows)


def _people(found: Figures) -> Table:
    return _responses(gettext("Answered by"), list(found.people.items()))


def _responses(heading: str, rows: Sequence[tuple[str, Responses]]) -> Table:
    columns = [
        Column(heading, "word"),
        Column(gettext("Answered"), "count"),
        Column(gettext("Median"), "minutes", has_bar=True),
        Column(gettext("9 in 10 within"), "minutes"),
        Column(gettext("In time"), "percent"),
    ]
    return Table(
        columns,
        [[name, told.answered, told.median, told.p90, told.share] for name, told in rows],
    )


def _letters(found: Figures) -> Table:
    numbers = {
        outcome: sum(found.letters.get(state, 0) for state in states)
        for outcome, states in _LETTERS.items()
    }
    total = sum(numbers.values())
    columns = [
        Column(gettext("Outcome"), "word"),
        Column(gettext("Letters"), "count", has_bar=True),
        Column(gettext("Share"), "percent"),
    ]
    return Table(
        columns,
        [
            [words.of(words.MESSAGE_STATE, outcome), number, round(100 * number / total)]
            for outcome, number in numbers.items()
            if number
        ],
    )


TABLES: Mapping[str, Callable[[Figures], Table]] = {
    "requests": _requests,
    "funnel": _funnel,
    "hours": _hours,
    "languages": _languages,
    "people": _people,
    "letters": _letters,
}


def _read(period: Period) -> tuple[Figures | None, int]:
    """The figures; or, while too much is to be reckoned, how many of the days are ready."""
    try:
        return figures.read_figures(db.session(), period, _rules(), web.now()), len(period.days)
    except figures.StillCounting as counting:
        return None, counting.args[0]


def _rules() -> clock.Rules:
    return clock.current_rules(db.session(), web.now(), web.settings().clinic.time_zone)


def _zone() -> ZoneInfo:
    return ZoneInfo(web.settings().clinic.time_zone)


def _read_period(today: date) -> tuple[str, Period, str]:
    """Which choice is made, its days, and what is wrong with it."""
    usual = Period(today - timedelta(days=int(USUAL) - 1), today)
    typed = request.args.get("from", ""), request.args.get("to", "")
    if any(typed):
        try:
            first, last = (date.fromisoformat(day) if day else today for day in typed)
        except ValueError:
            return "days", usual, gettext("Give both days, such as 2026-03-01.")
        if first > last or last > today:
            return "days", usual, gettext("The first day comes before the last, today at most.")
        if (last - first).days >= figures.LONGEST or first.year < 1970:
            most = gettext("Choose %(number)s days at most.", number=figures.LONGEST)
            return "days", usual, most
        return "days", Period(first, last), ""
    chosen = request.args.get("period", USUAL)
    if chosen == "month":
        return chosen, Period(today.replace(day=1), today), ""
    if chosen not in PERIODS:
        return USUAL, usual, ""
    return chosen, Period(today - timedelta(days=int(chosen) - 1), today), ""


def _address(chosen: str, period: Period) -> Mapping[str, Any]:
    if chosen != "days":
        return {"period": chosen}
    return {"from": period.first.isoformat(), "to": period.last.isoformat()}


def _words_of_period() -> Mapping[str, str]:
    days = {
        number: gettext("%(number)s days", number=number) for number in PERIODS if number.isdigit()
    }
    return days | {"month": gettext("This month")}
