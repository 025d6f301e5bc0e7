"""Names: telephones, languages and countries as people write them."""

from collections.abc import Callable
from functools import lru_cache

import phonenumbers
from babel import Locale
from babel.numbers import format_decimal
from flask_babel import get_locale
from markupsafe import Markup

from leadcapture.leads import references

_NATIONAL = (1,)


@lru_cache(4096)
def telephone(number: str) -> str:
    """An E.164 number in groups: the national way in North America, else the international."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return number
    style = phonenumbers.PhoneNumberFormat.INTERNATIONAL
    if parsed.country_code in _NATIONAL:
        style = phonenumbers.PhoneNumberFormat.NATIONAL
    return phonenumbers.format_number(parsed, style)


def address(email: str) -> Markup:
    """An address that a narrow column breaks before its @, if anywhere."""
    local, at, domain = email.partition("@")
    return Markup("%s<wbr>%s%s") % (local, at, domain)


def reference(receipt: str) -> str:
    """A request's reference in groups, as its owner would say it."""
    return references.spoken(receipt)


def language_name(code: str) -> str:
    """A language by its name: ``Spanish``."""
    return str(_locale().languages.get(code, code.upper()))


def country_name(code: str) -> str:
    """A country by its name; an unknown code stands for itself."""
    return str(_locale().territories.get(code, code))


def number(count: int) -> str:
    """A whole number as people write it: ``1,234``."""
    return _grouped(count, _locale().language)


@lru_cache(4096)
def _grouped(count: int, language: str) -> str:
    return str(format_decimal(count, locale=language))


def _locale() -> Locale:
    return get_locale() or Locale("en")


FILTERS: dict[str, Callable[..., str]] = {
    "address": address,
    "telephone": telephone,
    "number": number,
    "reference": reference,
    "language_name": language_name,
    "country_name": country_name,
}
