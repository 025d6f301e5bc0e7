"""Among: that an id is one of many, asked with one parameter instead of one for each."""

import json
from collections.abc import Collection
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Integer, any_, func, literal, select
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import SQLCoreOperations


def among(
    session: Session, column: SQLCoreOperations[Any], ids: Collection[int]
) -> ColumnElement[bool]:
    """That ``column`` holds one of these ids, however many.

    A thousand parameters of an IN would each be named, read and planned, for more time than the
    look-up takes: PostgreSQL gets an array, SQLite a list in JSON.
    """
    if session.get_bind().dialect.name == "sqlite":
        each = func.json_each(json.dumps(list(ids))).table_valued("value")
        return column.in_(select(each.c.value))
    return column == any_(literal(list(ids), ARRAY(Integer)))
