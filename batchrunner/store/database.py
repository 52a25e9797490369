"""Opens a database, brings its schema up to date, and gives transactions on it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, inspect, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool

from batchrunner.schema import HEAD

#: Marks an SQLite file as ours ("brn1"), so that another program's file is not written into.
APPLICATION_ID = 0x62726E31
#: How long a statement waits for another process's transaction; ours take milliseconds.
BUSY_SECONDS = 30

ANOTHER = "name another one with --db PATH"
AGAIN = "what was written is safe: give the same command again"


class StoreError(Exception):
    """The database cannot be used: why, and what the user can do."""

    def __init__(self, message: str, hint: str, *, passing: bool = False) -> None:
        super().__init__(f"{message}; {hint}")
        self.message = message
        self.hint = hint
        self.passing = passing  #: it may work again by itself: the same call is worth another try


class Database:
    """One connection to an SQLite file or a PostgreSQL database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, address: str) -> Database:
        """
        Open the database at *address* (a path, or an SQLAlchemy url) and migrate it if needed.

        A missing SQLite file is made, readable by its owner only.

        Raises:
            StoreError: It cannot be opened, or is not ours, or is newer than this program.
        """
        database = cls.connect(address)
        try:
            database._migrate()
        except BaseException:
            database.close()
            raise
        return database

    @classmethod
    def connect(cls, address: str) -> Database:
        """Reach the database at *address* as it is, and migrate nothing."""
        return cls(_engine(_url(address)))

    def close(self) -> None:
        """Let go of the connection."""
        self._engine.dispose()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a transaction that may write; it is on disk when the block is left."""
        with _translated(self._engine), self._engine.begin() as tx:
            yield tx

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a transaction that sees one moment and keeps no writer waiting for long."""
        with _translated(self._engine), self._engine.connect() as tx:
            if has_server(tx):
                # Its usual level shows each statement another moment.
                yield tx.execution_options(isolation_level="REPEATABLE READ")
            else:
                yield tx.execution_options(read_only=True)

    def _migrate(self) -> None:
        with self.read() as tx:
            if _is_marked(tx) and _revision(tx) == HEAD:
                return
        with self.write() as tx:
            if has_server(tx):
                # Several may start at once: the first migrates, the others find it done.
                tx.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": APPLICATION_ID})
            _refuse_strangers(tx)
            if _revision(tx) != HEAD:
                _upgrade(tx)


def _url(address: str) -> URL:
    if not address:
        # SQLite would keep the ledger in a nameless file, and delete it at the end.
        raise StoreError("the database has no name", hint="give one with --db PATH")
    if "://" not in address:
        return URL.create("sqlite", database=address)
    try:
        url = make_url(address)
    except (ArgumentError, ValueError) as error:
        # What it says is not repeated: it may show a password.
        raise StoreError(
            "this is no database address",
            hint="use a file path or postgresql://user@host:5432/name",
        ) from error
    if url.get_backend_name() == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() != "sqlite":
        raise StoreError(
            f"a database of the kind {url.get_backend_name()!r} is not supported",
            hint="use a file path or postgresql://…",
        )
    return url.set(drivername="sqlite")


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine(url)
    try:
        # The parameters of a failed statement hold goals and results: they stay out of messages.
        return create_engine(url, hide_parameters=True, pool_size=2, pool_pre_ping=True)
    except (ImportError, NoSuchModuleError) as error:
        raise StoreError(
            "PostgreSQL needs one more package", hint="pip install 'batchrunner[postgres]'"
        ) from error


def _sqlite_engine(url: URL) -> Engine:
    if url.database and url.database != ":memory:":
        _make_private(Path(url.database))
    engine = create_engine(
        url,
        hide_parameters=True,
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _make_private(path: Path) -> None:
    """Make the file before SQLite does, because SQLite would let others read it."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise StoreError(
            f"the database {path} cannot be made: {error.strerror}",
            hint="name another place with --db PATH",
        ) from error


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    # sqlite3 would begin transactions at its own moments; _begin does it instead.
    connection.isolation_level = None
    for pragma in (
        # A rollback journal, not WAL: SQLite before 3.51.3 can corrupt a WAL file that two
        # connections use (docs/adr/0002). In this mode FULL also syncs the emptied journal.
        "journal_mode=TRUNCATE",
        "synchronous=FULL",
        "foreign_keys=ON",
        "trusted_schema=OFF",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    # A transaction that reads first and writes later cannot wait for its turn: SQLite answers
    # "locked" at once. Writers therefore queue up at the start.
    read_only = connection.get_execution_options().get("read_only", False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _mark(tx: Connection) -> int:
    mark: int = tx.exec_driver_sql("PRAGMA application_id").scalar_one()
    return mark


def _is_marked(tx: Connection) -> bool:
    return tx.dialect.name != "sqlite" or _mark(tx) == APPLICATION_ID


def _refuse_strangers(tx: Connection) -> None:
    """Mark an empty SQLite file as ours; refuse one that belongs to another program."""
    if _is_marked(tx):
        return
    if _mark(tx) or inspect(tx).get_table_names():
        raise StoreError("this file is another program's database", hint=ANOTHER)
    tx.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")


def _revision(tx: Connection) -> str | None:
    if not inspect(tx).has_table("alembic_version"):
        return None
    revision: str | None = tx.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return revision


def migrations() -> Path:
    """Return where the migrations are: inside the wheel, or beside the package in a checkout."""
    inside = Path(str(files("batchrunner"))) / "migrations"
    return inside if inside.is_dir() else inside.parent.parent / "migrations"


def _upgrade(tx: Connection) -> None:
    # Alembic takes longer to import than everything else together, and is needed once.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(migrations()).replace("%", "%%"))
    config.attributes["connection"] = tx
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StoreError(
            f"this database was made by a newer batchrunner ({error})",
            hint="upgrade: pip install -U batchrunner",
        ) from error


def has_server(tx: Connection) -> bool:
    """Whether a server stands behind the database, with a clock that all its clients share."""
    return tx.dialect.name == "postgresql"


def insert_unless(tx: Connection, table: Table) -> Any:
    """Return an insert that can say what to do with rows that are there already."""
    # "on conflict" is spelled alike in both, but lives in each dialect's own Insert.
    kinds: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
    return kinds[tx.dialect.name](table)


@contextmanager
def _translated(engine: Engine) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise _explained(error, engine.url) from error
    except PoolTimeout as error:
        # One thread of ours waits for another, and that one for somebody else's lock.
        raise StoreError("the database does not answer", hint=AGAIN, passing=True) from error


def _explained(error: DBAPIError, url: URL) -> StoreError:
    where = url.database if url.get_backend_name() == "sqlite" else url.render_as_string()
    words = str(error.orig).strip().splitlines()[0] if error.orig else "no reason given"
    for sign, (what, hint, passing) in _ADVICE.items():
        if sign in words:
            return StoreError(f"the database {where} {what}", hint=hint, passing=passing)
    message = f"the database {where} answered: {words}"
    return StoreError(message, hint=AGAIN, passing=_is_passing(error, url))


def _is_passing(error: DBAPIError, url: URL) -> bool:
    """Whether a server is only away for a while, or two transactions got in each other's way."""
    state = getattr(error.orig, "sqlstate", None)
    return url.get_backend_name() == "postgresql" and (
        error.connection_invalidated
        or state in ("40001", "40P01")
        or (isinstance(error, OperationalError) and state is None)
        or (state or "").startswith(("08", "53", "57P"))
    )


#: What SQLite says → what that means, what the user can do, whether it may pass by itself.
_ADVICE = {
    "database is locked": ("is locked by another program", f"close that program; {AGAIN}", True),
    "file is not a database": ("is not an SQLite file", ANOTHER, False),
    "disk image is malformed": ("is damaged", "run nothing on it, and keep a copy", False),
    "database or disk is full": ("cannot grow: the disk is full", f"make room; {AGAIN}", True),
    "attempt to write a readonly": ("may not be written to", "check its permissions", False),
    "unable to open database": ("cannot be opened", "check that its folder exists", False),
}
