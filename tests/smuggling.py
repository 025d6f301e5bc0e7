"""Requests with markup in every field, and all the pages and letters in which it then stands."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from email import message_from_bytes, policy
from urllib.parse import quote

from flask import Flask
from flask.testing import FlaskClient
from playwright.sync_api import Browser
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from leadcapture.database import open_session
from leadcapture.intake.receive import release
from leadcapture.leads import contact, pipeline, tags, tasks, views
from leadcapture.leads.contact import CallOutcome
from leadcapture.leads.pipeline import ClosedReason
from leadcapture.models import Lead, LeadStatus, Request, Screening, Staff
from leadcapture.outbox.dispatch import Dispatcher
from leadcapture.outbox.relay import RelaySession
from leadcapture.web import House
from tests.desk_pages import addresses
from tests.markup import Lookout, open_lookout
from tests.pages import Page
from tests.people import a_staff_member, typed_form
from tests.post_office import Letter, PostOffice
from tests.visitors import sign_in_for_cookie

# So many stand on the pages at once; what is on the second page of a list nobody would look at.
AT_ONCE = 25
_FREE = ("full_name", "phone", "message", "contact_by", "contact_time", "country", "time_zone")
_LONGEST = {"full_name": 200, "phone": 60}


class Smuggler:
    """Sends each payload in every field of the form and of the desk, and looks at what comes."""

    def __init__(self, app: Flask, engine: Engine, office: PostOffice, site: str) -> None:
        self.app = app
        self.engine = engine
        self.office = office
        self.site = site
        self.house: House = app.extensions["leadcapture"]
        self.read = 0

    def smuggle(self, browser: Browser, payloads: Sequence[str]) -> list[str]:
        """What of it ran or stood in a page as an element."""
        with open_session(self.engine) as session:
            with self.app.app_context():
                staff = a_staff_member(session, "admin", name=f"Ana {payloads[0]}"[:80])
            session.commit()
            cookie, _ = sign_in_for_cookie(self.app, self.site, staff.email)
            with open_lookout(browser, self.site, cookie) as lookout:
                for start in range(0, len(payloads), AT_ONCE):
                    self._send(session, staff, lookout, payloads[start : start + AT_ONCE])
                    self._look_round(session, lookout)
                    self._put_away(session, staff)
                return lookout.noted

    def _send(
        self, session: Session, staff: Staff, lookout: Lookout, payloads: Sequence[str]
    ) -> None:
        for payload in payloads:
            visitor = self.app.test_client()
            self._arrive(visitor, payload)
            for markup in self._refused(visitor, payload):
                lookout.read(markup, f"the form that was refused, {payload!r}")
            self._ask(visitor, payload)
            self._work_on(session, staff, payload)

    def _arrive(self, visitor: FlaskClient, payload: str) -> None:
        told = "&".join(f"utm_{name}={quote(payload)}" for name in ("source", "medium", "campaign"))
        referrer = {"Referer": f"https://elsewhere.test/{quote(payload)}"}
        visitor.get(f"/en?{told}", headers=referrer, base_url=self.site)

    def _refused(self, visitor: FlaskClient, payload: str) -> Iterator[str]:
        # Not one of them is an address, so all that was typed comes back.
        fields = dict.fromkeys((*_FREE, "email", "email_as_typed", "topic_code", "lang"), payload)
        answer = visitor.post("/en", data=typed_form("x", **fields), base_url=self.site)
        assert answer.status_code in (400, 422), answer.status
        yield answer.text

    def _ask(self, visitor: FlaskClient, payload: str) -> None:
        token = Page(visitor.get("/en", base_url=self.site).text).form()["token"][0]
        self.read += 1
        fields = {
            name: payload for name in _FREE if len(payload) <= _LONGEST.get(name, len(payload))
        }
        fields["email"] = f"x{self.read}@example.com"
        answer = visitor.post("/en", data=typed_form(token, **fields), base_url=self.site)
        assert answer.status_code == 303, answer.text[:2000]

    def _work_on(self, session: Session, staff: Staff, payload: str) -> None:
        now, vault = self.house.clock(), self.house.vault
        lead = session.scalars(select(Lead).order_by(Lead.id.desc()).limit(1)).one()
        if lead.status == LeadStatus.HELD:
            request = session.scalars(select(Request).where(Request.lead_id == lead.id)).one()
            assert request.screening == Screening.HELD
            release(session, vault, self.house.settings, request, staff.id, now)
        contact.log_call(session, vault, lead, staff.id, now, CallOutcome.NO_ANSWER, payload)
        tasks.add_task(session, vault, lead, staff, payload, now, staff.id, now)
        with suppress(tags.TagRefused):
            tag = tags.add_tag(session, payload, tags.COLORS[0], now)
            tags.tag_lead(session, lead, tag, staff.id, now)
        with suppress(views.ViewRefused):
            views.save_view(session, staff.id, payload, True, {"q": [payload]}, (), now)
        session.commit()

    def _look_round(self, session: Session, lookout: Lookout) -> None:
        pages = list(addresses(self.app, session).values())
        refs = session.scalars(select(Lead.ref).where(Lead.status == LeadStatus.NEW)).all()
        session.commit()
        for path in (*pages, *(f"/desk/leads/{ref}" for ref in refs)):
            if "/file" not in path and "calendar" not in path:
                lookout.visit(path)
        for letter in self._letters():
            for part in message_from_bytes(letter.content, policy=policy.default).walk():
                if part.get_content_type() == "text/html":
                    lookout.read(part.get_content(), f"a letter to {letter.recipients[0]}")

    def _letters(self) -> list[Letter]:
        before = len(self.office.letters)
        settings = self.house.settings
        relay = RelaySession(settings.relay, "clinic.example", timeout=5.0, dot_timeout=5.0)
        dispatcher = Dispatcher(self.engine, settings, self.house.vault, relay, self.house.clock)
        dispatcher.send_due()
        dispatcher.close()
        return self.office.letters[before:]

    def _put_away(self, session: Session, staff: Staff) -> None:
        now: datetime = self.house.clock()
        for lead in session.scalars(select(Lead).where(Lead.status == LeadStatus.NEW)):
            pipeline.change_status(
                session, lead, LeadStatus.CLOSED, staff.id, now, ClosedReason.COST
            )
        session.commit()
