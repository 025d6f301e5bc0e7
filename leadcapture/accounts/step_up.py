"""The password once more, before what could lock a colleague out or let a stranger in."""

from leadcapture.accounts.access import me
from leadcapture.accounts.passwords import LONGEST, normal_form
from leadcapture.accounts.security import may_guess


class GuessedTooOften(Exception):
    """So many tries at this person's password that the next must wait."""


def is_password_of_mine(typed: str) -> bool:
    """True where whoever is signed in typed their own password (AU-11)."""
    if not may_guess(f"step up {me().id}"):
        raise GuessedTooOften
    return len(typed) <= LONGEST and bool(me().verify_and_update_password(normal_form(typed)))
