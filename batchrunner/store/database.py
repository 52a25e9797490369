"""Opens a database, migrates it, begins transactions on it, and translates its errors."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import (
    DBAPIError,
    NoResultFound,
    NoSuchModuleError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool

from batchrunner.store.address import is_in_memory, redacted, url_of
from batchrunner.store.damage import Damage, damage_of, damaged
from batchrunner.store.database_file import DatabaseFile, had_journal
from batchrunner.store.dialect import has_server
from batchrunner.store.errors import StoreError
from batchrunner.store.index_build import build_indexes, missing_indexes
from batchrunner.store.plain_sql import BUSY_SECONDS, PRAGMAS
from batchrunner.store.revision import APPLICATION_ID, HEAD
from batchrunner.store.value_check import undecodable_values

__all__ = ["Database", "StoreError", "migrations"]

#: Option of a transaction that a rollback would take a migration from.
MIGRATED_ON_TRIAL = "migrated_on_trial"
#: The same for a caller that tries again, and that the user may want to stop.
SHORT_LOCK_SECONDS = 1
#: Connections to a server that one process has at most.
MAX_CONNECTIONS = 2

USE_ANOTHER = "name another one with --db PATH"
CHECK_SERVER = "check that its server runs, and the host, port, user and name in the address"
SAFE_TO_RETRY = "what was written is safe: give the same command again"


class Database:
    """One connection to an SQLite file or a PostgreSQL database."""

    def __init__(self, engine: Engine, file: DatabaseFile | None = None) -> None:
        self._engine = engine
        self._file = file  #: None: a server, or a database in memory

    @classmethod
    def open(cls, address: str) -> Database:
        """
        Open the database at *address* (a path, or an SQLAlchemy url) and migrate it if needed.

        A missing SQLite file is created, readable by its owner only.

        Raises:
            StoreError: It cannot be opened, is another program's, or is newer than this program.
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
        """Open the database at *address* without migrating it."""
        url = url_of(address)
        if url.get_backend_name() != "sqlite":
            return cls(_server_engine(url))
        file = _file_of(url)
        if file is not None:
            with _located(url):
                file.create()
        return cls(_sqlite_engine(url, file), file)

    @property
    def place(self) -> str:
        """The file, or the server's address without its password."""
        return _place(self._engine.url)

    @contextmanager
    def short_lock_timeout(self) -> Iterator[None]:
        """Let calls in the block give up soon on another program's lock on the file."""
        if self._engine.dialect.name != "sqlite":
            yield
            return
        event.listen(self._engine, "checkout", _wait_briefly)
        try:
            yield
        finally:
            event.remove(self._engine, "checkout", _wait_briefly)
            event.listen(self._engine, "checkout", _wait_long, once=True)

    def close(self) -> None:
        """Close the connection."""
        self._engine.dispose()

    def check_file(self) -> None:
        """
        Check that the database's file is still the one that was opened; a server has none.

        Raises:
            StoreError: It was removed, moved or replaced.
        """
        if self._file is not None:
            with _located(self._engine.url):
                self._file.check()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Begin a transaction that may write; it is on disk when the block has ended."""
        with self._errors(), self._engine.begin() as tx:
            self.check_file()
            yield tx
        # What was written to a file that has lost its name is not there at the next start.
        self.check_file()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Begin a transaction that reads the database at one moment."""
        with self._errors(), self._engine.connect() as tx:
            self.check_file()
            if has_server(tx):
                # At its default level, each statement sees another moment.
                yield tx.execution_options(isolation_level="REPEATABLE READ")
            else:
                yield tx.execution_options(read_only=True)

    def change_mark(self) -> object | None:
        """Return what differs after a commit by another connection; None: a server says nothing."""
        if self._engine.dialect.name != "sqlite":
            return None
        with self._errors(), closing(self._engine.raw_connection()) as connection:
            self.check_file()
            cursor = connection.cursor()
            (version,) = cursor.execute("PRAGMA data_version").fetchone()
            cursor.close()
            # The numbers of two connections cannot be compared.
            return connection.info.setdefault("identity", object()), version

    @contextmanager
    def trial(self) -> Iterator[Connection]:
        """Begin a transaction that sees the database as after a migration, and changes nothing."""
        with self.read() as tx:
            is_current = _is_marked(tx) and _revision(tx) == HEAD
        if is_current:
            with self.read() as tx:
                yield tx
            return
        with self._errors(), self._engine.connect() as tx, tx.begin() as change:
            tx = tx.execution_options(**{MIGRATED_ON_TRIAL: True})
            try:
                _refuse_strangers(tx)
                if _revision(tx) != HEAD:
                    _upgrade(tx)
                yield tx
            finally:
                change.rollback()

    @contextmanager
    def alone(self, check: Callable[[Connection], None]) -> Iterator[Connection]:
        """
        Call *check*, and give a connection whose statements are in no transaction.

        No other program writes to a file from *check* to the end of the block. A server lets them.
        """
        with self._errors(), self._engine.connect() as tx:
            self.check_file()
            if has_server(tx):
                tx = tx.execution_options(isolation_level="AUTOCOMMIT")
                check(tx)
                yield tx
                return
            tx = tx.execution_options(in_no_transaction=True)
            tx.exec_driver_sql("PRAGMA locking_mode = EXCLUSIVE")
            try:
                # The lock that this takes outlives the transaction.
                tx.exec_driver_sql("BEGIN IMMEDIATE")
                check(tx)
                tx.exec_driver_sql("COMMIT")
                yield tx
            finally:
                tx.invalidate()  # a connection that is closed gives up its locks

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn errors of the block into errors that name the database and say what to do."""
        with _located(self._engine.url):
            try:
                with _translated(self._engine):
                    yield
            except StoreError:
                self.check_file()  # a lost file has many errors, and this one says why
                raise

    def _migrate(self) -> None:
        with self.read() as tx:
            is_current = _is_marked(tx) and _revision(tx) == HEAD
            if is_current and not missing_indexes(tx):
                return
        if is_current:
            self._build_indexes()
            return
        with self.write() as tx:
            if has_server(tx):
                # Of several processes that start together, the first migrates.
                tx.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": APPLICATION_ID})
            _refuse_strangers(tx)
            if _revision(tx) != HEAD:
                _upgrade(tx)
        self._build_indexes()

    def _build_indexes(self) -> None:
        """Build what migrations leave out of large databases."""
        with self._errors():
            build_indexes(self._engine, APPLICATION_ID)


def _file_of(url: URL) -> DatabaseFile | None:
    """Return the file of an SQLite database; None in memory, or where SQLite's own options rule."""
    path = url.database or ""
    if is_in_memory(url) or url.query or path.startswith("file:"):
        return None
    return DatabaseFile(path)


def _server_engine(url: URL) -> Engine:
    try:
        # The parameters of a failed statement contain goals and results: keep them out of messages.
        # A pooler gives each transaction another session: none of ours may have prepared statements
        # or other state of a session, and poolers and small plans allow few connections.
        return create_engine(
            url,
            hide_parameters=True,
            pool_size=MAX_CONNECTIONS,
            max_overflow=0,
            pool_pre_ping=True,
            connect_args={"prepare_threshold": None},
        )
    except (ImportError, NoSuchModuleError) as error:
        raise StoreError(
            "PostgreSQL needs one more package", next="pip install 'batchrunner[postgres]'"
        ) from error


def _sqlite_engine(url: URL, file: DatabaseFile | None) -> Engine:
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
    if file is not None:
        _watch(engine, file)
    return engine


def _watch(engine: Engine, file: DatabaseFile) -> None:
    """Let connections open this file, and no other that is at its place later."""

    def connect(_: object, _record: object, args: list[Any], options: dict[str, Any]) -> None:
        file.check()
        args[:] = [file.uri]
        options["uri"] = True

    event.listen(engine, "do_connect", connect)
    event.listen(engine, "connect", lambda *_: file.opened())


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    # sqlite3 would begin transactions implicitly; _begin does it instead.
    connection.isolation_level = None
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _wait_briefly(connection: sqlite3.Connection, *_: object) -> None:
    connection.execute(f"PRAGMA busy_timeout = {SHORT_LOCK_SECONDS * 1000}")


def _wait_long(connection: sqlite3.Connection, *_: object) -> None:
    connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")


def _begin(connection: Connection) -> None:
    # A transaction that reads first and writes later cannot wait for a lock: SQLite answers
    # "locked" at once. So a writer waits at its start.
    if connection.get_execution_options().get("in_no_transaction", False):
        return
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
        raise StoreError("this file is another program's database", next=USE_ANOTHER)
    tx.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")


def _revision(tx: Connection) -> str | None:
    if not inspect(tx).has_table("alembic_version"):
        return None
    revision: str | None = tx.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return revision


def migrations() -> Path:
    """Return the folder of the migrations: in the wheel, or beside the package in a checkout."""
    inside = Path(str(files("batchrunner"))) / "migrations"
    return inside if inside.is_dir() else inside.parent.parent / "migrations"


def _upgrade(tx: Connection) -> None:
    # Importing Alembic takes longer than all other imports, and most processes do not need it.
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
            next="upgrade: pip install -U batchrunner",
        ) from error


@contextmanager
def _located(url: URL) -> Iterator[None]:
    """Let errors of the block name the database."""
    try:
        yield
    except StoreError as error:
        error.where = _place(url)
        raise


def _place(url: URL) -> str:
    """Return the file of a database, or its address without the password."""
    if url.get_backend_name() == "sqlite":
        return url.database or ""
    return redacted(url.render_as_string(hide_password=False))


@contextmanager
def _translated(engine: Engine) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise _explained(error, engine.url) from error
    except PoolTimeout as error:
        # Another thread of this process has the connection, and waits for another program's lock.
        raise StoreError(
            "the database does not answer", next=SAFE_TO_RETRY, passing=True
        ) from error
    except NoResultFound as error:
        raise damaged(_place(engine.url), Damage.ROW) from error
    except UnicodeDecodeError:
        # Its text is not repeated, and not chained: it quotes what was stored.
        raise damaged(_place(engine.url), Damage.TEXT) from None
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        if (said := _undecodable(engine)) is None:
            raise
        message = f"the database cannot be read: {said}"
        raise StoreError(message, next="batchrunner doctor names all such places") from error


def _undecodable(engine: Engine) -> str | None:
    """Return which cell cannot be read, if any, after a read has failed."""
    try:
        with engine.connect() as tx:
            return next(iter(undecodable_values(tx, 1)), None)
    except (SQLAlchemyError, StoreError, UnicodeDecodeError):
        return None


def _explained(error: DBAPIError, url: URL) -> StoreError:
    is_file, where = url.get_backend_name() == "sqlite", _place(url)
    if is_file and (damage := damage_of(error.orig)) is not None:
        # Its first bytes say what it is. Without them, only the journal beside it shows that.
        if damage is Damage.NO_DATABASE and not had_journal(where):
            return StoreError(f"the database {where} is not an SQLite file", next=USE_ANOTHER)
        return damaged(where, damage)
    words = str(error.orig).strip().splitlines()[0] if error.orig else "no reason given"
    for sign, (what, advice, passing) in _ADVICE.items():
        if sign in words:
            return StoreError(f"the database {where} {what}", next=advice, passing=passing)
    if not is_file and error.statement is None:
        refused = any(sign in str(error.orig) for sign in _REFUSED)
        message = f"the database {where} cannot be reached: {words}"
        return StoreError(
            message, next=CHECK_SERVER, passing=not refused and _is_passing(error, url)
        )
    message = f"the database {where} answered: {words}"
    return StoreError(message, next=SAFE_TO_RETRY, passing=_is_passing(error, url))


def _is_passing(error: DBAPIError, url: URL) -> bool:
    """Return whether the same call may succeed later: a server is away, or a deadlock."""
    state = getattr(error.orig, "sqlstate", None)
    return url.get_backend_name() == "postgresql" and (
        error.connection_invalidated
        or state in ("40001", "40P01")
        or (isinstance(error, OperationalError) and state is None)
        or (state or "").startswith(("08", "53", "57P"))
    )


#: Answers of a running server that refuses the connection, however often we try.
_REFUSED = (
    "authentication failed",
    "does not exist",
    "pg_hba.conf",
    # poolers
    "no such database",
    "no such user",
    "Tenant or user not found",
    "unsupported startup parameter",
)

#: SQLite's message → its meaning, what the user can do, whether a later call may succeed.
_ADVICE = {
    "unsupported startup parameter": (
        "is behind a pooler that takes no `options`",
        "leave `options` out of the address and unset PGOPTIONS, or name the server itself",
        False,
    ),
    "database is locked": (
        "is locked by another program",
        f"close that program; {SAFE_TO_RETRY}",
        True,
    ),
    "database or disk is full": (
        "cannot grow: the disk is full",
        f"make room; {SAFE_TO_RETRY}",
        True,
    ),
    "attempt to write a readonly": ("may not be written to", "check its permissions", False),
    "unable to open database": ("cannot be opened", "check that its folder exists", False),
}
