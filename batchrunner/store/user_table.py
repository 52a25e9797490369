"""Inserts or updates rows in a table of the user's own database, by the user's own key."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Double,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    and_,
    cast,
    exists,
    func,
    insert,
    inspect,
    literal_column,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import CreateColumn, CreateTable
from sqlalchemy.sql import quoted_name
from sqlalchemy.types import TypeEngine

from batchrunner.store.dialect import has_server
from batchrunner.store.schema import metadata as own_tables

#: Rows in one statement.
CHUNK = 500
#: Rows that an error names.
_EXAMPLES = 3
#: Above it, a whole number has no exact equal among floating-point numbers.
_MAX_EXACT = 2**53
#: PostgreSQL cuts longer names, in bytes.
_MAX_SERVER_NAME = 63


class Kind(StrEnum):
    """What the values of a column are."""

    TEXT = "text"
    INTEGER = "integer"  #: of at most 64 bits
    REAL = "real"
    BOOLEAN = "boolean"
    TIME = "time"
    JSON = "json"  #: as text


@dataclass(frozen=True, kw_only=True, slots=True)
class UserColumn:
    """A column to write, and the kind of its values."""

    name: str
    kind: Kind


@dataclass(frozen=True, kw_only=True, slots=True)
class Upserted:
    """What was written to the user's table."""

    inserted: int
    updated: int
    created: bool = False  #: the table is new
    added: tuple[str, ...] = ()  #: columns that are new in the table


class TableRefused(Exception):
    """The rows cannot be written; nothing was changed."""

    def __init__(self, message: str, next: str) -> None:
        super().__init__(message)
        self.message = message
        self.next = next


def upsert(
    tx: Connection,
    table: str,
    schema: str | None,
    columns: Sequence[UserColumn],
    key: Sequence[str],
    rows: Iterable[Sequence[Any]],
) -> Upserted:
    """
    Insert the rows into a table, or update those that it has by their key, all in *tx*.

    A table that is not there is made with types, and columns that it lacks are added. Other columns
    of it stay as they are. A value of None replaces what was there.

    Raises:
        TableRefused: A key is missing or not unique, or a column cannot hold what would be written.
    """
    names = [column.name for column in columns]
    if has_server(tx):
        _check_lengths(names)
    _refuse_own(tx, table)
    stage = _Stage(tx, columns, key)
    is_there = inspect(tx).has_table(table, schema=schema)
    if is_there and has_server(tx):
        place = tx.dialect.identifier_preparer.format_table(Table(table, MetaData(), schema=schema))
        tx.execute(text(f"LOCK TABLE {place} IN SHARE ROW EXCLUSIVE MODE"))
    before = _existing(tx, table, schema) if is_there else {}
    texts = [_is_text_there(tx, before, column) for column in columns]
    stage.fill(rows, texts)
    stage.check_key()
    if not is_there:
        tx.execute(CreateTable(_new_table(tx, table, schema, columns, key)))
    added = _add_columns(tx, table, schema, columns, before) if is_there else ()
    target = _target(tx, table, schema, columns, before)
    _check_columns(stage, columns, before, table)
    stage.check_target(target, table)
    return Upserted(
        updated=stage.update(target),
        inserted=stage.insert(target),
        created=not is_there,
        added=tuple(added),
    )


# ---- rows in a temporary table ----


class _Stage:
    """The rows in a temporary table: keys are compared there, and memory stays flat."""

    def __init__(self, tx: Connection, columns: Sequence[UserColumn], key: Sequence[str]) -> None:
        self._tx = tx
        self._columns = columns
        names = [column.name for column in columns]
        self._key = [names.index(name) for name in key]
        self._key_names = key
        self.table = Table(
            "batchrunner_rows",
            MetaData(),
            Column("n", BigInteger),
            *(Column(f"c{at}", _type_of(tx, column.kind)) for at, column in enumerate(columns)),
            prefixes=["TEMPORARY"],
            **({"postgresql_on_commit": "DROP"} if has_server(tx) else {}),
        )

    def fill(self, rows: Iterable[Sequence[Any]], as_text: Sequence[bool]) -> None:
        """Put all rows there; numbers for a column of text become text here, with all digits."""
        if not has_server(self._tx):
            self._tx.execute(text("DROP TABLE IF EXISTS temp.batchrunner_rows"))
        for at, is_text in enumerate(as_text):
            if is_text:
                self.table.c[f"c{at}"].type = Text()
        self.table.create(self._tx)
        convert = [_converter(self._tx, flag) for flag in as_text]
        page: list[dict[str, Any]] = []
        for number, row in enumerate(rows, 1):
            values = {f"c{at}": convert[at](value) for at, value in enumerate(row)}
            page.append({"n": number, **values})
            if len(page) == CHUNK:
                self._tx.execute(insert(self.table), page)
                page = []
        if page:
            self._tx.execute(insert(self.table), page)
        Index("batchrunner_rows_key", *self._key_columns).create(self._tx)

    @property
    def _key_columns(self) -> list[Column[Any]]:
        return [self.table.c[f"c{at}"] for at in self._key]

    def check_key(self) -> None:
        """Refuse rows without a key, and rows that share one."""
        named = ", ".join(self._key_names)
        empty = or_(*(or_(each.is_(None), cast(each, Text) == "") for each in self._key_columns))
        lacking = self._tx.execute(
            select(self.table.c.n).where(empty).order_by(self.table.c.n).limit(_EXAMPLES)
        ).scalars()
        if found := [str(number) for number in lacking]:
            raise TableRefused(
                f"rows have no {named}, which is to be their key: row {', '.join(found)}, …",
                "name a key that each row has, or choose rows with --only",
            )
        groups = self._tx.execute(
            select(*self._key_columns, func.count())
            .group_by(*self._key_columns)
            .having(func.count() > 1)
            .limit(_EXAMPLES)
        ).all()
        if groups:
            raise TableRefused(
                f"several rows have the same {named}, which is to be their key: {_shown(groups)}",
                "add a column that tells them apart: --key may be given more than once",
            )

    def check_target(self, target: _Target, table: str) -> None:
        """Refuse a table that has a key of ours more than once."""
        mine = exists().where(self._same(target))
        keys = [target.columns[at] for at in self._key]
        query = select(*keys, func.count()).where(mine).group_by(*keys)
        groups = self._tx.execute(query.having(func.count() > 1).limit(_EXAMPLES)).all()
        if groups:
            named = ", ".join(self._key_names)
            raise TableRefused(
                f"the table {table} has several rows with the same {named}: {_shown(groups)}",
                "name the key that its rows have: --key may be given more than once",
            )

    def _same(self, target: _Target) -> Any:
        return and_(*(target.columns[at] == self.table.c[f"c{at}"] for at in self._key))

    def update(self, target: _Target) -> int:
        """Update the rows that are there; return their number."""
        others = [at for at in range(len(self._columns)) if at not in self._key]
        if not others:
            query = select(func.count()).select_from(self.table).where(
                exists().where(self._same(target))
            )
            return int(self._tx.execute(query).scalar_one())
        values = {target.columns[at]: self._value(target, at) for at in others}
        done = self._tx.execute(update(target.table).values(values).where(self._same(target)))
        return int(done.rowcount)

    def insert(self, target: _Target) -> int:
        """Insert the rows that are not there; return their number."""
        everything = range(len(self._columns))
        rows = (
            select(*(self._value(target, at) for at in everything))
            .where(~exists().where(self._same(target)).correlate(self.table))
            .order_by(self.table.c.n)
        )
        columns = [target.columns[at] for at in everything]
        done = self._tx.execute(insert(target.table).from_select(columns, rows))
        return int(done.rowcount)

    def _value(self, target: _Target, at: int) -> Any:
        staged, wanted = self.table.c[f"c{at}"], target.types[at]
        return staged if wanted is None else cast(staged, wanted)

    def largest(self, at: int) -> int:
        """Return the largest whole number of a column, without its sign."""
        column = self.table.c[f"c{at}"]
        found = select(func.max(column), func.min(column))
        high, low = self._tx.execute(found).one()
        return max(abs(high or 0), abs(low or 0))

    def has_values(self, at: int) -> bool:
        """Return whether a column has any value."""
        column = self.table.c[f"c{at}"]
        return self._tx.execute(select(column).where(column.is_not(None)).limit(1)).first() is not None


def _shown(groups: Iterable[Any]) -> str:
    return "; ".join(
        f"{', '.join(repr(value) for value in group[:-1])} ({group[-1]} times)" for group in groups
    )


def _converter(tx: Connection, as_text: bool) -> Callable[[Any], Any]:
    no_nul = has_server(tx)

    def convert(value: Any) -> Any:
        if isinstance(value, str):
            value = value.encode("utf-8", "replace").decode() if not value.isascii() else value
            return value.replace("\0", "␀") if no_nul else value
        if value is None or not as_text:
            return value
        if isinstance(value, bool):
            return str(value).lower()
        return value.isoformat() if isinstance(value, datetime) else str(value)

    return convert


# ---- the user's table ----


@dataclass(frozen=True, kw_only=True, slots=True)
class _Target:
    table: Table
    columns: Sequence[Column[Any]]  #: in the order of ours
    types: Sequence[TypeEngine[Any] | None]  #: to cast to; None: as staged


def _quoted(name: str) -> quoted_name:
    return quoted_name(name, quote=True)


def _refuse_own(tx: Connection, table: str) -> None:
    """Never write into the tables of a database of batches."""
    if not inspect(tx).has_table("submissions") or not inspect(tx).has_table("alembic_version"):
        return
    if not has_server(tx) or table in {*own_tables.tables, "alembic_version"}:
        raise TableRefused(
            "this is a database of batches, and exports do not write into its tables",
            "name another file or another table",
        )


def _check_lengths(names: Sequence[str]) -> None:
    long = [name for name in names if len(name.encode("utf-8", "replace")) > _MAX_SERVER_NAME]
    if long:
        raise TableRefused(
            f"PostgreSQL cuts names of more than {_MAX_SERVER_NAME} bytes: {long[0]}",
            f"give it a shorter one: --columns {_EXAMPLE_OF_NAMES}",
        )


_EXAMPLE_OF_NAMES = "id,price=result.offer.price"


def _existing(tx: Connection, table: str, schema: str | None) -> Mapping[str, _Existing]:
    found = inspect(tx).get_columns(table, schema=schema)
    fold = str if has_server(tx) else str.lower
    return {fold(each["name"]): _Existing(each["name"], each["type"]) for each in found}


@dataclass(frozen=True, slots=True)
class _Existing:
    name: str
    type: TypeEngine[Any]


def _find(tx: Connection, before: Mapping[str, _Existing], name: str) -> _Existing | None:
    return before.get(name if has_server(tx) else name.lower())


def _new_table(
    tx: Connection,
    table: str,
    schema: str | None,
    columns: Sequence[UserColumn],
    key: Sequence[str],
) -> Table:
    made = [
        Column(_quoted(each.name), _type_of(tx, each.kind), nullable=each.name not in key)
        for each in columns
    ]
    by_name = {column.name: column for column in made}
    return Table(
        _quoted(table),
        MetaData(),
        *made,
        PrimaryKeyConstraint(*(by_name[name] for name in key)),
        schema=None if schema is None else _quoted(schema),
    )


def _add_columns(
    tx: Connection,
    table: str,
    schema: str | None,
    columns: Sequence[UserColumn],
    before: Mapping[str, _Existing],
) -> list[str]:
    preparer = tx.dialect.identifier_preparer
    place = preparer.format_table(Table(_quoted(table), MetaData(), schema=schema and _quoted(schema)))
    added = []
    for column in columns:
        if _find(tx, before, column.name) is None:
            new = Column(_quoted(column.name), _type_of(tx, column.kind))
            spelled = CreateColumn(new).compile(dialect=tx.dialect)
            tx.exec_driver_sql(f"ALTER TABLE {place} ADD COLUMN {spelled}")
            added.append(column.name)
    return added


def _target(
    tx: Connection,
    table: str,
    schema: str | None,
    columns: Sequence[UserColumn],
    before: Mapping[str, _Existing],
) -> _Target:
    made, types = [], []
    for column in columns:
        there = _find(tx, before, column.name)
        type_ = _type_of(tx, column.kind) if there is None else there.type
        made.append(Column(_quoted(there.name if there else column.name), type_))
        types.append(type_ if there is not None and has_server(tx) else None)
    schema_ = None if schema is None else _quoted(schema)
    return _Target(
        table=Table(_quoted(table), MetaData(), *made, schema=schema_), columns=made, types=types
    )


# ---- types ----


def _type_of(tx: Connection, kind: Kind) -> TypeEngine[Any]:
    server = has_server(tx)
    types: Mapping[Kind, TypeEngine[Any]] = {
        Kind.TEXT: Text(),
        Kind.INTEGER: BigInteger(),
        Kind.REAL: Double(),
        Kind.BOOLEAN: Boolean(),
        Kind.TIME: DateTime(timezone=True) if server else Text(),
        Kind.JSON: JSONB() if server else Text(),
    }
    return types[kind]
