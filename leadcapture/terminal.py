"""Plain tables for the operator's terminal."""

from collections.abc import Sequence


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows under their heads, each column as wide as it needs."""
    widths = [max(len(row[n]) for row in (heads, *rows)) for n in range(len(heads))]
    rule = ["-" * width for width in widths]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (heads, rule, *rows)
    )
