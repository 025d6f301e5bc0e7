"""Prepared statements: compiled once and run by their text, at little more than the database's
own cost.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    CursorResult,
    Dialect,
    Enum,
    Table,
    bindparam,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import TypeEngine

from leadcapture.database import Instant

Row = Mapping[str, Any]
_Processor = Callable[[Any], Any]


def insert_rows(table: Table, dialect: str, _names: Sequence[str]) -> Any:
    """An INSERT of the rows that `Prepared.run` is given; ON CONFLICT and RETURNING may follow."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


class Prepared:
    """A statement that is written the same way each time.

    SQLAlchemy keeps what it has compiled, but looks at every part of a statement and at every
    parameter's type again whenever it is executed. On the way of a request that took longer than
    writing its rows. ``build`` makes the statement, once, of the dialect's name and the names of
    the parameters.
    """

    def __init__(self, build: Callable[[str, Sequence[str]], Any]) -> None:
        self._build = build
        self._texts: dict[tuple[str, int], _Text] = {}

    def run(self, connection: Connection, *rows: Row) -> CursorResult[Any]:
        """Run it with the parameters of a row; of an INSERT, for several rows.

        All rows, now and later, name the same parameters. What comes back is as the driver gives
        it: instants and enumerated words are not read. SQLite takes all rows in one statement;
        PostgreSQL's driver sends one after the other, and is slow to read a hundred parameters.
        """
        text = self._text(connection.dialect, rows)
        if connection.dialect.name == "sqlite" or len(rows) == 1:
            return connection.exec_driver_sql(text.sql, text.parameters(rows))
        return connection.exec_driver_sql(text.sql, [text.parameters((row,)) for row in rows])

    def first(self, connection: Connection, row: Row) -> tuple[Any, ...] | None:
        """Run it and read the first row that comes back, each value as its column's type says."""
        text = self._text(connection.dialect, (row,))
        found = connection.exec_driver_sql(text.sql, text.parameters((row,))).first()
        return None if found is None else text.read(found)

    def _text(self, dialect: Dialect, rows: tuple[Row, ...]) -> "_Text":
        key = (dialect.name, len(rows) if dialect.name == "sqlite" else 1)
        text = self._texts.get(key)
        if text is None:
            statement = self._build(dialect.name, list(rows[0]))
            text = self._texts[key] = _Text(statement, dialect, rows[: key[1]])
        return text


class _Text:
    """The text of a statement in one dialect, and the way of values into its parameters."""

    def __init__(self, statement: Any, dialect: Dialect, rows: tuple[Row, ...]) -> None:
        origins = {name: (0, name) for name in rows[0]}
        if len(rows) > 1:
            origins = {
                f"{name}_{number}": (number, name)
                for number, row in enumerate(rows)
                for name in row
            }
            types = {name: statement.table.c[name].type for name in rows[0]}
            statement = statement.values(
                [
                    {name: bindparam(f"{name}_{number}", type_=types[name]) for name in row}
                    for number, row in enumerate(rows)
                ]
            )
        compiled: Any = statement.compile(dialect=dialect, column_keys=list(origins))
        assert not compiled.insert_prefetch, "a column with a default has to be named"
        state = compiled.construct_expanded_state(dict.fromkeys(origins))
        processors = dict(_processors(compiled.bind_names.items(), dialect)) | state.processors
        self.sql = state.statement
        self._constants = {
            name: processors[name](value) if name in processors else value
            for name, value in state.parameters.items()
            if name not in origins
        }
        self._slots = [(name, *origin, processors.get(name)) for name, origin in origins.items()]
        self._order = state.positiontup
        self._statement, self._dialect = statement, dialect

    def read(self, row: Sequence[Any]) -> tuple[Any, ...]:
        """The values of a row that the driver gave, as the statement's columns mean them."""
        readers = zip(row, self._readers, strict=True)
        return tuple([value if read is None else read(value) for value, read in readers])

    @cached_property
    def _readers(self) -> list[_Processor | None]:
        # Neither driver's own type of a column says more than its declared one.
        columns = self._statement.exported_columns
        return [
            column.type.dialect_impl(self._dialect).result_processor(self._dialect, None)
            for column in columns
        ]

    def parameters(self, rows: tuple[Row, ...]) -> Any:
        """What the driver takes: a tuple where parameters go by position, else a dict."""
        values = dict(self._constants)
        for name, number, key, process in self._slots:
            value = rows[number][key]
            values[name] = value if process is None else process(value)
        if self._order is None:
            return values
        return tuple([values[name] for name in self._order])


def _processors(
    binds: Iterable[tuple[BindParameter[Any], str]], dialect: Dialect
) -> Iterable[tuple[str, _Processor]]:
    for bind, name in binds:
        process = _processor(bind.type, dialect)
        if process is not None:
            yield name, process


def _processor(type_: TypeEngine[Any], dialect: Dialect) -> _Processor | None:
    if isinstance(type_, Instant):
        return _instants(dialect)
    process: _Processor | None = type_.dialect_impl(dialect).bind_processor(dialect)
    if process is not None and isinstance(type_, Enum):
        return lru_cache(maxsize=256)(process)
    return process


@lru_cache(maxsize=8)
def _instants(dialect: Dialect) -> _Processor | None:
    # One for all columns: the rows of a request name a few instants two dozen times.
    process: _Processor | None = Instant().dialect_impl(dialect).bind_processor(dialect)
    return process and lru_cache(maxsize=256)(process)
