"""Column types that more than one noun uses."""

import enum

from sqlalchemy import Enum


def words(kind: type[enum.StrEnum]) -> Enum:
    """A StrEnum kept as its lower-case words, free to grow without a migration."""
    return Enum(
        kind,
        values_callable=lambda members: [member.value for member in members],
        native_enum=False,
        create_constraint=False,
        length=24,
    )
