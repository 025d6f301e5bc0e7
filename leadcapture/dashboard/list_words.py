"""List words: a list as its address has it, and each filter as a word that people read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode
from zoneinfo import ZoneInfo

from flask import url_for
from flask_babel import get_locale, gettext, lazy_gettext
from sqlalchemy import or_, select
from sqlalchemy.orm import lazyload

from leadcapture import places, web
from leadcapture.accounts.access import me
from leadcapture.dashboard import words
from leadcapture.dashboard.names import country_name, language_name
from leadcapture.database import db
from leadcapture.leads import listing, sources, tags
from leadcapture.leads.filters import ME, NOBODY, Asker, Filters, read_filters
from leadcapture.models import UNLISTED, Lead, Staff, Tag

_COLLEAGUES = 100
_WAITING = {
    "yes": lazy_gettext("waits"),
    "no": lazy_gettext("nobody waits"),
    "late": lazy_gettext("late"),
}


@dataclass(frozen=True)
class Shown:
    """What a list shows, as it stands in its address."""

    filters: Filters
    order: listing.Order

    def href(self, endpoint: str = "dashboard.leads", **more: Any) -> str:
        """The address of this list, or with ``more`` of a page of it."""
        given = dict(self.words) | {name: value for name, value in more.items() if value}
        return url_for(endpoint, **given)

    @property
    def query(self) -> str:
        """What stands in the address after the question mark."""
        return urlencode(self.words, doseq=True)

    @property
    def words(self) -> Mapping[str, Sequence[str]]:
        """The filters and the order; what is usual is left out."""
        usual = str(self.order) == str(listing.Order())
        return {**self.filters.words, **({} if usual else {"sort": [str(self.order)]})}


def read_shown(given: Mapping[str, Sequence[str]]) -> Shown:
    """The list of an address; those who do not wait stand in no order of waiting."""
    filters = read_filters(given)
    order = listing.read_order((given.get("sort") or [""])[0])
    if order.sort.waiting_only and filters.waiting == "no":
        order = listing.Order()
    return Shown(filters, order)


def read_query(query: str) -> Shown:
    """The list whose address was sent back in a form."""
    try:
        return read_shown(parse_qs(query[:4_000], max_num_fields=40))
    except ValueError:
        return Shown(Filters(), listing.Order())


def asker() -> Asker:
    """Who asks for a list, for `listing`."""
    zone = ZoneInfo(web.settings().clinic.time_zone)
    return Asker(me().id, web.now(), zone, sources.read_rules(db.session()))


def owners(named: Sequence[str]) -> Sequence[Staff]:
    """Everybody who may own a lead, by name; then those who left and own some still.

    With those whose addresses are ``named``, whatever they own.
    """
    # In the order of the owners' own index, so that no database reads the leads for it.
    owned = (
        select(Lead.id)
        .where(Lead.owner_id == Staff.id, Lead.status.not_in(UNLISTED))
        .order_by(Lead.last_request_at.desc(), Lead.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    return db.session.scalars(
        select(Staff)
        .where(or_(Staff.active, Staff.email.in_(named), owned.is_not(None)))
        .options(lazyload(Staff.roles))
        .order_by(Staff.active.desc(), Staff.name, Staff.id)
        .limit(2 * _COLLEAGUES)
    ).all()


@dataclass(frozen=True)
class Choices:
    """What the form of filters offers; those who ``left`` own leads still, and get none."""

    colleagues: Sequence[Staff]
    left: Sequence[Staff]
    tags: Sequence[Tag]
    sources: Mapping[str, str]
    languages: Mapping[str, str]
    countries: Sequence[tuple[str, str]]


def choices(asks: Asker, *filters: Filters) -> Choices:
    """The owners, tags, sources, languages and countries to choose from.

    The owner of each of these ``filters`` is among them.
    """
    found = owners([one.owner for one in filters if one.owner])
    named = {rule.name: rule.name for rule in asks.rules}
    ways = {channel: str(told) for channel, told in words.CHANNEL.items()}
    return Choices(
        [one for one in found if one.active][:_COLLEAGUES],
        [one for one in found if not one.active][:_COLLEAGUES],
        tags.list_tags(db.session()),
        named | ways,
        {code: language_name(code) for code in web.LANGUAGES},
        places.every_country(str(get_locale() or "en")),
    )


@dataclass(frozen=True)
class Chip:
    """A filter that is on: what it says, and the address without it."""

    text: str
    href: str


def chips(shown: Shown, offered: Choices) -> Sequence[Chip]:
    """One for each word of the address that narrows the list."""
    made = []
    for name, given in shown.filters.words.items():
        for word in given:
            left = Shown(shown.filters.without(name, word), shown.order)
            made.append(Chip(_say(name, word, offered), left.href()))
    if shown.order.sort.waiting_only and not shown.filters.waiting:
        made.append(Chip(gettext("waits"), Shown(shown.filters, listing.Order()).href()))
    return made


def _say(name: str, word: str, offered: Choices) -> str:
    match name:
        case "q":
            return str(gettext("“%(word)s”", word=word))
        case "status":
            return words.of(words.STATUS, word)
        case "owner":
            return str(gettext("owner: %(name)s", name=_owner_name(word, offered)))
        case "waiting":
            return str(_WAITING[word])
        case "tag":
            named = {tag.ref: tag.name for tag in offered.tags}
            return str(gettext("tag: %(name)s", name=named.get(word) or _tag_name(word)))
        case "source":
            return str(gettext("source: %(name)s", name=offered.sources.get(word, word)))
        case "language":
            return language_name(word)
        case "country":
            return country_name(word)
        case "from":
            return str(gettext("asked from %(day)s", day=word))
    return str(gettext("asked until %(day)s", day=word))


def _owner_name(word: str, offered: Choices) -> str:
    if word in (ME, NOBODY):
        return str(gettext("me") if word == ME else gettext("nobody"))
    known = (*offered.colleagues, *offered.left)
    return next((one.name for one in known if one.email == word), word)


def _tag_name(ref: str) -> str:
    tag = tags.find_tag(db.session(), ref)
    return tag.name if tag else str(gettext("one that is gone"))
