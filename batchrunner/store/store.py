"""The store: runs a function of the store's modules in one transaction."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Concatenate, NamedTuple, ParamSpec, Self, TypeVar

from batchrunner.model.markers import ALPHABET, SUBMISSION_LENGTH

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from batchrunner.store.database import Database

P = ParamSpec("P")
T = TypeVar("T")

#: Rows that a function reads in one transaction when it reads many: no writer waits long for it.
PAGE_SIZE = 500


def random_token() -> str:
    """Return a new token for markers, which names a submission."""
    return "".join(secrets.choice(ALPHABET) for _ in range(SUBMISSION_LENGTH))


class ChangeMark(NamedTuple):
    """What tells whether a database has changed between two moments."""

    by_us: int  #: transactions of this process
    by_others: object | None  #: differs after a change by another process; None: unknown


class Store:
    """
    A database, and the transactions on it.

    A function of the store's modules that takes a connection is one step of the job's life, and one
    transaction: `store.write(claim_jobs, owner_id, …)`. When `write` has returned, the change is on
    disk. Synchronous. Any threads may call it at once; on SQLite their calls wait for each other.

    Raises:
        StoreError: The database cannot be used. Any method may raise it.
    """

    #: Transactions of this process that may have changed something.
    writes = 0

    def __init__(self, database: Database, new_token: Callable[[], str] = random_token) -> None:
        self._opened = database
        self.new_token = new_token  #: makes the tokens of new submissions' markers

    @classmethod
    def open(cls, address: str) -> Self:
        """Open the database at *address*, a path or postgresql://…; create and migrate it."""
        from batchrunner.store.database import Database  # noqa: PLC0415 -- imports SQLAlchemy

        return cls(Database.open(address))

    @classmethod
    def connect(cls, address: str) -> Self:
        """Open the database at *address* without migrating it, for reading its health only."""
        from batchrunner.store.database import Database  # noqa: PLC0415 -- imports SQLAlchemy

        return cls(Database.connect(address))

    @property
    def _database(self) -> Database:
        return self._opened

    @property
    def place(self) -> str:
        """Where the database is, without a password."""
        return self._database.place

    def write(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call *function* in a transaction that may write, and commit it."""
        try:
            with self._database.write() as tx:
                return function(tx, *args, **kwargs)
        finally:
            self.writes += 1  # a commit that seems to have failed may have taken effect

    def read(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call *function* in a transaction that sees the database at one moment."""
        with self._database.read() as tx:
            return function(tx, *args, **kwargs)

    def change_mark(self) -> ChangeMark:
        """Return what tells whether the database has changed between two calls."""
        return ChangeMark(by_us=self.writes, by_others=self._database.change_mark())

    def trial(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call *function* on the database as it would be after a migration, and change nothing."""
        with self._database.trial() as tx:
            return function(tx, *args, **kwargs)

    def alone(self, check: Callable[[Connection], None]) -> AbstractContextManager[Connection]:
        """Call *check*, and give a connection in no transaction; a file has no other writer."""
        return self._database.alone(check)

    def short_lock_timeout(self) -> AbstractContextManager[None]:
        """Let calls in the block give up soon on another program's lock."""
        return self._database.short_lock_timeout()

    def check_file(self) -> None:
        """Raise StoreError if the database's file was removed, moved or replaced."""
        self._database.check_file()

    def close(self) -> None:
        """Close the connections."""
        self._database.close()
