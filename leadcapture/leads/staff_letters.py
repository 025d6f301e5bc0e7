"""Letters to staff: what those about a lead say, which is nothing of the person."""

from datetime import datetime

from sqlalchemy.orm import Session

from leadcapture.leads.references import spoken
from leadcapture.leads.waiting import latest_requests
from leadcapture.models import Lead
from leadcapture.settings import Settings


def values_about(session: Session, settings: Settings, lead: Lead, at: datetime) -> dict[str, str]:
    """The values of a letter about the lead; ``at`` is when that happened of which it tells.

    The reference is the one that the person holds, too.
    """
    request = latest_requests(session, [lead.id]).get(lead.id)
    return values_of(settings, lead.ref, spoken(request.receipt) if request else lead.ref, at)


def values_of(settings: Settings, lead_ref: str, receipt: str, at: datetime) -> dict[str, str]:
    """The same for whoever has the lead's reference and the spoken receipt at hand."""
    return {
        "clinic_name": settings.clinic.name,
        "clinic_phone": settings.clinic.phone,
        "postal_address": settings.clinic.postal_address,
        "receipt": receipt,
        "received_at": settings.clinic.clock(at),
        "lead_link": f"{settings.public_url}/desk/leads/{lead_ref}",
    }
