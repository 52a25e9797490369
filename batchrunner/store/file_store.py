"""A store for commands that read a little and end: it opens SQLAlchemy only for what needs it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from batchrunner.store.database_file import DatabaseFile
from batchrunner.store.errors import StoreError
from batchrunner.store.plain_sql import SqliteFile, is_text_only
from batchrunner.store.store import Store, random_token

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from batchrunner.store.database import Database

P = ParamSpec("P")
T = TypeVar("T")

#: What a call raises where the file is damaged, locked, lost or changed by another program.
_TROUBLE = (sqlite3.Error, StoreError, ValueError, TypeError, LookupError, AttributeError)


class FileStore(Store):
    """
    A store on an SQLite file whose text-only functions run on sqlite3 alone.

    All other functions, and every call that meets trouble, go to the database that SQLAlchemy
    opens: it migrates an older schema, and says what is wrong.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._full: Database | None = None
        self._file: SqliteFile | None = None
        self.new_token = random_token
        with suppress(*_TROUBLE):
            self._file = SqliteFile(DatabaseFile(path))
        if self._file is None:
            _ = self._database

    @property
    def place(self) -> str:
        """The file."""
        return self._path

    @property
    def _database(self) -> Database:
        from batchrunner.store.database import Database  # noqa: PLC0415 -- imports SQLAlchemy

        if self._full is None:
            self._full = Database.open(self._path)
        return self._full

    def read(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call *function* in a transaction that sees the database at one moment."""
        if self._file is not None and is_text_only(function):
            with suppress(*_TROUBLE), self._file.begin() as tx:
                return function(tx, *args, **kwargs)  # type: ignore[arg-type]  # it is text only
        return super().read(function, *args, **kwargs)

    def write(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call *function* in a transaction that may write, and commit it."""
        if self._file is not None and is_text_only(function):
            with suppress(*_TROUBLE), self._file.begin(writes=True) as tx:
                return function(tx, *args, **kwargs)  # type: ignore[arg-type]  # it is text only
        return super().write(function, *args, **kwargs)

    def close(self) -> None:
        """Close the connections."""
        if self._file is not None:
            self._file.close()
        if self._full is not None:
            self._full.close()
