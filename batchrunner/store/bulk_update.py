"""Updates many rows by id, each with values of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Table, Update, bindparam, update

from batchrunner.store.bulk_insert import arrays_of, table_of_arrays
from batchrunner.store.dialect import has_server
from batchrunner.store.value_lists import plain_type

#: Returns the values of an update, by column, from the own values of a row.
Values = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class BulkUpdate:
    """
    An update of rows by id, each with own values of some columns, as the database stores them.

    A server gets all rows in one statement, as arrays: `executemany` would send one for each row. A
    file gets the same statement for each row; only SQLAlchemy's conversions are left out, which
    take longer than the database does. Both statements are made from the same expressions.
    """

    def __init__(
        self, table: Table, own: Sequence[str], *conditions: Any, values: Values = dict
    ) -> None:
        """Take the names of the *own* columns; conditions and values may have parameters."""
        self._columns = ("id", *own)
        new = table_of_arrays(table, self._columns)
        self._of_arrays = _update(table, new.c, conditions, values)
        self._of_row = _update(table, _parameters(table, self._columns), conditions, values)
        self._compiled: tuple[str, tuple[str, ...], Mapping[str, Any]] | None = None

    def execute(self, tx: Connection, rows: Sequence[tuple[Any, ...]], **parameters: Any) -> int:
        """Update rows, given as id and own values; return how many met the conditions."""
        if not rows:
            return 0
        if has_server(tx):
            every_row = arrays_of(self._columns, rows)
            return tx.execute(self._of_arrays, {**every_row, **parameters}).rowcount
        text, names, fixed = self._for_file(tx)
        shared = {**fixed, **parameters}
        own = {f"own_{name}": index for index, name in enumerate(self._columns)}
        others = [name for name in names if name not in own]
        after = {name: len(own) + index for index, name in enumerate(others)}
        tail = tuple(shared[name] for name in others)
        in_order = itemgetter(*((own | after)[name] for name in names))
        return tx.exec_driver_sql(text, [in_order((*row, *tail)) for row in rows]).rowcount

    def _for_file(self, tx: Connection) -> tuple[str, tuple[str, ...], Mapping[str, Any]]:
        """Return the statement for a row, its parameters in their order, and the fixed ones."""
        if self._compiled is None:
            compiled: Any = self._of_row.compile(dialect=tx.dialect)
            self._compiled = compiled.string, tuple(compiled.positiontup), compiled.params
        return self._compiled


def _parameters(table: Table, columns: Sequence[str]) -> dict[str, Any]:
    return {
        name: bindparam(f"own_{name}", type_=plain_type(table.c[name].type)) for name in columns
    }


def _update(table: Table, new: Any, conditions: Sequence[Any], values: Values) -> Update:
    own = {name: new[name] for name in new.keys() if name != "id"}  # noqa: SIM118 -- no mapping
    return update(table).where(table.c.id == new["id"], *conditions).values(**values(own))
