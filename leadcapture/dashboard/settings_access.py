"""Settings of sign-in: who may, in which role; inviting a colleague; closing an account."""

from collections.abc import Callable, Mapping
from datetime import datetime

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy import select

from leadcapture import web
from leadcapture.accounts import invitations, team
from leadcapture.accounts.access import RoleName, me, staff_only
from leadcapture.accounts.step_up import GuessedTooOften, is_password_of_mine
from leadcapture.dashboard import words
from leadcapture.dashboard.blueprint import blueprint
from leadcapture.database import db
from leadcapture.leads import setting_changes
from leadcapture.models import Staff

AREA = "access"


@blueprint.get("/settings/accounts")
@staff_only(RoleName.ADMIN)
def accounts() -> ResponseReturnValue:
    """Everybody who has an account, open or closed, and the invitations that still open."""
    return _show()


@blueprint.post("/settings/accounts/role")
@staff_only(RoleName.ADMIN)
def account_role() -> ResponseReturnValue:
    """Give a colleague another role; they are signed out everywhere."""
    member, role = _member(), _typed_role()
    before = ", ".join(own.name for own in member.roles)
    return _change(
        member,
        lambda: team.change_role(db.session(), member, role),
        {"role": before},
        {"role": role.value},
        gettext(
            "%(name)s is now: %(role)s. Whatever they had open is signed out.",
            name=member.name,
            role=words.ROLE[role],
        ),
    )


@blueprint.post("/settings/accounts/state")
@staff_only(RoleName.ADMIN)
def account_state() -> ResponseReturnValue:
    """Close an account, or open it again."""
    member, state = _member(), request.form.get("state", "")
    if state == "closed":
        return _change(
            member,
            lambda: team.disable(db.session(), member),
            {"account": "open"},
            {"account": "closed"},
            gettext(
                "The account of %(name)s is closed, and whatever they had open is signed out. "
                "Those who wait for them go to a colleague on duty.",
                name=member.name,
            ),
        )
    if state != "open":
        abort(400)
    return _change(
        member,
        lambda: team.enable(db.session(), member),
        {"account": "closed"},
        {"account": "open"},
        gettext("%(name)s may sign in again, with the password they had.", name=member.name),
    )


@blueprint.post("/settings/invitations")
@staff_only(RoleName.ADMIN)
def invitation() -> ResponseReturnValue:
    """Make a one-time link and show it, this once."""
    role = _typed_role()
    if wrong := _why_not_me("invitation"):
        return _show(wrong)
    now = web.now()
    token = invitations.invite(db.session(), role, now)
    _record(str(words.ROLE[role]), {}, {"invitation": "open"}, now)
    db.session.commit()
    # No redirect: the link stands nowhere but in this answer, only its hash is kept.
    return _show(link=web.settings().public_url + url_for("accounts.welcome", token=token))


@blueprint.post("/settings/invitations/withdrawal")
@staff_only(RoleName.ADMIN)
def invitation_withdrawal() -> ResponseReturnValue:
    """Let an invitation open nothing any more."""
    typed = request.form.get("invitation", "")
    withdrawn = team.withdraw_invitation(db.session(), typed, web.now())
    if withdrawn is not None:
        role = words.of(words.ROLE, withdrawn.role)
        _record(role, {"invitation": "open"}, {"invitation": "withdrawn"}, web.now())
        flash(gettext("Withdrawn: the link opens nothing any more."))
    else:
        flash(gettext("That invitation had been used or had run out."))
    db.session.commit()
    return redirect(url_for("dashboard.accounts"), 303)


def _change(
    member: Staff,
    change: Callable[[], bool],
    before: Mapping[str, str],
    after: Mapping[str, str],
    told: str,
) -> ResponseReturnValue:
    """Make a change to an account, on record, if the password is right and an admin is left."""
    if wrong := _why_not_me(member.email):
        return _show(wrong)
    try:
        changed = change()
    except team.LastAdmin:
        db.session.rollback()
        why = gettext(
            "%(name)s is the only administrator. Make somebody else one first, or nobody could "
            "change these settings any more.",
            name=member.name,
        )
        return _show({member.email: why})
    if changed:
        _record(member.name, before, after, web.now())
    db.session.commit()
    flash(told if changed else gettext("Nothing was changed."))
    return redirect(url_for("dashboard.accounts"), 303)


def _why_not_me(about: str) -> dict[str, str]:
    """What is wrong with the password that was typed beside ``about``; empty where it is right."""
    try:
        if is_password_of_mine(request.form.get("password", "")):
            return {}
    except GuessedTooOften:
        abort(429)
    return {about: gettext("That is not your password, so nothing was changed.")}


def _record(
    subject: str, before: Mapping[str, str], after: Mapping[str, str], now: datetime
) -> None:
    setting_changes.record(db.session(), AREA, subject, before, after, me().id, now)


def _member() -> Staff:
    email = request.form.get("member", "")
    member = db.session.scalar(select(Staff).where(Staff.email == email))
    if member is None:
        abort(400)
    return member


def _typed_role() -> RoleName:
    typed = request.form.get("role", "")
    if typed not in set(RoleName):
        abort(400)
    return RoleName(typed)


def _show(problems: Mapping[str, str] | None = None, link: str = "") -> ResponseReturnValue:
    members = db.session.scalars(
        select(Staff).order_by(Staff.active.desc(), Staff.name, Staff.id).limit(100)
    ).all()
    page = render_template(
        "dashboard/settings_access.html",
        members=members,
        invited=team.open_invitations(db.session(), web.now()),
        roles=list(RoleName),
        me=me(),
        link=link,
        changes=setting_changes.latest(db.session(), AREA),
        problems=problems or {},
        form=request.form,
    )
    return page, 422 if problems else 200
