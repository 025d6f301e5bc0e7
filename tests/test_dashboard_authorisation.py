"""Who may ask for what: every route times every role equals the table here (WS-13, WS-15)."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.routing import Rule

from leadcapture.models import Lead, Message, Request, Staff, Task, TimelineEntry
from leadcapture.settings import Settings
from tests.conftest import make_visitor
from tests.people import a_lead, a_message, a_request, a_staff_member
from tests.visitors import Visitor

ROLES = ("admin", "coordinator", "front_desk")
PUBLIC = ("anonymous", "nobody", *ROLES)
STAFF = ROLES
CARE = ("admin", "coordinator")
ADMIN = ("admin",)

# A route that is not here has had no decision, and fails the first test below.
WHO = {
    "static": PUBLIC,
    "health.alive": PUBLIC,
    "health.ready": PUBLIC,
    "metrics.show": PUBLIC,  # Asks for a token itself, or for a client on this machine.
    "public.*": PUBLIC,
    "mailbox.*": PUBLIC,  # Exists only where `up` runs its own mailbox on loopback.
    "security.login": PUBLIC,
    "security.logout": PUBLIC,
    "accounts.welcome": PUBLIC,
    "accounts.account": PUBLIC,
    "accounts.arrival": STAFF,
    "accounts.time_left": STAFF,
    "accounts.sign_of_life": STAFF,
    "dashboard.now": STAFF,
    "dashboard.leads": STAFF,
    "dashboard.lead": STAFF,
    "dashboard.pipeline": STAFF,
    "dashboard.move": STAFF,
    "dashboard.acts": STAFF,
    "dashboard.act_undoing": STAFF,
    "dashboard.list_columns": STAFF,
    "dashboard.saved_views": STAFF,
    "dashboard.saved_views_new": STAFF,
    "dashboard.saved_view": STAFF,
    "dashboard.saved_view_list": STAFF,
    "dashboard.saved_view_removal": STAFF,
    "dashboard.status": STAFF,
    "dashboard.calls": STAFF,
    "dashboard.notes": STAFF,
    "dashboard.owner": STAFF,
    "dashboard.details_page": STAFF,
    "dashboard.details_change": STAFF,
    "dashboard.merging_page": CARE,
    "dashboard.merging_done": CARE,
    "dashboard.merge_undoing": CARE,
    "dashboard.difference": CARE,
    "dashboard.assignee": STAFF,
    "dashboard.hours": ADMIN,
    "dashboard.hours_change": ADMIN,
    "dashboard.team": ADMIN,
    "dashboard.team_change": ADMIN,
    "dashboard.accounts": ADMIN,
    "dashboard.account_role": ADMIN,
    "dashboard.account_state": ADMIN,
    "dashboard.invitation": ADMIN,
    "dashboard.invitation_withdrawal": ADMIN,
    "dashboard.sources": ADMIN,
    "dashboard.sources_new": ADMIN,
    "dashboard.source": ADMIN,
    "dashboard.source_position": ADMIN,
    "dashboard.source_removal": ADMIN,
    "dashboard.services": ADMIN,
    "dashboard.services_new": ADMIN,
    "dashboard.service_removal": ADMIN,
    "dashboard.services_trial": ADMIN,
    "dashboard.tags": ADMIN,
    "dashboard.tags_new": ADMIN,
    "dashboard.tag": ADMIN,
    "dashboard.tag_archive": ADMIN,
    "dashboard.packet_ways": ADMIN,
    "dashboard.packet_ways_change": ADMIN,
    "dashboard.texts": ADMIN,
    "dashboard.texts_new": ADMIN,
    "dashboard.texts_version": ADMIN,
    "dashboard.texts_use": ADMIN,
    "dashboard.packet": STAFF,
    "dashboard.follow_ups": STAFF,
    "dashboard.letter_settlement": STAFF,
    "dashboard.letter_release": STAFF,
    "dashboard.letter_plan": STAFF,
    "dashboard.lead_tags": STAFF,
    "dashboard.lead_task": STAFF,
    "dashboard.task_completion": STAFF,
    "dashboard.task_reopening": STAFF,
    "dashboard.task_snooze": STAFF,
    "dashboard.request_decision": CARE,
    "dashboard.request_new": STAFF,
    "dashboard.requests": STAFF,
    "dashboard.request_people": STAFF,
    "dashboard.mail_opening": CARE,
    "dashboard.inbound_mail": CARE,
    "dashboard.outbox_release": CARE,
    "dashboard.all_changes": STAFF,
    "dashboard.lead_changes": STAFF,
    "dashboard.lead_presence": STAFF,
    "dashboard.next_waiting": STAFF,
    "dashboard.keys": STAFF,
    "dashboard.keys_switch": STAFF,
    "dashboard.kept": STAFF,
    "dashboard.reports": STAFF,
    "dashboard.reports_table": STAFF,
    "dashboard.exports": STAFF,
    "dashboard.export_new": STAFF,
    "dashboard.export": STAFF,
    "dashboard.export_approval": CARE,
    "dashboard.export_cancellation": STAFF,
    "dashboard.export_file": STAFF,
    "dashboard.my_calendar": STAFF,
    "dashboard.my_calendar_link": STAFF,
    "dashboard.my_calendar_removal": STAFF,
    "dashboard.my_language": STAFF,
    "calendar.feed": PUBLIC,  # The link is the key: 256 random bits, revocable.
    "dashboard.kept_dropped": STAFF,
}


def who_may(endpoint: str) -> tuple[str, ...] | None:
    return WHO.get(endpoint) or WHO.get(endpoint.partition(".")[0] + ".*")


def test_every_route_has_a_decision(app: Flask) -> None:
    undecided = {
        rule.endpoint for rule in app.url_map.iter_rules() if who_may(rule.endpoint) is None
    }
    assert undecided == set()


def test_every_decision_has_its_route(app: Flask) -> None:
    endpoints = {rule.endpoint for rule in app.url_map.iter_rules()}
    assert {name for name in WHO if not name.endswith(".*")} <= endpoints


@dataclass
class Caller:
    """Somebody at a browser, with the token that their session's forms carry."""

    visitor: Visitor
    token: str

    def ask(self, method: str, path: str) -> int:
        """The status; 303 only where it leads to the sign-in page, else what was done: 200."""
        typed = {"csrf_token": self.token} if method == "POST" else None
        answer = self.visitor.open(path, method=method, data=typed)
        if answer.status_code == 303 and answer.location != "/sign-in":
            return 200
        return answer.status_code


@pytest.fixture
def callers(app: Flask, settings: Settings, session: Session) -> dict[str, Caller]:
    """Somebody who is not signed in, somebody without a role, and one of each role."""

    def caller(staff: Staff | None) -> Caller:
        visitor = make_visitor(app, settings, session)
        page = visitor.page("/sign-in")
        if staff is not None:
            visitor.enter(staff)
        return Caller(visitor, page.form("/sign-in")["csrf_token"][0])

    with app.app_context():
        staff = {role: a_staff_member(session, role) for role in ROLES}
        staff["nobody"] = a_staff_member(session)
        staff["nobody"].roles = []
    session.commit()
    signed_in = {role: caller(member) for role, member in staff.items()}
    return {"anonymous": caller(None), **signed_in}


@pytest.fixture
def address_of(session: Session) -> Callable[[Rule], str]:
    """An address at which a route meets something real."""
    lead = a_lead(session)
    request = a_request(session, lead)
    message = a_message(session, lead)
    session.commit()
    values = {"receipt": request.receipt, "token": "nonsense"}

    def address(rule: Rule) -> str:
        ref = message.ref if "letter" in rule.rule else lead.ref
        path = rule.rule
        for argument in rule.arguments:
            value = values.get(argument, ref)
            for opened in (f"<{argument}>", f"<string:{argument}>"):
                path = path.replace(opened, value)
        return path

    return address


def test_each_role_is_let_in_or_kept_out_as_the_table_says(
    app: Flask, callers: dict[str, Caller], address_of: Callable[[Rule], str]
) -> None:
    wrong = []
    for rule in app.url_map.iter_rules():
        allowed = who_may(rule.endpoint) or ()
        if allowed == PUBLIC:
            continue
        for role, caller in callers.items():
            for method in sorted((rule.methods or set()) & {"GET", "POST"}):
                status = caller.ask(method, address_of(rule))
                if (status not in (303, 403)) != (role in allowed) or status >= 500:
                    wrong.append(f"{role} {method} {rule.rule}: {status}")
    assert wrong == []


def test_a_staff_page_takes_only_the_methods_it_has(
    app: Flask, callers: dict[str, Caller], address_of: Callable[[Rule], str]
) -> None:
    for rule in app.url_map.iter_rules("dashboard.leads"):
        for method in ("PUT", "DELETE", "PATCH", "TRACE", "POST", "BREW"):
            assert callers["admin"].ask(method, address_of(rule)) in (405, 501)


def test_no_staff_form_is_taken_without_its_token(
    app: Flask, callers: dict[str, Caller], address_of: Callable[[Rule], str], session: Session
) -> None:
    caller = callers["admin"]
    caller.token = "forged"
    before = everything(session)
    posts = [
        rule
        for rule in app.url_map.iter_rules()
        if "POST" in (rule.methods or set()) and rule.endpoint.startswith("dashboard.")
    ]
    assert {caller.ask("POST", address_of(rule)) for rule in posts} == {400}
    assert everything(session) == before


def everything(session: Session) -> dict[str, int]:
    return {
        model.__name__: session.scalar(select(func.count()).select_from(model)) or 0
        for model in (Lead, Request, Message, Task, TimelineEntry)
    }
