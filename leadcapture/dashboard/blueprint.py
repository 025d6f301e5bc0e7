"""The blueprint that the pages for staff hang on."""

import re
from typing import Any

from flask import Blueprint, abort

blueprint = Blueprint("dashboard", __name__, url_prefix="/desk")

# The references of requests are shorter, so that people can say them.
_REFERENCE = re.compile(r"[A-Za-z0-9_-]{22}|[0-9A-Z]{9}")


@blueprint.url_value_preprocessor
def refuse_odd_references(_endpoint: str | None, values: dict[str, Any] | None) -> None:
    """404 for what no reference looks like, before a database hears of it."""
    if any(not _REFERENCE.fullmatch(str(value)) for value in (values or {}).values()):
        abort(404)
