"""Search and listing: what people type finds whom they mean; pages go by key."""

from datetime import timedelta
from itertools import chain
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from leadcapture.leads import listing, search
from leadcapture.leads.filters import Asker, Filters
from leadcapture.leads.standing import standing
from leadcapture.models import Lead, LeadStatus
from tests.clock import TUESDAY_MORNING
from tests.desk_pages import asking
from tests.people import a_lead, copy_lead

ASKER = Asker(1, TUESDAY_MORNING, ZoneInfo("America/Costa_Rica"))
_HARMLESS = hypothesis_settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def found(session: Session, typed: str) -> list[str]:
    """Whom the index finds: the same whom a look at each lead finds."""
    by_index = search.few(session, typed)
    assert by_index is not None
    names = [
        sorted(session.scalars(select(Lead.full_name).where(condition)))
        for condition in (by_index, search.test(session, typed))
    ]
    assert names[0] == names[1]
    return names[0]


@pytest.fixture
def people(session: Session) -> Session:
    a_lead(session)
    a_lead(
        session,
        full_name="José Núñez-Solís",
        email="pepe_nunez+clinica@correo.example.cr",
        phone="+50688881234",
    )
    a_lead(session, full_name="Zoë O'Brien", email="zoe@obrien.example", phone="+442079460000")
    session.commit()
    return session


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("janet", "Janet Whitfield"),
        ("JAN whit", "Janet Whitfield"),
        ("whitfield janet", "Janet Whitfield"),
        ("janet.whitfield@tampa", "Janet Whitfield"),
        ("tampamail", "Janet Whitfield"),
        ("0142", "Janet Whitfield"),
        ("555-0142", "Janet Whitfield"),
        ("(813) 555", "Janet Whitfield"),
        ("+1 813 555 0142", "Janet Whitfield"),
        ("8135550142", "Janet Whitfield"),
        ("nunez", "José Núñez-Solís"),
        ("Núñ", "José Núñez-Solís"),
        ("solis", "José Núñez-Solís"),
        ("clinica", "José Núñez-Solís"),
        ("8888 1234", "José Núñez-Solís"),
        ("506 8888", "José Núñez-Solís"),
        ("zoe o'b", "Zoë O'Brien"),
        ("+44 20 7946", "Zoë O'Brien"),
    ],
)
def test_what_people_type_finds_whom_they_mean(people: Session, typed: str, name: str) -> None:
    assert found(people, typed) == [name]


@pytest.mark.parametrize("typed", ["hitfield", "janet solis", "9999", "@", "'", '"', "*", "()"])
def test_what_begins_no_word_finds_nobody(people: Session, typed: str) -> None:
    assert found(people, typed) == []


@_HARMLESS
@given(typed=st.text(max_size=100).filter(lambda text: "\0" not in text))
def test_nothing_that_is_typed_breaks_the_search(people: Session, typed: str) -> None:
    found(people, typed.encode("utf-8", "ignore").decode())


@_HARMLESS
@given(
    operator=st.sampled_from(["OR", "NOT x", 'a" OR "b', "janet:*", "a & !b", "{", "\\", "NEAR("])
)
def test_the_index_takes_no_orders_from_what_is_typed(people: Session, operator: str) -> None:
    found(people, operator)


def test_a_changed_or_removed_lead_is_found_by_what_it_is_now(people: Session) -> None:
    janet = people.scalars(select(Lead).where(search.test(people, "janet"))).one()
    janet.search_text = search.search_text("Jane Whitfield-Ruiz", janet.email, "")
    people.commit()
    assert found(people, "ruiz") == ["Janet Whitfield"]
    assert found(people, "0142") == []
    people.delete(janet)
    people.commit()
    assert found(people, "ruiz") == []


def test_a_word_that_many_have_is_met_along_the_list_newest_first(session: Session) -> None:
    """None is left out, however many match, and pages lead from one to the next."""
    leads = [
        a_lead(session, last_request_at=TUESDAY_MORNING - timedelta(minutes=number))
        for number in range(70)
    ]
    copy_lead(session, leads[-1], search.FEW)
    a_lead(session, full_name="Zoë O'Brien", email="zoe@obrien.example")
    session.commit()
    assert search.few(session, "whit") is None
    first = listing.page(session, Filters("whit jan"), ASKER)
    second = listing.page(session, Filters("whit jan"), ASKER, key=first.after)
    shown = [lead.id for lead in (*first.leads, *second.leads)]
    # The copies are of one moment with the last, and newer.
    assert shown[:69] == [lead.id for lead in leads[:69]]
    steps = list(listing.matching(session, Filters("whit jan"), ASKER))
    walked = [lead.id for lead in chain.from_iterable(steps)]
    assert walked[:100] == shown
    assert len(set(walked)) == len(walked) == 70 + search.FEW
    named = listing.page(session, Filters("whit", (LeadStatus.CLOSED,)), ASKER)
    assert not named.leads


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_few_that_match_are_looked_up_among_twenty_thousand(session: Session) -> None:
    """PostgreSQL reads neither the table nor an order of it from end to end for a rare name."""
    zoe = a_lead(session, full_name="Zoë O'Brien", email="zoe@obrien.example")
    copy_lead(session, zoe, 20_000, search_text="somebody else")
    session.execute(text("ANALYZE lead"))
    with asking(session.get_bind().engine) as asked:
        page = listing.page(session, Filters("zoe"), ASKER)
    assert [lead.full_name for lead in page.leads] == ["Zoë O'Brien"]
    connection = session.connection()
    plans = [
        "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement}", given))
        for statement, given in asked.statements
    ]
    assert any("ix_lead_search" in plan for plan in plans), plans
    assert not any("Seq Scan on lead" in plan for plan in plans), plans


def a_named_lead(session: Session, name: str) -> Lead:
    """One in whose words the name alone tells whom."""
    mailbox = search.folded(name).replace(" ", "")[:20]
    return a_lead(session, full_name=name, email=f"q{mailbox}@mail.example", phone=None)


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_two_words_that_many_have_are_words_of_the_index(session: Session) -> None:
    """All that lies at any word with a start is gathered only for a start that few have."""
    many = [f"Max{number} Whitfield" for number in range(20)]
    for name in ("Janet Whitfield", "Janet Whitford", "Janet Ortiz", *many, "Ana Solano"):
        a_named_lead(session, name)
    for typed, asked_for, names in (
        ("janet whitfield", "('janet') & ('whitf')", ["Janet Whitfield"]),
        ("jan max", "('jan') & ('max')", []),
        ("janet whitford", "('janet') & ('whitford':*)", ["Janet Whitford"]),
        ("solano", "('solano':*)", ["Ana Solano"]),
    ):
        with asking(session.get_bind().engine) as asked:
            assert found(session, typed) == names
        assert any(asked_for in given.values() for _, given in asked.statements), asked.statements


@pytest.mark.parametrize(
    "word", ["Whitfield", "Núñez", "Sørensen", "Ελένη", "12e45", "ab1", "\u337f" * 190]
)
def test_every_start_of_a_word_finds_its_lead(session: Session, word: str) -> None:
    a_named_lead(session, f"Ana {word}")
    a_named_lead(session, "Zoë O'Brien")
    folded = search.folded(word)
    for length in range(1, len(folded) + 1, max(len(folded) // 30, 1)):
        assert f"Ana {word}" in found(session, folded[:length]), folded[:length]


def test_whole_words_are_no_starts(session: Session) -> None:
    """Who may be the same person is asked for by whole words, however short."""
    for name in ("Ana Mora", "Anabel Mora", "Ana Morales"):
        a_named_lead(session, name)
    condition = search.with_words(session, "mora ANA", 10)
    assert session.scalars(select(Lead.full_name).where(condition)).all() == ["Ana Mora"]


@pytest.fixture
def many(session: Session) -> list[int]:
    """120 leads, some of one moment, newest first."""
    leads = [
        a_lead(session, last_request_at=TUESDAY_MORNING - timedelta(minutes=number // 3))
        for number in range(120)
    ]
    a_lead(session, status=LeadStatus.HELD)
    session.commit()
    return [
        lead.id
        for lead in sorted(leads, key=lambda each: (each.last_request_at, each.id), reverse=True)
    ]


def test_pages_go_forth_and_back_without_gap_or_repeat(session: Session, many: list[int]) -> None:
    forth, key = [], None
    while True:
        page = listing.page(session, Filters(), ASKER, key=key)
        forth.append([lead.id for lead in page.leads])
        if page.after is None:
            break
        key = listing.read_key(str(page.after))
    assert [len(part) for part in forth] == [50, 50, 20]
    assert list(chain(*forth)) == many
    back = [forth[-1]]
    while page.before is not None:
        key = listing.read_key(str(page.before))
        page = listing.page(session, Filters(), ASKER, key=key)
        back.append([lead.id for lead in page.leads])
    assert back[::-1] == forth


def test_the_list_filters_by_status_and_search_together(session: Session) -> None:
    a_lead(session)
    closed = a_lead(session, status=LeadStatus.CLOSED)
    a_lead(session, status=LeadStatus.CLOSED, full_name="Max Ortiz", email="max@ortiz.example")
    session.commit()
    page = listing.page(session, Filters("janet", (LeadStatus.CLOSED,)), ASKER)
    assert [lead.id for lead in page.leads] == [closed.id]
    assert (page.before, page.after) == (None, None)


def test_how_the_columns_stand_leaves_held_leads_out(session: Session) -> None:
    oldest, lead = a_lead(session), a_lead(session)
    oldest.last_request_at = lead.last_request_at - timedelta(days=3)
    a_lead(session, status=LeadStatus.HELD)
    stands = standing(session)
    assert (stands[LeadStatus.NEW].count, sum(each.count for each in stands.values())) == (2, 2)
    assert stands[LeadStatus.NEW].oldest_at == oldest.last_request_at
    assert stands[LeadStatus.CLOSED].oldest_at is None


@given(typed=st.text(max_size=60))
def test_a_key_that_nobody_gave_out_is_no_key(typed: str) -> None:
    key = listing.read_key(typed)
    assert key is None or listing.read_key(str(key)) == key
