"""Pages of accounts: the invitation's welcome, and the arrival after signing in."""

from typing import Any

from email_validator import EmailNotValidError, validate_email
from flask import Blueprint, Flask, abort, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, lazy_gettext
from flask_security import hash_password, login_user
from flask_wtf import FlaskForm
from sqlalchemy.exc import IntegrityError
from wtforms import EmailField, HiddenField, PasswordField, StringField
from wtforms.validators import DataRequired, EqualTo, Length, ValidationError

from leadcapture import web
from leadcapture.accounts import invitations, kept_forms
from leadcapture.accounts.access import EVERYONE, me, staff_only
from leadcapture.accounts.passwords import normal_form, why_not
from leadcapture.accounts.security import pop_wanted_page
from leadcapture.database import db

blueprint = Blueprint("accounts", __name__)


def register(app: Flask) -> None:
    app.register_blueprint(blueprint)


class WelcomeForm(FlaskForm):  # type: ignore[misc]
    """Who the new colleague is."""

    name = StringField(validators=[DataRequired(lazy_gettext("Enter your name.")), Length(max=100)])
    email = EmailField(
        validators=[DataRequired(lazy_gettext("Enter your email address.")), Length(max=254)]
    )
    language = HiddenField()
    password = PasswordField(validators=[DataRequired(lazy_gettext("Choose a password."))])
    repeated = PasswordField(
        validators=[EqualTo("password", lazy_gettext("The two passwords differ. Type it again."))]
    )

    def validate_email(self, field: EmailField) -> None:
        try:
            checked = validate_email(field.data or "", check_deliverability=False)
        except EmailNotValidError as error:
            raise ValidationError(
                gettext("Enter an address such as name@clinic.example.")
            ) from error
        field.data = checked.normalized.lower()

    def validate_password(self, field: PasswordField) -> None:
        about: dict[str, Any] = {"name": self.name.data or "", "email": self.email.data or ""}
        problem = why_not(normal_form(field.data or ""), web.settings().clinic, about)
        if problem:
            raise ValidationError(problem)


@blueprint.get("/welcome/<token>")
def welcome(token: str) -> ResponseReturnValue:
    """The page behind an invitation; looking at it uses nothing up."""
    return _welcome_page(token, WelcomeForm(formdata=None))


@blueprint.post("/welcome/<token>")
def account(token: str) -> ResponseReturnValue:
    """Make the account, sign its person in."""
    form = WelcomeForm()
    if invitations.state_of(db.session(), token, web.now()) != "open" or not form.validate():
        return _welcome_page(token, form)
    new = invitations.NewAccount(
        name=form.name.data.strip(),
        email=form.email.data,
        password_hash=hash_password(normal_form(form.password.data)),
        language=_language(form.language.data),
    )
    try:
        staff = invitations.accept(db.session(), token, new, web.now())
        db.session.commit()
    except invitations.InvitationUsed:
        return _welcome_page(token, form)
    except IntegrityError:
        db.session.rollback()
        form.email.errors = [gettext("An account with this address exists. Sign in instead.")]
        return _welcome_page(token, form)
    login_user(staff, authn_via=["password"])
    return redirect(url_for("dashboard.now"), 303)


@blueprint.get("/desk/arrival")
@staff_only(*EVERYONE)
def arrival() -> ResponseReturnValue:
    """Where signing in leads: the form that was kept, the page asked for, or the first one."""
    if kept_forms.find_kept(db.session(), web.vault(), me(), web.now()):
        return redirect(url_for("dashboard.kept"), 303)
    return redirect(pop_wanted_page() or url_for("dashboard.now"), 303)


def _language(spoken: str | None) -> str:
    return spoken if spoken in web.LANGUAGES else "en"


def _welcome_page(token: str, form: WelcomeForm) -> ResponseReturnValue:
    if len(token) > 100:
        abort(404)
    state = invitations.state_of(db.session(), token, web.now())
    page = render_template("accounts/welcome.html", form=form, state=state, token=token)
    if state == "open":
        return page, 422 if form.errors else 200
    return page, 404 if state == "unknown" else 410
