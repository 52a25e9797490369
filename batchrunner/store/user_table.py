"""Inserts or updates rows in a table of the user's own database, by the user's own key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Index,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    and_,
    cast,
    exists,
    func,
    insert,
    inspect,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.schema import CreateColumn, CreateTable
from sqlalchemy.sql import quoted_name
from sqlalchemy.types import TypeEngine, UserDefinedType

from batchrunner.store.dialect import has_server
from batchrunner.store.job_rows import chunks
from batchrunner.store.schema import metadata as own_tables
from batchrunner.store.user_types import (
    ColumnKind,
    ColumnThere,
    TableRefused,
    accepts,
    columns_there,
)

#: Rows in one statement.
CHUNK = 500
#: Rows that an error names.
_EXAMPLES = 3
#: Above it, a whole number has no exact equal among floating-point numbers.
_MAX_EXACT = 2**53
#: PostgreSQL cuts longer names, in bytes.
_MAX_SERVER_NAME = 63


@dataclass(frozen=True, kw_only=True, slots=True)
class UserColumn:
    """A column to write, and the kind of its values."""

    name: str
    kind: ColumnKind


@dataclass(frozen=True, kw_only=True, slots=True)
class UserTable:
    """Where to write."""

    name: str
    schema: str | None = None  #: of PostgreSQL; None: the first of the search path


@dataclass(frozen=True, kw_only=True, slots=True)
class Upserted:
    """What was written to the user's table."""

    inserted: int
    updated: int
    created: bool = False  #: the table is new
    added: tuple[str, ...] = ()  #: columns that are new in the table


def upsert(
    tx: Connection,
    table: UserTable,
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
    _refuse_own(tx, table)
    _check_names(tx, columns)
    is_there = inspect(tx).has_table(table.name, schema=table.schema)
    if is_there and has_server(tx):
        tx.exec_driver_sql(f"LOCK TABLE {_spelled(tx, table)} IN SHARE ROW EXCLUSIVE MODE")
    there = _find(tx, columns_there(tx, table.name, table.schema) if is_there else (), columns)
    stage = _Stage(tx, columns, key, [each and each.kind is ColumnKind.TEXT for each in there])
    stage.fill(rows)
    stage.check_key()
    for at, each in enumerate(there):
        if each is not None and not stage.fits(at, each):
            raise _does_not_fit(columns[at], each, table)
    added = [column for column, each in zip(columns, there, strict=True) if each is None]
    if is_there:
        _add_columns(tx, table, added)
    else:
        tx.execute(CreateTable(_new_table(tx, table, columns, key)))
    names = [
        each.name if each else column.name for column, each in zip(columns, there, strict=True)
    ]
    updated, inserted = stage.write_to(_target(table, names))
    return Upserted(
        inserted=inserted,
        updated=updated,
        created=not is_there,
        added=tuple(column.name for column in added) if is_there else (),
    )


def _find(
    tx: Connection, there: Iterable[ColumnThere], columns: Iterable[UserColumn]
) -> list[ColumnThere | None]:
    """Return which column of the table each of ours is; SQLite does not tell case apart."""
    fold = str if has_server(tx) else str.lower
    found = {fold(each.name): each for each in there}
    return [found.get(fold(column.name)) for column in columns]


class _Stage:
    """The rows in a temporary table: keys are compared there, and memory stays flat."""

    def __init__(
        self,
        tx: Connection,
        columns: Sequence[UserColumn],
        key: Sequence[str],
        as_text: Sequence[object],
    ) -> None:
        self._tx = tx
        self.columns = columns
        names = [column.name for column in columns]
        self._key = [names.index(name) for name in key]
        self._named = ", ".join(key)
        self._as_text = as_text
        kinds = [
            ColumnKind.TEXT if flag else column.kind
            for column, flag in zip(columns, as_text, strict=True)
        ]
        self._table = Table(
            "batchrunner_rows",
            MetaData(),
            Column("n", BigInteger),
            *(Column(f"c{at}", type_of(tx, kind)) for at, kind in enumerate(kinds)),
            prefixes=["TEMPORARY"],
        )
        self._rows = 0

    def fill(self, rows: Iterable[Sequence[Any]]) -> None:
        """Put all rows there; what goes into a column of text becomes text here, in all digits."""
        temporary = "pg_temp" if has_server(self._tx) else "temp"
        self._tx.exec_driver_sql(f"DROP TABLE IF EXISTS {temporary}.batchrunner_rows")
        self._table.create(self._tx)
        mark = "%s" if has_server(self._tx) else "?"
        marks = ", ".join([mark] * (len(self.columns) + 1))
        for page in chunks(enumerate(rows, 1), CHUNK):
            cells = [self._values(*row) for row in page]
            self._tx.exec_driver_sql(f"INSERT INTO batchrunner_rows VALUES ({marks})", cells)
            self._rows += len(page)
        Index("batchrunner_rows_key", *self._key_columns).create(self._tx)

    def _values(self, number: int, row: Sequence[Any]) -> tuple[Any, ...]:
        no_nul = has_server(self._tx)
        return (
            number,
            *[
                _plain(value, as_text=bool(flag), no_nul=no_nul)
                for value, flag in zip(row, self._as_text, strict=True)
            ],
        )

    def _column(self, at: int) -> Column[Any]:
        return self._table.c[f"c{at}"]

    @property
    def _key_columns(self) -> list[Column[Any]]:
        return [self._column(at) for at in self._key]

    def check_key(self) -> None:
        """Refuse rows without a key, and rows that share one."""
        empty = or_(*(or_(each.is_(None), cast(each, Text) == "") for each in self._key_columns))
        number = self._table.c.n
        query = select(number).where(empty).order_by(number).limit(_EXAMPLES)
        if lacking := [*self._tx.execute(query).scalars()]:
            raise TableRefused(
                f"{self._named} is to be the key, and is empty in row "
                f"{', '.join(map(str, lacking))}{'' if len(lacking) < _EXAMPLES else ', …'}",
                "name a key that each row has, or leave rows out with --only",
            )
        query = select(*self._key_columns, func.count()).group_by(*self._key_columns)
        shared = self._tx.execute(query.having(func.count() > 1).limit(_EXAMPLES)).all()
        if shared:
            shown = "; ".join(
                f"{', '.join(repr(value) for value in each[:-1])} ({each[-1]} rows)"
                for each in shared
            )
            raise TableRefused(
                f"{self._named} is to be the key, and several rows share it: {shown}",
                "add a column that tells them apart: --key may be given more than once",
            )

    def fits(self, at: int, there: ColumnThere) -> bool:
        """Return whether each value of a column comes back from the user's table as it is."""
        column, kind = self._column(at), self.columns[at].kind
        lost: Any = column.is_not(None)
        if accepts(there.kind, kind):
            if there.kind is not ColumnKind.NUMBER:
                return True
            if has_server(self._tx):
                # By way of text, which has all digits of a double.
                kept = cast(cast(cast(column, there.type), Text), Numeric)
                lost = kept != cast(column, Numeric)
            elif not isinstance(there.type, REAL):
                return True
            else:
                lost = or_(column > _MAX_EXACT, column < -_MAX_EXACT)
        return self._tx.execute(select(column).where(lost).limit(1)).first() is None

    def write_to(self, target: Table) -> tuple[int, int]:
        """Update the rows that are there, insert the others, and return how many were each."""
        columns = [*target.c]
        same = and_(*(columns[at] == self._column(at) for at in self._key))
        keys = [columns[at] for at in self._key]
        several = select(*keys).where(exists().where(same)).group_by(*keys)
        if self._tx.execute(several.having(func.count() > 1).limit(1)).first() is not None:
            raise self._several(target)
        others = {
            columns[at]: self._column(at) for at in range(len(columns)) if at not in self._key
        }
        if others:
            updated = self._tx.execute(update(target).values(others).where(same)).rowcount
        else:
            query = select(func.count()).select_from(target).where(exists().where(same))
            updated = self._tx.execute(query).scalar_one()
        rows = select(*(self._column(at) for at in range(len(columns))))
        rows = rows.where(~exists().where(same).correlate(self._table)).order_by(self._table.c.n)
        put = insert(target).from_select(columns, rows).execution_options(preserve_rowcount=True)
        inserted = self._tx.execute(put).rowcount
        if updated + inserted != self._rows:
            raise self._several(target)
        return int(updated), int(inserted)

    def _several(self, target: Table) -> TableRefused:
        return TableRefused(
            f"the table {target.name} has several rows with the same {self._named}, or takes two "
            "of the new ones for one, such as where upper and lower case are the same",
            "name the key that its rows have: --key may be given more than once",
        )


def _plain(value: Any, *, as_text: bool, no_nul: bool) -> Any:
    if value is None:
        return None
    if isinstance(value, str):
        text_ = value if value.isascii() else value.encode("utf-8", "replace").decode()
        return text_.replace("\0", "␀") if no_nul else text_
    if not as_text:
        return value
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, datetime) else str(value)


# ---- the user's table ----


def _quoted(name: str) -> quoted_name:
    return quoted_name(name, quote=True)


def _target(table: UserTable, names: Iterable[str], *more: Any) -> Table:
    schema = None if table.schema is None else _quoted(table.schema)
    columns: list[Column[Any]] = [
        name if isinstance(name, Column) else Column(_quoted(name)) for name in names
    ]
    return Table(_quoted(table.name), MetaData(), *columns, *more, schema=schema)


def _spelled(tx: Connection, table: UserTable) -> str:
    return tx.dialect.identifier_preparer.format_table(_target(table, ()))


def _refuse_own(tx: Connection, table: UserTable) -> None:
    """Never write into the tables of a database of batches."""
    found = inspect(tx)
    if not (found.has_table("submissions") and found.has_table("alembic_version")):
        return
    if not has_server(tx) or table.name in {*own_tables.tables, "alembic_version"}:
        raise TableRefused(
            "this is a database of batches, which exports do not change",
            "name another file or another table",
        )


def _check_names(tx: Connection, columns: Sequence[UserColumn]) -> None:
    most = _MAX_SERVER_NAME
    for column in columns if has_server(tx) else ():
        if len(column.name.encode("utf-8", "replace")) > most:
            raise TableRefused(
                f"PostgreSQL cuts names of more than {most} bytes, such as {column.name}",
                "give it a shorter name: --columns id,price=result.offer.price",
            )


def _does_not_fit(column: UserColumn, there: ColumnThere, table: UserTable) -> TableRefused:
    return TableRefused(
        f"the column {there.name} of the table {table.name} is for {there.kind.words}, and what "
        f"would be written is {column.kind.words} that would not come back as they are",
        f"write it to another column: --columns 'id,other_name={column.name}'",
    )


def _new_table(
    tx: Connection, table: UserTable, columns: Sequence[UserColumn], key: Sequence[str]
) -> Table:
    made = {
        each.name: Column(_quoted(each.name), type_of(tx, each.kind), nullable=each.name not in key)
        for each in columns
    }
    return _target(table, made.values(), PrimaryKeyConstraint(*(made[name] for name in key)))  # type: ignore[arg-type]


def _add_columns(tx: Connection, table: UserTable, columns: Iterable[UserColumn]) -> None:
    place = _spelled(tx, table)
    for column in columns:
        new = Column(_quoted(column.name), type_of(tx, column.kind))
        spelled = str(CreateColumn(new).compile(dialect=tx.dialect))
        tx.execute(text(f"ALTER TABLE {place} ADD COLUMN {spelled}".replace(":", r"\:")))


class _AnyNumber(UserDefinedType[Any]):
    """NUMERIC of SQLite, which takes each number as it is: SQLAlchemy's own makes floats of all."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Return its name in statements."""
        return "NUMERIC"


def type_of(tx: Connection, kind: ColumnKind) -> TypeEngine[Any]:
    """Return the type of a new column."""
    types: Mapping[ColumnKind, TypeEngine[Any]] = {
        ColumnKind.INTEGER: BigInteger(),
        ColumnKind.NUMBER: Numeric() if has_server(tx) else _AnyNumber(),
        ColumnKind.BOOLEAN: Boolean(),
        ColumnKind.TIME: DateTime(timezone=True) if has_server(tx) else Text(),
    }
    return types.get(kind, Text())
