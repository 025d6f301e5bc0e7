"""The list of leads: what is filtered, ordered, kept as a view, and done to many at once."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from playwright.sync_api import Browser
from sqlalchemy import Engine, Select, event, func, insert, select, update
from sqlalchemy.orm import Session

from leadcapture.dashboard import list_words
from leadcapture.database import db
from leadcapture.leads import bulk, listing, tags
from leadcapture.leads.bulk import Act, Wish
from leadcapture.leads.filters import Asker, Filters, read_filters
from leadcapture.leads.search import search_text
from leadcapture.models import (
    BulkAct,
    Lead,
    LeadStatus,
    MessageState,
    SavedView,
    Staff,
    TimelineEntry,
    lead_tag,
)
from leadcapture.outbox.queue import new_ref
from leadcapture.settings import Settings
from tests.chromium import assert_accessible, open_page
from tests.clock import TUESDAY_MORNING
from tests.conftest import make_visitor
from tests.pages import Page as Read
from tests.people import PASSWORD, a_lead, a_message, a_request, a_staff_member, copy_lead
from tests.visitors import Visitor

MANY = 20_000
# So many of a wide filter are compared, in order.
ENOUGH = 900
ZONE = ZoneInfo("America/Costa_Rica")
NAMES = ("Ana Mora", "Álvaro Núñez", "Bea Doyle", "Zoë Kim", "Carmen García", "Wm Stone")
STATUSES = ("new", "contacted", "booked", "patient", "closed", "held")
ALL = Filters()


@pytest.fixture
def rosa(app: Flask, session: Session) -> Staff:
    with app.app_context():
        staff = a_staff_member(session)
    session.commit()
    return staff


@pytest.fixture
def desk(app: Flask, settings: Settings, session: Session, rosa: Staff) -> Visitor:
    """Rosa, signed in."""
    visitor = make_visitor(app, settings, session)
    visitor.enter(rosa)
    return visitor


def asking(staff_id: int = 1) -> Asker:
    return Asker(staff_id, TUESDAY_MORNING, ZONE)


# What the database is asked, at a size at which a wrong plan shows.


def store_many(engine: Engine) -> None:
    """A clinic of `MANY` leads: few wait, one tag is rare, one country is."""
    chance = random.Random(4)
    rows, asked, tagged = [], [], []
    for number in range(1, MANY + 1):
        at = TUESDAY_MORNING - timedelta(minutes=37 * (number * 7919 % MANY))
        name, status = chance.choice(NAMES), chance.choices(STATUSES, (5, 30, 8, 15, 40, 2))[0]
        email = f"p{number}@tampamail.example"
        waits = status == "new" and number % 5 == 0
        row: dict[str, Any] = {
            "ref": new_ref(),
            "address_key": email,
            "cap_hash": f"{number:064}",
            "email": email,
        }
        row |= {"full_name": name, "phone": None, "phone_typed": "", "contact_by": ""}
        row |= {"country": "NZ" if number % 997 == 0 else "US", "time_zone": "America/New_York"}
        row |= {"language": "es" if number % 4 == 0 else "en", "contact_time": "", "status": status}
        row |= {
            "closed_reason": "",
            "owner_id": None,
            "created_at": at - timedelta(days=number % 3),
        }
        row |= {"last_request_at": at, "waiting_since": at if waits else None}
        row |= {"first_response_due_at": at + timedelta(hours=2) if waits and number % 2 else None}
        rows.append(
            {"id": number, **row, "warnings": 0, "search_text": search_text(name, email, "")}
        )
        channel = "phone" if number % 3_000 == 0 else "web"
        asked.append(request_row(number, at, channel))
        if number % 1_500 == 0:
            tagged.append({"lead_id": number, "tag_id": 1})
        if number % 3 == 0:
            tagged.append({"lead_id": number, "tag_id": 2})
    with Session(engine) as session:
        for number, name in ((1, "rare"), (2, "common")):
            tag = tags.add_tag(session, name, "accent", TUESDAY_MORNING)
            assert tag.id == number
        session.execute(insert(Lead.metadata.tables["lead"]), rows)
        session.execute(insert(Lead.metadata.tables["request"]), asked)
        session.execute(insert(lead_tag), tagged)
        session.commit()
        session.connection().exec_driver_sql("ANALYZE")
        session.commit()


def request_row(number: int, at: datetime, channel: str) -> dict[str, object]:
    row = {"receipt": new_ref(), "token": f"{number:032x}", "lead_id": number, "channel": channel}
    row |= {"full_name": "", "email_typed": "", "language": "en", "touch": {}, "answers": b"-"}
    return row | {"screening": "accepted", "created_at": at}


@contextmanager
def asked_of(engine: Engine) -> Iterator[list[tuple[str, object]]]:
    """The questions, with their values, that are asked within."""
    asked: list[tuple[str, object]] = []

    def note(_c: object, _cursor: object, statement: str, values: object, *_: object) -> None:
        asked.append((statement, values))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(engine, "before_cursor_execute", note)


def plan_of(session: Session, statement: str, values: Any, as_it_is: bool = False) -> str:
    """How the database would answer; PostgreSQL without what pays at this size alone.

    ``as_it_is``: with that, too.
    """
    connection = session.connection()
    if connection.dialect.name == "postgresql" and not as_it_is:
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
    word = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
    rows = connection.exec_driver_sql(f"{word} {statement}", values)
    return "\n".join(str(row[-1]) for row in rows)


COMBINED: Sequence[tuple[dict[str, object], str]] = (
    ({}, "asked"),
    ({}, "-asked"),
    ({}, "name"),
    ({}, "-created"),
    ({}, "waiting"),
    ({}, "due"),
    ({"status": ["booked"]}, "asked"),
    ({"status": ["booked", "patient"]}, "asked"),
    ({"status": ["closed"]}, "name"),
    ({"owner": "nobody", "status": ["new"]}, "asked"),
    ({"country": "NZ"}, "asked"),
    ({"country": "NZ", "language": "es"}, "name"),
    ({"country": "US", "status": ["patient"]}, "asked"),
    ({"waiting": "late"}, "due"),
    ({"waiting": "yes", "language": "es"}, "asked"),
    ({"waiting": "no", "status": ["new"]}, "created"),
    ({"tag": "rare"}, "asked"),
    ({"tag": "common", "status": ["closed"]}, "asked"),
    ({"source": "phone"}, "asked"),
    ({"source": "web", "language": "es"}, "-name"),
    ({"q": "alvaro"}, "asked"),
    ({"q": "ana", "status": ["booked"], "tag": "common"}, "name"),
    ({"from": "2026-02-01", "to": "2026-02-02"}, "asked"),
    ({"from": "2025-01-01", "to": "2026-02-02", "language": "es"}, "asked"),
    ({"status": ["held"]}, "asked"),
)


def test_any_combination_finds_all_that_match_and_reads_no_table_from_end_to_end(
    engine: Engine, session: Session
) -> None:
    """What is found is compared with a look at every lead; each page comes from an index."""
    store_many(engine)
    refs = {tag.name: tag.ref for tag in tags.list_tags(session)}
    everyone: Sequence[Any] = session.execute(select(*Lead.__table__.columns)).all()
    carried = {
        tag: set(session.scalars(carriers_of(number)))
        for number, tag in ((1, "rare"), (2, "common"))
    }
    for given, sort in COMBINED:
        words = {name: given_of(word, refs) for name, word in given.items()}
        filters, order = read_filters(words), listing.read_order(sort)
        with asked_of(engine) as asked:
            first = listing.page(session, filters, asking(), order)
        # Counting ends at a bound; what brings leads must start from an index.
        plans = [plan_of(session, *one) for one in asked if "lead.email" in one[0]]
        assert plans
        for plan in plans:
            assert "Seq Scan on lead" not in plan, (given, sort, plan)
            assert "SCAN lead\n" not in f"{plan}\n", (given, sort, plan)
            assert "Seq Scan on request" not in plan, (given, sort, plan)
        session.rollback()
        found: list[Lead] = []
        for batch in listing.matching(session, filters, asking(), order):
            found += batch
            if len(found) > ENOUGH:
                break
        ids = [lead.id for lead in found]
        assert [lead.id for lead in first.leads] == ids[: len(first.leads)]
        passing = [lead for lead in everyone if passes(lead, given, sort, carried)]
        passing.sort(key=lambda lead: (order.sort.value_of(lead), lead.id), reverse=order.descends)
        expected = [lead.id for lead in passing]
        if "q" in given or (len(found) > ENOUGH and order.sort.name == "name"):
            # The search ends at its own reach; names stand in the order of the database's letters.
            assert len(set(ids)) == len(ids)
            assert set(ids) <= set(expected) or "q" in given
        elif order.sort.name == "name":
            assert sorted(ids) == sorted(expected), (given, sort)
        else:
            assert ids == expected[: len(ids)], (given, sort)
            assert len(ids) == len(expected) or len(ids) > ENOUGH


def carriers_of(tag_id: int) -> Select[tuple[int]]:
    return select(lead_tag.c.lead_id).where(lead_tag.c.tag_id == tag_id)


def given_of(word: object, refs: dict[str, str]) -> list[str]:
    return [refs.get(str(each), str(each)) for each in (word if isinstance(word, list) else [word])]


def passes(lead: Any, given: dict[str, Any], sort: str, carried: dict[str, Any]) -> bool:
    """The filters once more, the slow way."""
    day = lead.last_request_at.astimezone(ZONE).date().isoformat() if "from" in given else ""
    wanted = set(given.get("status", ())) - {"held"}
    late = lead.first_response_due_at is not None and lead.first_response_due_at < TUESDAY_MORNING
    waits = {"yes": bool(lead.waiting_since), "no": not lead.waiting_since, "late": late}
    return (
        lead.status != "held"
        and (not wanted or lead.status in wanted)
        and waits.get(given.get("waiting", ""), True)
        and (sort not in ("waiting", "due") or waits["yes"])
        and given.get("country", lead.country) == lead.country
        and given.get("language", lead.language) == lead.language
        and ("tag" not in given or lead.id in carried[given["tag"]])
        and ("source" not in given or (given["source"] == "phone") == (lead.id % 3_000 == 0))
        and given.get("from", "") <= day <= given.get("to", "")
    )


# Paging, keys and words of an address.


def test_pages_lead_there_and_back_in_every_order(session: Session) -> None:
    for number in range(7):
        at = TUESDAY_MORNING - timedelta(minutes=number // 2)
        a_lead(session, full_name=f"Person {number}", last_request_at=at, waiting_since=at)
    for sort in listing.SORTS:
        for order in (listing.read_order(sort), listing.read_order(f"-{sort}")):
            pages = [listing.page(session, ALL, asking(), order, size=3)]
            while (after := pages[-1].after) is not None:
                key = listing.read_key(str(after))
                pages.append(listing.page(session, ALL, asking(), order, key, size=3))
            seen = [lead.id for page in pages for lead in page.leads]
            assert (len(pages), sorted(seen)) == (3, sorted(set(seen)))
            before = listing.page(session, ALL, asking(), order, pages[-1].before, size=3)
            assert before.leads == pages[-2].leads, sort


@pytest.mark.parametrize(
    "query",
    (
        *("at=x", "at=%00", "status=held", "status=x", "q=%00", "q=" + "a" * 5000, "at=W10"),
        *("owner=%00", "owner=nobody%40x", "tag=x", "from=0001-01-01", "to=9999-12-31", "from=x"),
        *(
            "sort=x",
            "sort=-due",
            "at=WyJcdWQ4MDAiLDEsMF0",
            "country=%F0",
            "done=x",
            "sort=waiting&waiting=no",
        ),
    ),
)
def test_a_list_address_that_nobody_gave_out_shows_the_list(desk: Visitor, query: str) -> None:
    assert desk.get(f"/desk/leads?{query}").status_code == 200


def test_filters_stand_in_the_address_and_are_removed_one_by_one(
    desk: Visitor, session: Session, rosa: Staff
) -> None:
    tag = tags.add_tag(session, "VIP", "accent", TUESDAY_MORNING)
    ana = a_lead(session, full_name="Ana Mora", owner_id=rosa.id, country="CR", language="es")
    bea = a_lead(session, full_name="Bea Doyle", country="CR")
    a_request(session, ana, channel="phone")
    tags.put_on(session, tag.id, [ana.id])
    sent = desk.get(f"/desk/leads?owner=me&country=CR&tag={tag.ref}&source=phone&language=&q=")
    assert (sent.status_code, "language" in sent.location, "owner=me" in sent.location) == (
        303,
        False,
        True,
    )
    page = desk.page(sent.location)
    assert "Ana Mora" in page.main_text and "Bea Doyle" not in page.main_text
    for word in ("owner: me", "Costa Rica", "tag: VIP", "source: Telephone"):
        page = desk.page(page.link(word))
    assert "Shown:" not in page.main_text and bea.full_name in page.main_text
    empty = desk.page("/desk/leads?status=closed&owner=nobody")
    assert "Each word above can be removed by itself." in empty.main_text


def test_who_left_and_still_owns_leads_is_offered_to_the_filter_alone(
    desk: Visitor, app: Flask, session: Session
) -> None:
    """Under the others and marked; a filter by who left says their name, not their address."""
    with app.app_context():
        zoe = a_staff_member(session, name="Zoë Kim")
        left = a_staff_member(session, name="Ana Mora", active=False)
        idle = a_staff_member(session, name="Ben Idle", active=False)
    a_lead(session, full_name="Hers", owner_id=left.id)
    gone = {"status": LeadStatus.MERGED, "waiting_since": None}
    a_lead(session, full_name="Not listed", owner_id=idle.id, **gone)
    session.commit()
    page = desk.page("/desk/leads")
    [select_owner] = page.find("select", id="filter-owner")
    told = [(option.get("value"), option.text) for option in select_owner.find("option")]
    assert told[-2:] == [(zoe.email, "Zoë Kim"), (left.email, "Ana Mora (has left)")]
    assert idle.email not in page.markup
    [act] = page.find("select", name="act")
    assert left.email not in act.text and f"assign:{left.email}" not in page.markup
    for owner in (left, idle):
        page = desk.page(f"/desk/leads?owner={owner.email}")
        [chip] = page.find("", class_="chip")
        assert f"owner: {owner.name}" in chip.text and owner.email not in chip.text
        assert page.form("/desk/leads")["owner"] == [owner.email]
    assert "Hers" in desk.page(f"/desk/leads?owner={left.email}").main_text
    assert "owner: Ben Idle" in desk.page(f"/desk/exports/new?owner={idle.email}").main_text


def test_whether_who_left_owns_leads_is_looked_up_and_not_searched_for(
    engine: Engine, app: Flask, session: Session
) -> None:
    """One colleague owns nearly all, which is when a database might read the table for another."""
    store_many(engine)
    with app.app_context():
        owner, *left = [
            a_staff_member(session, name=f"Ana {number}", active=not number) for number in range(9)
        ]
    session.execute(update(Lead).where(Lead.id > 1).values(owner_id=owner.id))
    session.execute(update(Lead).where(Lead.id == 1).values(owner_id=left[3].id, status="new"))
    session.commit()
    session.connection().exec_driver_sql("ANALYZE")
    session.commit()
    with app.app_context(), asked_of(db.engine) as asked:
        found = list_words.owners([left[5].email])
        assert [one.id for one in found] == [owner.id, left[3].id, left[5].id]
    [(statement, values)] = asked
    plan = plan_of(session, str(statement), values, as_it_is=True)
    assert "ix_lead_owner_last_request" in plan
    assert "Seq Scan on lead" not in plan and "SCAN lead\n" not in f"{plan}\n"


def test_columns_are_kept_for_each_person(desk: Visitor, session: Session) -> None:
    a_lead(session, country="JP")
    page = desk.page("/desk/leads")
    assert "Japan" not in page.find("table")[0].text
    sent = desk.send(page, "/columns", column=["country", "nonsense", "next"])
    table = desk.page(sent.location).find("table")[0]
    assert [cell.text for cell in table.find("th", scope="col")[1:]] == [
        "Name",
        "Next step",
        "Country",
    ]
    assert "Japan" in table.text


def test_a_view_is_kept_shared_renamed_and_let_go(
    desk: Visitor, app: Flask, settings: Settings, session: Session
) -> None:
    """Own and shared; nobody sees, and nobody but its owner or an administrator changes (WS-14)."""
    list_page = desk.page("/desk/leads?status=new&sort=name")
    desk.send(list_page, "/desk/views", name="Mornings")
    view = session.scalars(select(SavedView)).one()
    assert view.words == {"status": ["new"], "sort": ["name"]}
    again = desk.send(list_page, "/desk/views", name=" mornings ")
    assert (
        again.status_code == 422 and "already" in again.text and 'value=" mornings "' in again.text
    )
    with app.app_context():
        marta = a_staff_member(session, name="Marta Solís")
    other = make_visitor(app, settings, session)
    other.enter(marta)
    assert "Mornings" not in other.page("/desk/views").main_text
    token = other.page("/desk/leads").form("/desk/views")["csrf_token"]
    stolen = {"csrf_token": token, "name": "Mine", "owner_id": "7", "words": "{}"}
    assert other.post(f"/desk/views/{view.ref}", data=stolen).status_code == 404
    desk.send(desk.page("/desk/views"), f"/desk/views/{view.ref}", name="Mornings!", shared="yes")
    assert "by Rosa Alvarado" in other.page("/desk/views").main_text
    assert other.post(f"/desk/views/{view.ref}/removal", data=stolen).status_code == 403
    assert "Mornings!" in other.page("/desk/leads").main_text
    closed = desk.page("/desk/leads?status=closed")
    took = other.post(f"/desk/views/{view.ref}/list", data=stolen | {"list": "status=patient"})
    assert took.status_code == 403
    replaced = desk.page(desk.send(closed, f"/views/{view.ref}/list").location)
    assert "“Mornings!” keeps this list now." in replaced.text
    session.expire_all()
    assert view.words == {"status": ["closed"]}
    desk.send(replaced, f"/views/{view.ref}/list")
    session.expire_all()
    assert view.words == {"status": ["new"], "sort": ["name"]}
    desk.send(desk.page("/desk/views"), "/removal")
    assert session.scalars(select(SavedView)).all() == []


# Many at once.


def test_a_bulk_act_is_told_to_each_lead_and_undone_where_nobody_changed_it(
    desk: Visitor, session: Session, rosa: Staff
) -> None:
    """WS-14: what else is posted changes nothing; letters that were stopped stay stopped."""
    ana = a_lead(
        session, full_name="Ana", first_response_due_at=TUESDAY_MORNING + timedelta(hours=1)
    )
    bea = a_lead(session, full_name="Bea", status=LeadStatus.CONTACTED, waiting_since=None)
    cleo = a_lead(session, full_name="Cleo", status=LeadStatus.PATIENT, waiting_since=None)
    held = a_lead(session, full_name="Held", status=LeadStatus.HELD)
    letter = a_message(session, ana)
    refs = [lead.ref for lead in (ana, bea, cleo, held)]
    columns = {column.key: "7" for column in Lead.__table__.columns}
    sent = desk.send(
        desk.page("/desk/leads?sort=name"), "/acts", **columns, lead=refs, act="move:booked"
    )
    page = desk.page(sent.location)
    assert "2 leads are now: Booked." in page.main_text
    assert "Cleo stands at “Patient” and cannot go there" in page.main_text
    assert (ana.status, ana.waiting_since, ana.owner_id) == ("booked", None, None)
    assert (held.status, bea.full_name, letter.state) == ("held", "Bea", MessageState.CANCELLED)
    bea.status = LeadStatus.PATIENT
    undone = desk.page(desk.send(page, "/undoing").location).main_text
    assert "Undone: 1 lead stands as before. 1 follow-up stays cancelled" in undone
    assert "Bea somebody has changed it since" in undone
    assert (ana.status, ana.waiting_since, bea.status) == ("new", TUESDAY_MORNING, "patient")
    assert ana.first_response_due_at == TUESDAY_MORNING + timedelta(hours=1)
    kinds = session.scalars(
        select(TimelineEntry.kind).where(TimelineEntry.lead_id == ana.id).order_by(TimelineEntry.id)
    ).all()
    assert kinds == ["status_changed", "act_undone"]
    assert "It was undone already." in desk.page(desk.send(page, "/undoing").location).text


def test_leads_are_assigned_and_tagged_together_and_back(
    desk: Visitor, session: Session, rosa: Staff
) -> None:
    tag = tags.add_tag(session, "VIP", "accent", TUESDAY_MORNING)
    leads = [a_lead(session, full_name=name) for name in ("Ana", "Bea")]
    tags.put_on(session, tag.id, [leads[0].id])
    for act, told, state in (
        ("assign:me", "2 leads belong to Rosa Alvarado now.", ({rosa.id}, {leads[0].id})),
        (f"tag:{tag.ref}", "1 lead carries “VIP” now.", ({None}, {lead.id for lead in leads})),
        (f"untag:{tag.ref}", "“VIP” was taken from 1 lead.", ({None}, set())),
    ):
        sent = desk.send(desk.page("/desk/leads"), "/acts", which="all", act=act)
        page = desk.page(sent.location)
        assert told in page.main_text
        session.expire_all()
        carry = tags.carriers(session, tag.id, leads)
        assert ({lead.owner_id for lead in leads}, carry) == state
        desk.send(page, "/undoing")
        session.expire_all()
        assert {lead.owner_id for lead in leads} == {None}
        assert tags.carriers(session, tag.id, leads) == {leads[0].id}


def test_a_bulk_form_without_its_parts_keeps_what_was_ticked_and_asks(
    desk: Visitor, session: Session
) -> None:
    lead = a_lead(session)
    page = desk.page("/desk/leads")
    nothing = desk.send(page, "/acts", lead=[lead.ref])
    assert nothing.status_code == 422 and "Choose what to do with them." in nothing.text
    assert Read(nothing.text).form("/acts")["lead"] == [lead.ref]
    for act in ("assign:me", "tag:x", "move:held", "move:closed", "move:closed:x", "x", "assign:x"):
        assert desk.send(page, "/acts", act=act).status_code == 422
    assert lead.status is LeadStatus.NEW


def test_500_are_changed_at_a_time_and_the_message_goes_on_to_the_next(
    desk: Visitor, session: Session
) -> None:
    first = a_lead(session)
    copy_lead(session, first, bulk.MOST)
    sent = desk.send(desk.page("/desk/leads"), "/acts", which="all", act="assign:me")
    page = desk.page(sent.location)
    assert "500 leads belong to Rosa Alvarado now." in page.main_text
    assert "More may match further on." in page.text
    owned = select(func.count()).select_from(Lead).where(Lead.owner_id.is_not(None))
    assert session.scalar(owned) == bulk.MOST
    assert len(session.scalars(select(BulkAct)).one().changed) == bulk.MOST
    page = desk.page(desk.send(page, "/acts").location)
    assert "1 lead belongs to Rosa Alvarado now." in page.main_text
    assert session.scalar(owned) == bulk.MOST + 1
    assert "More may match further on." not in page.text


def test_a_walk_that_ends_early_says_so_and_goes_on(
    desk: Visitor, session: Session, rosa: Staff
) -> None:
    """Whoever matches far down an order is not passed over in silence."""
    for number in range(8):
        at = TUESDAY_MORNING - timedelta(minutes=number)
        a_lead(session, last_request_at=at, language="es" if number > 5 else "en")
    asks = Asker(rosa.id, TUESDAY_MORNING, ZoneInfo("America/Costa_Rica"))
    spanish = replace(read_filters({}), language="es")
    near = listing.Bounds(few=1, reach=3)
    found: list[int] = []
    key = None
    for _ in range(3):
        chosen = bulk.leads_of_filter(
            session, spanish, asks, listing.Order(), key, steps=1, bounds=near
        )
        found.append(len(chosen.leads))
        key, before = chosen.then, key
    assert (found, key) == ([0, 0, 2], None)
    act = bulk.carry_out(session, [], Wish(Act.ASSIGN, person=rosa), rosa.id, TUESDAY_MORNING)
    session.commit()
    page = desk.page(f"/desk/leads?language=es&done={act.ref}&then={before}&again=assign:me")
    assert "Nothing was changed." in page.text and "More may match" in page.text
    page = desk.page(desk.send(page, "/acts").location)
    assert "2 leads belong to Rosa Alvarado now." in page.text
    assert "More may match" not in page.text


def test_a_tag_is_one_word_whatever_its_case(session: Session) -> None:
    tag = tags.add_tag(session, "  Straße  A ", "done", TUESDAY_MORNING)
    assert tag.name == "Straße A"
    for name, color, why in (
        ("STRASSE a", "done", "taken"),
        (" ", "done", "empty"),
        ("x" * 41, "done", "long"),
        ("x", "#fff", "color"),
    ):
        with pytest.raises(tags.TagRefused, match=why):
            tags.add_tag(session, name, color, TUESDAY_MORNING)
    tags.archive_tag(session, tag, TUESDAY_MORNING)
    assert list(tags.list_tags(session)) == []
    assert tags.add_tag(session, "strasse A", "late", TUESDAY_MORNING).id == tag.id
    tags.rename_tag(session, tag, "Street", "held")
    assert [(one.name, one.color) for one in tags.list_tags(session)] == [("Street", "held")]
    lead = a_lead(session)
    tags.put_on(session, tag.id, [lead.id])
    assert tags.count_uses(session, [tag]) == {tag.id: 1}
    assert [one.name for one in tags.tags_of(session, [lead.id])[lead.id]] == ["Street"]


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_the_list_in_a_browser_ticks_counts_and_is_accessible(
    browser: Browser, site: str, session: Session, rosa: Staff
) -> None:
    """AX-01, AX-05: at 320 px nothing scrolls sideways; a range is ticked with Shift."""
    for number in range(4):
        a_lead(
            session,
            full_name=f"Person {number}",
            last_request_at=TUESDAY_MORNING - timedelta(number),
        )
    session.commit()
    with open_page(browser, site, viewport={"width": 320, "height": 800}) as page:
        page.goto("/sign-in")
        page.get_by_label("Email").fill(rosa.email)
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/desk/**")
        page.goto("/desk/leads?status=new&owner=nobody")
        ticks = page.locator("[name=lead]")
        ticks.nth(0).check()
        ticks.nth(2).click(modifiers=["Shift"])
        assert page.locator("[data-count]").inner_text() == "3 chosen"
        assert_accessible(page)
        assert page.evaluate("document.documentElement.scrollWidth") == 320
        page.locator("#act").select_option("assign:me")
        page.get_by_role("button", name="Apply").click()
        page.get_by_text("3 leads belong to Rosa Alvarado now.").wait_for()
        for tool in ("Filter", "Views", "Columns"):
            page.locator(".tool > summary", has_text=tool).click()
            assert_accessible(page)
            page.keyboard.press("Escape")
        page.get_by_role("button", name="Undo").click()
        page.get_by_text("Undone: 3 leads stand as before.").wait_for()
