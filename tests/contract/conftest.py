"""The store on both kinds of database: one server a session, a fresh database for each test."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from fcntl import LOCK_EX, flock
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from batchrunner.store.database import Database
from batchrunner.store.schema import metadata
from batchrunner.store.store import Store

#: A PostgreSQL server to use, as a url of a user who may create databases; else one is started.
SERVER = "BATCHRUNNER_TEST_POSTGRESQL"

_numbers = count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """Give the url of a PostgreSQL server."""
    if given := os.environ.get(SERVER):
        yield given
        return
    pytest.importorskip("psycopg")
    with warnings.catch_warnings():
        # It says where it keeps its files where the session has no XDG_RUNTIME_DIR.
        warnings.simplefilter("ignore")
        pgserver = pytest.importorskip("pgserver", reason=f"no pgserver, and no {SERVER}")
        folder = _shared()
        with _alone(folder):
            started = pgserver.get_server(folder, cleanup_mode="delete")
        # What is on disk when a transaction ends is PostgreSQL's own promise; ours need no waiting.
        for statement in ("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()"):
            _administer(started.get_uri(), statement)
        yield started.get_uri()
        # Its files are removed: it need not write what it has in memory before it stops.
        stop = partial(_stop_at_once, pgserver.postgres_server.pg_ctl)
        with _alone(folder), pytest.MonkeyPatch.context() as patch:
            patch.setattr(pgserver.postgres_server, "pg_ctl", stop)
            started.cleanup()  # the last process that uses it stops it, and removes its files
            if not folder.exists():
                folder.with_suffix(".lock").unlink(missing_ok=True)


def _stop_at_once(pg_ctl: Callable[..., str], args: Sequence[str], **options: object) -> str:
    return pg_ctl([*args, "-m", "immediate"], **options)


def _shared() -> Path:
    """
    Give the folder of the one server that all processes of a session share.

    It is not below pytest's own folder, which the next session closes to all other users: as root,
    the server runs as another one.
    """
    session = os.environ.get("PYTEST_XDIST_TESTRUNUID") or str(os.getpid())
    shared = Path(tempfile.gettempdir()) / f"batchrunner-tests-{session}"
    shared.mkdir(exist_ok=True)
    return shared


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep the session's other processes out of the block: two must not start one server."""
    with folder.with_suffix(".lock").open("w") as lock:
        flock(lock, LOCK_EX)
        yield


def _administer(server: str, statement: str) -> None:
    with _program(server).connect() as admin:
        admin.exec_driver_sql(statement)


def _program(address: str) -> Engine:
    """Return another program's access to a database, which commits each statement."""
    url = make_url(address).set(drivername="postgresql+psycopg")
    return create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)


def _new_database(server: str, template: str | None = None) -> str:
    name = f"ledger_{os.getpid()}_{next(_numbers)}"
    like = f" TEMPLATE {make_url(template).database}" if template else ""
    _administer(server, f"CREATE DATABASE {name}{like}")
    return make_url(server).set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give an empty database to copy, which is quicker than migrating each anew."""
    path = tmp_path_factory.mktemp("migrated") / "ledger.db"
    Database.open(str(path)).close()
    return path


@pytest.fixture(scope="session")
def migrated_database(server: str) -> str:
    """Give an empty database on PostgreSQL to copy."""
    address = _new_database(server)
    Database.open(address).close()
    return address


@pytest.fixture(scope="session")
def used_databases() -> list[str]:
    """Collect databases on PostgreSQL that a test has used, and that are empty again."""
    return []


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give the address of an empty place, or of a database where a test asks for one."""
    migrated = "database" in request.fixturenames
    if request.param == "postgresql":
        if migrated:
            yield from _database_used_again(request)
        else:
            yield _new_database(request.getfixturevalue("server"))
        return
    path = tmp_path / "ledger.db"
    if migrated:
        shutil.copyfile(request.getfixturevalue("migrated_file"), path)
        path.chmod(0o600)
    yield str(path)


def _database_used_again(request: pytest.FixtureRequest) -> Iterator[str]:
    """Give a migrated database; one that is emptied takes a sixth of the time of a new one."""
    template = request.getfixturevalue("migrated_database")
    used: list[str] = request.getfixturevalue("used_databases")
    address = used.pop() if used else _new_database(request.getfixturevalue("server"), template)
    yield address
    if _schema_of(address) == _schema_of(template):
        _empty(address)
        used.append(address)


#: Everything that a test may have changed of a database, except its rows.
_SCHEMA = """
SELECT md5(string_agg(part, chr(10) ORDER BY part)) FROM (
  SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default) AS part
    FROM information_schema.columns WHERE table_schema = 'public'
  UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
  UNION ALL SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid <> 0
  UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
  UNION ALL SELECT CAST(nspacl AS text) FROM pg_namespace WHERE nspname = 'public'
  UNION ALL SELECT version_num FROM alembic_version
) AS parts
"""


def _schema_of(address: str) -> str | None:
    """Return a digest of a database's schema; None where there is none to compare."""
    try:
        return str(_fetched(address, _SCHEMA))
    except DBAPIError:
        return None


def _empty(address: str) -> None:
    """Delete all rows of a database, also where a test left a connection to it open."""
    _fetched(
        address,
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    tables = ", ".join(table.name for table in metadata.sorted_tables)
    _administer(address, f"TRUNCATE {tables} RESTART IDENTITY CASCADE")


def _fetched(address: str, query: str) -> object:
    with _program(address).connect() as tx:
        return tx.exec_driver_sql(query).scalar_one()


@pytest.fixture
def postgresql(server: str) -> str:
    """Give the address of an empty PostgreSQL database, where that is what a claim is about."""
    return _new_database(server)


@pytest.fixture
def open_store(address: str) -> Iterator[Callable[[], Store]]:
    """Give what opens the database once more, as another process would."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(closing(Store.open(address)))


@pytest.fixture
def database(address: str) -> Iterator[Database]:
    """Give the database under `store`."""
    with closing(Database.open(address)) as opened:
        yield opened


@pytest.fixture
def store(database: Database) -> Store:
    """Give an empty database."""
    return Store(database)


@pytest.fixture
def engine(address: str, database: Database) -> Iterator[Engine]:
    """Give another program's connection to the database, with nothing of ours around it."""
    url = make_url(address if "://" in address else f"sqlite:///{address}")
    if url.get_backend_name() == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    made = create_engine(url, poolclass=NullPool)
    yield made
    made.dispose()
