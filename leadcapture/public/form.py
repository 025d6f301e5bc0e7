"""The form that patients fill in: what it asks, what it accepts, what it says when it cannot."""

from datetime import datetime, timedelta
from functools import cache
from typing import Any

from flask_babel import gettext, ngettext
from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from werkzeug.datastructures import MultiDict
from wtforms import (
    BooleanField,
    EmailField,
    Field,
    HiddenField,
    SelectField,
    SelectMultipleField,
    StringField,
    TelField,
    TextAreaField,
)
from wtforms.csrf.core import CSRF, CSRFTokenField
from wtforms.fields import SelectChoice
from wtforms.validators import DataRequired, Length, ValidationError

from leadcapture import places
from leadcapture.intake import addresses, form_token, phones, screening
from leadcapture.intake.consent_texts import current_text
from leadcapture.intake.form_token import FormToken
from leadcapture.intake.submission import Submission
from leadcapture.intake.typed_text import clean_line, clean_text
from leadcapture.languages import page_language
from leadcapture.models import ConsentKind
from leadcapture.public.typed import MAX_MESSAGE
from leadcapture.web import now, settings

CONDITIONS = (
    SelectChoice("autoimmune", _("Autoimmune: such as arthritis, lupus, MS, psoriasis, Crohn’s")),
    SelectChoice("osteoarthritis", _("Osteoarthritis or joint pain")),
    SelectChoice("athletes", _("Athletic recovery")),
    SelectChoice("other", _("Something else")),
    SelectChoice("not_sure", _("I’m not sure")),
)
CONTACT_BY = (
    SelectChoice("", _("No preference")),
    SelectChoice("phone", _("By telephone")),
    SelectChoice("whatsapp", _("By WhatsApp")),
    SelectChoice("email", _("By email")),
)
CONTACT_TIME = (
    SelectChoice("", _("Any time")),
    SelectChoice("morning", _("In the morning")),
    SelectChoice("afternoon", _("In the afternoon")),
    SelectChoice("evening", _("In the evening")),
)
# Where the fields of the folded part are told apart from those that everybody sees.
FOLDED = ("phone", "country", "contact_by", "contact_time", "time_zone", "message")


@cache
def _country_choices(language: str) -> list[SelectChoice]:
    """Every country in this language; made once, because there are 249 of them."""
    return [
        SelectChoice("", gettext("Please choose")),
        *(SelectChoice(*country) for country in places.countries(language)),
    ]


class SignedToken(CSRF):  # type: ignore[misc]
    """WTForms' forgery check on our stateless token: no cookie stands behind it.

    ``posted`` is the token that came with the form: its proof is looked at once a request.
    """

    posted: FormToken | None = None

    def generate_csrf_token(self, csrf_token_field: CSRFTokenField) -> str:
        """The token to show: the one that was posted while it holds, so that a retry is one."""
        key = settings().secret_key
        self.posted = read_token(csrf_token_field.data)
        if self.posted is None:
            return form_token.issue(key, now())
        if self.posted.is_expired(now()):
            # Somebody who had the form open for days must not look hasty now.
            return form_token.issue(key, now() - timedelta(seconds=settings().form_min_seconds))
        return str(csrf_token_field.data)

    def validate_csrf_token(self, form: Any, field: CSRFTokenField) -> None:
        if self.posted is None or self.posted.is_expired(now()):
            raise ValidationError(
                _("This page had been open for a long time. Please press the button once more.")
            )


def read_token(typed: str | None) -> FormToken | None:
    """The token that we signed with this key or one before it."""
    keys = (settings().secret_key, *settings().secret_key_fallbacks)
    return form_token.read(keys, typed or "")


class RequestForm(FlaskForm):  # type: ignore[misc]
    """The request for a packet."""

    class Meta:
        csrf = True
        csrf_class = SignedToken
        csrf_field_name = "token"

        def get_translations(self, form: FlaskForm) -> None:
            """None: every word of this form is our own, so WTForms need not load its own."""

    full_name = StringField(
        _("Full name"),
        filters=[lambda typed: clean_line(typed or "")],
        validators=[
            DataRequired(_("Please tell us your name.")),
            Length(max=200, message=_("Please shorten the name to 200 characters.")),
        ],
    )
    email = EmailField(
        _("Email address"),
        filters=[lambda typed: clean_line(typed or "")],
        validators=[DataRequired(_("Please tell us where to send the packet."))],
    )
    email_as_typed = HiddenField()
    email_meant = HiddenField()
    conditions = SelectMultipleField(_("What would you like to read about?"), choices=CONDITIONS)
    consent_health = BooleanField(
        validators=[DataRequired(_("We need this agreement before we may answer you."))]
    )
    consent_follow_ups = BooleanField()
    phone = TelField(
        _("Telephone"),
        filters=[lambda typed: clean_line(typed or "")],
        validators=[Length(max=phones.LONGEST, message=_("Please shorten this to 60 characters."))],
    )
    country = SelectField(_("Country"), validate_choice=False)
    contact_by = SelectField(
        _("How should we reach you?"), choices=CONTACT_BY, validate_choice=False
    )
    contact_time = SelectField(_("When?"), choices=CONTACT_TIME, validate_choice=False)
    time_zone = SelectField(_("Your time zone"), validate_choice=False)
    message = TextAreaField(
        _("Your message"), filters=[lambda typed: clean_text(typed or "")], default=""
    )
    topic_code = StringField(_("Please leave this field empty"))

    def __init__(self, typed: MultiDict[str, str] | None) -> None:
        if typed and typed.get("email_meant"):
            # The button "Use this address" took our guess over.
            typed = typed.copy()
            typed.setlist("email", [typed["email_meant"]])
        super().__init__(formdata=typed)
        self.country.choices = _country_choices(page_language())
        self.email_guess: str | None = None
        self.address = ""

    def validate_email(self, field: Field) -> None:
        try:
            self.address = addresses.read_address(field.data)
        except addresses.BadAddress:
            raise ValidationError(
                _("Please check the address; it should look like name@example.com.")
            ) from None
        guess = addresses.likely_meant(self.address)
        if guess is not None and self.email_as_typed.data != field.data:
            self.email_guess = guess
            raise ValidationError(_("Did you mean %(address)s?", address=guess))

    def validate_conditions(self, field: Field) -> None:
        if not field.data:
            raise ValidationError(_("Please choose at least one; “I’m not sure” is fine."))

    def validate_phone(self, field: Field) -> None:
        if not field.data and self.contact_by.data in ("phone", "whatsapp"):
            raise ValidationError(_("Please tell us the number, or choose email instead."))

    def validate_message(self, field: Field) -> None:
        over = len(field.data) - MAX_MESSAGE
        if over > 0:
            raise ValidationError(
                ngettext(
                    "Please shorten the message by %(num)d character.",
                    "Please shorten the message by %(num)d characters.",
                    over,
                )
            )

    def validate(self, extra_validators: Any = None) -> bool:
        """True where all is well. The DNS is asked last, and only of what is otherwise whole."""
        if not super().validate(extra_validators):
            return False
        domain = self.address.rpartition("@")[2]
        if settings().dns_check and addresses.is_missing(domain):
            self.email.errors = [
                _("There is no mail service at %(domain)s; please check it.", domain=domain)
            ]
            return False
        return True

    @property
    def posted_token(self) -> FormToken | None:
        """The token that was posted, if we signed it."""
        posted: FormToken | None = self.token.csrf_impl.posted
        return posted

    @property
    def has_unfolded(self) -> bool:
        """True where something in the folded part was filled in or is wrong."""
        return any(self[name].data or self[name].errors for name in FOLDED)


def submission_of(
    form: RequestForm, token: FormToken, language: str, page: str, touch: dict[str, Any]
) -> Submission:
    """What a form asks for, normalised and screened; to be kept only if the form is valid."""
    country = _one_of(form.country)
    country = "" if country == places.ELSEWHERE else country
    phone = phones.read_phone(form.phone.data, country) if form.phone.data else None
    zone = form.time_zone.data or ""
    kinds = [ConsentKind.HEALTH]
    if form.consent_follow_ups.data:
        kinds.append(ConsentKind.FOLLOW_UPS)
    return Submission(
        token=token.id,
        full_name=form.full_name.data,
        email=form.address,
        email_typed=form.email.data[: addresses.LONGEST],
        conditions=tuple(dict.fromkeys(form.conditions.data or ())),
        consents=tuple(current_text(kind, language).given() for kind in kinds),
        language=language,
        time_zone=zone if places.is_zone(zone) else phones.guess_zone(phone, country),
        message=form.message.data,
        phone=phone,
        phone_typed=form.phone.data,
        country=country,
        contact_by=_one_of(form.contact_by),
        contact_time=_one_of(form.contact_time),
        page=page,
        held_reason=_suspicion(form, token, now()),
        touch=touch,
    )


def _suspicion(form: RequestForm, token: FormToken, moment: datetime) -> str:
    return screening.suspect(
        trap=form.topic_code.data or "",
        age=token.age(moment),
        min_age=timedelta(seconds=settings().form_min_seconds),
        message=form.message.data,
        name=form.full_name.data,
    )


def _one_of(field: SelectField) -> str:
    """What was chosen, if the form offers it."""
    return field.data if field.data in [choice.value for choice in field.choices] else ""
