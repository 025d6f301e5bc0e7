"""Telephone numbers as people type them, and the time zone that they suggest."""

from functools import cache
from importlib import resources

import phonenumbers
from phonenumbers import PhoneNumberFormat, timezone

LONGEST = 60

# People leave their country's code out; these are tried after the country that they named.
_NEAR = ("US", "CR")
_LONGEST_REGION = 2

# One zone for a country that has several: where most of its people live.
_ZONES = {
    "AR": "America/Argentina/Buenos_Aires",
    "AU": "Australia/Sydney",
    "BR": "America/Sao_Paulo",
    "CA": "America/Toronto",
    "CL": "America/Santiago",
    "EC": "America/Guayaquil",
    "ES": "Europe/Madrid",
    "MX": "America/Mexico_City",
    "NZ": "Pacific/Auckland",
    "PT": "Europe/Lisbon",
    "US": "America/New_York",
}


def read_phone(typed: str, country: str = "") -> str | None:
    """The number in E.164, or None where it cannot be told; never a reason to refuse anyone.

    ``country`` (ISO 3166, may be empty) is where a number without a country's code is tried
    first, then the United States and Costa Rica.
    """
    regions = ([country] if len(country) == _LONGEST_REGION else []) + list(_NEAR)
    for region in dict.fromkeys(regions):
        try:
            number = phonenumbers.parse(typed[:LONGEST], region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            return phonenumbers.format_number(number, PhoneNumberFormat.E164)
    return None


def international(phone: str) -> str:
    """A number (E.164) in groups, with its country's code: ``+1 305-555-0100``."""
    number = phonenumbers.parse(phone)
    return phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)


def guess_zone(phone: str | None, country: str) -> str:
    """The IANA zone that a number (E.164) or else a country suggests; empty where none does."""
    number = phonenumbers.parse(phone) if phone else None
    if number is not None:
        country = phonenumbers.region_code_for_number(number) or country
    zones = _zones_by_country().get(country, ())
    if len(zones) == 1:
        return zones[0]
    areas = timezone.time_zones_for_number(number) if number is not None else ()
    # A number that fits many zones tells no more than its country.
    if len(areas) == 1 and areas[0] != timezone.UNKNOWN_TIMEZONE:
        return str(areas[0])
    return _ZONES.get(country, "")


@cache
def _zones_by_country() -> dict[str, tuple[str, ...]]:
    """Which zones each country has, as the tz database's zone.tab lists them."""
    found: dict[str, tuple[str, ...]] = {}
    table = resources.files("tzdata").joinpath("zoneinfo/zone.tab").read_text("utf-8")
    for line in table.splitlines():
        if line and not line.startswith("#"):
            country, _, zone, *_ = line.split("\t")
            found[country] = (*found.get(country, ()), zone)
    return found
