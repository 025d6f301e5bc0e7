"""Who is told of a note that mentions colleagues, and who is not."""

from collections.abc import Sequence

from flask_babel import gettext, ngettext

from leadcapture.accounts.access import reads_health
from leadcapture.leads.mentions import Mentioned


def mentioned(whom: Mentioned) -> list[str]:
    """A sentence for each of: who reads it, who only hears of it, and the names of nobody."""
    readers = [one.name for one in whom.colleagues if reads_health(one)]
    others = [one.name for one in whom.colleagues if not reads_health(one)]
    told = []
    if readers:
        names = ", ".join(readers)
        told.append(gettext("It is shown to %(names)s on their first page.", names=names))
    if others:
        told.append(
            ngettext(
                "%(names)s sees only that they are named: their role reads no notes.",
                "%(names)s see only that they are named: their role reads no notes.",
                len(others),
                names=", ".join(others),
            )
        )
    if whom.unknown:
        names = _quoted(whom.unknown)
        told.append(gettext("There is no colleague called %(names)s.", names=names))
    if whom.shared:
        names = _quoted(whom.shared)
        told.append(
            gettext(
                "Several colleagues are called %(names)s, so none is told: give the full name.",
                names=names,
            )
        )
    return told


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"“{name}”" for name in names)
