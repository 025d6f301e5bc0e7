"""The form: shown, received, and given back with everything that was typed."""

from http import HTTPStatus

from flask import Flask, Response, current_app, render_template, request, url_for
from flask_babel import gettext as _

from leadcapture import places
from leadcapture.database import db, once_more, open_session, reading
from leadcapture.errors import log_failure
from leadcapture.intake import touch
from leadcapture.intake.coming_again import find_receipt, receive_form
from leadcapture.intake.consent_texts import current_text
from leadcapture.intake.submission import Received, Submission
from leadcapture.languages import speak
from leadcapture.limits import seconds_to_wait
from leadcapture.models import ConsentKind
from leadcapture.public.blank_form import HOLE, BlankForms
from leadcapture.public.blueprint import blueprint
from leadcapture.public.form import RequestForm, submission_of
from leadcapture.public.texts import current_words
from leadcapture.public.typed import MAX_BYTES, MAX_MESSAGE, read_typed
from leadcapture.web import now, settings, vault

TOUCH_COOKIE = "touch"

_BLANK = "leadcapture.blank_forms"


def register(app: Flask) -> None:
    """Let the blank form be answered without all that only other pages need."""
    forms = BlankForms(app, _draw_blank)
    app.extensions[_BLANK] = forms
    app.wsgi_app = forms  # type: ignore[method-assign]


@blueprint.get("/", defaults={"language": ""})
@blueprint.get("/<any(en,es):language>")
def request_form(language: str) -> Response:
    """The blank form, in the language of the link or else of the browser."""
    forms: BlankForms = current_app.extensions[_BLANK]
    page = forms.page(speak(language))
    response = current_app.response_class(forms.fill(page), headers=list(page.headers))
    _remember_arrival(response)
    return response


@blueprint.post("/", defaults={"language": ""})
@blueprint.post("/<any(en,es):language>")
def receive_request(language: str) -> Response:
    """303 to the thanks after the commit; else the form again, whatever was typed still in it."""
    typed = read_typed(request)
    language = speak(language or typed.fields.get("lang", ""))
    form = RequestForm(typed.fields)
    wait = seconds_to_wait("form", settings().form_limit)
    token = form.posted_token
    if token is not None and not typed.is_cut and (wait or token.is_expired(now())):
        # What was taken already is told its receipt, however late or often it asks.
        try:
            submission = submission_of(form, token, language, request.path, {})
            known = once_more(lambda: _known(submission))
        except Exception as failure:
            log_failure(failure)
            # With this very token: whether it made a request is still to be found out.
            form.token.current_token = form.token.data
            return _too_often(form, wait) if wait else _not_saved(form)
        if known is not None:
            return _thanks(known)
    if wait:
        return _too_often(form, wait)
    if typed.is_cut:
        return _too_large(form)
    if not form.validate():
        return _with_errors(form)
    assert token is not None
    submission = submission_of(form, token, language, request.path, dict(_recalled()))
    try:
        received = once_more(lambda: _keep(submission))
    # Whatever it is that fails, the visitor keeps what they typed.
    except Exception as failure:
        log_failure(failure)
        return _not_saved(form)
    return _thanks(received.receipt)


def _known(submission: Submission) -> str | None:
    with reading(), open_session(db.engine) as session:
        return find_receipt(session, vault(), submission)


def _keep(submission: Submission) -> Received:
    # A session of its own for each try: the one before may have ended half-way, or even committed
    # unseen. The token makes a repetition the same request.
    with open_session(db.engine) as session:
        received = receive_form(session, vault(), settings(), submission, now())
        session.commit()
    return received


def _thanks(receipt: str) -> Response:
    location = url_for("public.thanks", receipt=receipt)
    return Response(status=HTTPStatus.SEE_OTHER, headers={"Location": location})


def _draw_blank(language: str) -> str:
    speak(language)
    form = RequestForm(None)
    form.token.current_token = HOLE
    return _draw(form)


def _draw(form: RequestForm, title: str = "", sentence: str = "") -> str:
    language = speak("")
    return render_template(
        "public/request.html",
        form=form,
        words=current_words(language),
        notice_title=title,
        notice=sentence,
        consent_health_text=current_text(ConsentKind.HEALTH, language).text,
        consent_follow_ups_text=current_text(ConsentKind.FOLLOW_UPS, language).text,
        time_zones=list(places.time_zones()),
        action=url_for("public.receive_request", language=language),
        max_message=MAX_MESSAGE,
        max_bytes=MAX_BYTES,
    )


def _again(form: RequestForm, status: HTTPStatus, title: str = "", sentence: str = "") -> Response:
    response = Response(_draw(form, title, sentence), status, mimetype="text/html")
    response.headers["Vary"] = "Accept-Language"
    return response


def _with_errors(form: RequestForm) -> Response:
    if form.token.errors:
        return _again(
            form,
            HTTPStatus.BAD_REQUEST,
            _("Please press the button once more"),
            _("This page was open for a very long time. All that you typed is still here."),
        )
    return _again(form, HTTPStatus.UNPROCESSABLE_ENTITY)


def _too_large(form: RequestForm) -> Response:
    read = len(form.message.data)
    return _again(
        form,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        _("That was more than we can take in"),
        _(
            "We could read the first %(read)s characters of your message; it may have up to "
            "%(number)s. Please shorten it and send it again, or call us.",
            read=read,
            number=MAX_MESSAGE,
        )
        if read > MAX_MESSAGE
        else _("Please shorten what you wrote and send it again, or call us."),
    )


def _too_often(form: RequestForm, wait: int) -> Response:
    response = _again(
        form,
        HTTPStatus.TOO_MANY_REQUESTS,
        _("Please wait a minute"),
        _(
            "Many requests came from your connection in a short time. All that you typed is still "
            "here: send it again in a minute, or call us."
        ),
    )
    response.headers["Retry-After"] = str(wait)
    return response


def _not_saved(form: RequestForm) -> Response:
    response = _again(
        form,
        HTTPStatus.SERVICE_UNAVAILABLE,
        _("We could not save your request"),
        _(
            "This is our fault, not yours. All that you typed is still here: "
            "send it again in a minute, or call us."
        ),
    )
    response.headers["Retry-After"] = "60"
    return response


def _remember_arrival(response: Response) -> None:
    referrer = request.headers.get("Referer", "")
    own = settings().public_host
    if not request.query_string and (not referrer or f"//{own}/" in referrer):
        return
    arrived = touch.arrival(request.args, referrer, own, request.path)
    if arrived is None:
        return
    cookie = touch.remember(request.cookies.get(TOUCH_COOKIE, ""), arrived)
    response.set_cookie(
        TOUCH_COOKIE, cookie, httponly=True, samesite="Lax", secure=settings().is_https
    )


def _recalled() -> dict[str, touch.Touch]:
    return touch.recall(request.cookies.get(TOUCH_COOKIE, ""))
