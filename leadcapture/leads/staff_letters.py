"""Letters to staff: what those about a lead say, which is nothing of the person."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_timedelta
from sqlalchemy.orm import Session

from leadcapture.leads.references import spoken
from leadcapture.leads.waiting import latest_requests
from leadcapture.models import Lead
from leadcapture.moments import EXACT, town, written
from leadcapture.settings import Settings

_MINUTE = timedelta(minutes=1)
_ON = {"en": "{time} on {day}", "es": "{time} del {day}"}
_JUST_NOW = {"en": "just now", "es": "ahora mismo"}


def values_about(
    session: Session, settings: Settings, lead: Lead, at: datetime, language: str
) -> dict[str, str]:
    """The values of a letter about the lead; ``at`` is when that happened of which it tells.

    The reference is the one that the person holds, too.
    """
    request = latest_requests(session, [lead.id]).get(lead.id)
    receipt = spoken(request.receipt) if request else lead.ref
    return values_of(settings, lead.ref, receipt, at, language)


def values_of(
    settings: Settings, lead_ref: str, receipt: str, at: datetime, language: str
) -> dict[str, str]:
    """The same for whoever has the lead's reference and the spoken receipt at hand."""
    return {
        "clinic_name": settings.clinic.name,
        "clinic_phone": settings.clinic.phone,
        "postal_address": settings.clinic.postal_address,
        "receipt": receipt,
        "received_at": _exact(at, settings.clinic.time_zone, language),
        "lead_link": f"{settings.public_url}/desk/leads/{lead_ref}",
    }


def due_words(settings: Settings, due_at: datetime, now: datetime, language: str) -> str:
    """When something is due or was: ``14:10``, or ``14:10, 25 minutes ago``, with another day."""
    zone = ZoneInfo(settings.clinic.time_zone)
    due, here = due_at.astimezone(zone), now.astimezone(zone)
    told = f"{due:%H:%M}"
    if due.date() != here.date():
        day = format_date(due, "EEE d MMM", locale=language)
        told = _ON[language].format(time=told, day=day)
    if due_at > now:
        return told
    if now - due_at < _MINUTE:
        return f"{told}, {_JUST_NOW[language]}"
    ago = format_timedelta(due_at - now, "minute", add_direction=True, locale=language)
    return f"{told}, {ago}"


def _exact(at: datetime, zone: str, language: str) -> str:
    """``Tue 3 Mar 2026, 09:00 Costa Rica``, as the desk tells it."""
    return f"{written(at, ZoneInfo(zone), EXACT, language)} {town(zone, language)}"
