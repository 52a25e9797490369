"""The store on both kinds of database: one server a session, a fresh database for each test."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from fcntl import LOCK_EX, flock
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.pool import NullPool

from batchrunner.store.database import Database
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
        with _alone(folder):
            started.cleanup()  # the last process that uses it stops it, and removes its files
            if not folder.exists():
                folder.with_suffix(".lock").unlink(missing_ok=True)


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
    url = make_url(server).set(drivername="postgresql+psycopg")
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as admin:
        admin.exec_driver_sql(statement)


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


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the address of an empty place, or of a database where a test asks for one."""
    migrated = "database" in request.fixturenames
    if request.param == "postgresql":
        template = request.getfixturevalue("migrated_database") if migrated else None
        return _new_database(request.getfixturevalue("server"), template)
    path = tmp_path / "ledger.db"
    if migrated:
        shutil.copyfile(request.getfixturevalue("migrated_file"), path)
        path.chmod(0o600)
    return str(path)


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
