"""Countries and time zones that forms offer, by the names that patients know."""

from collections.abc import Iterator
from functools import cache
from importlib import resources
from unicodedata import normalize
from zoneinfo import available_timezones

from babel import Locale
from flask_babel import gettext as _

_FIRST = ("US", "CR", "CA", "MX")
_OTHERS = (
    *("AE", "AR", "AT", "AU", "BE", "BO", "BR", "BS", "BZ", "CH", "CL", "CO", "DE", "DK", "DO"),
    *("EC", "ES", "FR", "GB", "GT", "HN", "IE", "IL", "IT", "JM", "JP", "NI", "NL", "NO", "NZ"),
    *("PA", "PE", "PR", "PT", "PY", "SE", "SV", "TT", "UY", "VE"),
)
# People live there and have numbers of its own, but it is not in ISO 3166.
_KOSOVO = "XK"
ELSEWHERE = "ZZ"


def countries(language: str) -> list[tuple[str, str]]:
    """(ISO 3166 code, name) of the countries that patients come from, nearest first."""
    return [*_named_countries(language), (ELSEWHERE, _("Another country"))]


@cache
def _named_countries(language: str) -> list[tuple[str, str]]:
    names = Locale.parse(language).territories
    others = sorted(_OTHERS, key=lambda code: names[code].replace("É", "E"))
    return [(code, names[code]) for code in (*_FIRST, *others)]


@cache
def every_country(language: str) -> list[tuple[str, str]]:
    """(ISO 3166 code, name) of all countries, the nearest first, then by name.

    The locale's own list has the Eurozone and the like among them.
    """
    table = resources.files("tzdata").joinpath("zoneinfo/iso3166.tab").read_text("utf-8")
    lines = [line for line in table.splitlines() if line and not line.startswith("#")]
    names = Locale.parse(language).territories
    codes = {_KOSOVO, *(line.partition("\t")[0] for line in lines)} - {*_FIRST}
    # By their plain letters, so that Åland stands at A and not after Z.
    others = sorted(codes, key=lambda code: normalize("NFD", names[code]).encode("ascii", "ignore"))
    return [(code, names[code]) for code in (*_FIRST, *others)]


def time_zones() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """(group, [(IANA zone, name)]) of the zones that most patients live in."""
    yield (
        _("United States"),
        [
            ("America/New_York", _("Eastern: New York, Miami")),
            ("America/Chicago", _("Central: Chicago, Dallas")),
            ("America/Denver", _("Mountain: Denver")),
            ("America/Phoenix", _("Arizona: Phoenix")),
            ("America/Los_Angeles", _("Pacific: Los Angeles, Seattle")),
            ("America/Anchorage", _("Alaska")),
            ("Pacific/Honolulu", _("Hawaii")),
            ("America/Puerto_Rico", _("Puerto Rico")),
        ],
    )
    yield (
        _("Canada and Latin America"),
        [
            ("America/Costa_Rica", _("Costa Rica")),
            ("America/Toronto", _("Toronto, Montreal")),
            ("America/Vancouver", _("Vancouver")),
            ("America/Mexico_City", _("Mexico City")),
            ("America/Guatemala", _("Guatemala, Honduras, El Salvador")),
            ("America/Panama", _("Panama")),
            ("America/Bogota", _("Colombia, Peru, Ecuador")),
            ("America/Caracas", _("Venezuela")),
            ("America/Santiago", _("Chile")),
            ("America/Argentina/Buenos_Aires", _("Argentina")),
            ("America/Sao_Paulo", _("Brazil")),
        ],
    )
    yield (
        _("Europe"),
        [
            ("Europe/London", _("United Kingdom")),
            ("Europe/Madrid", _("Spain")),
            ("Europe/Paris", _("France")),
            ("Europe/Berlin", _("Germany")),
            ("Europe/Rome", _("Italy")),
        ],
    )


def is_zone(name: str) -> bool:
    """True for a zone of the tz database."""
    return name in _zones()


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())
