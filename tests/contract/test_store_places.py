"""Where a database may be, and what is said where it cannot."""

from __future__ import annotations

import os
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url, text

from batchrunner.store.address import redacted
from batchrunner.store.batch_reads import list_batches
from batchrunner.store.batches import load_jobs
from batchrunner.store.database import Database, StoreError
from batchrunner.store.reports import batch_counts
from batchrunner.store.revision import APPLICATION_ID
from batchrunner.store.store import Store
from tests.fakes import NOW, begin, job_file

NOBODY = 65534


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def made_by_another_program(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        for statement in statements or ["CREATE TABLE theirs (id)"]:
            db.execute(statement)
        db.commit()


@contextmanager
def unprivileged() -> Iterator[Path]:
    """Give a folder that everybody may read, and be nobody special in it."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextmanager
def nobody() -> Iterator[None]:
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


# ---- privacy ----


def test_the_file_and_its_journal_are_readable_by_their_owner_only(path: Path) -> None:
    before = os.umask(0)
    try:
        with closing(Store.open(str(path))) as store:
            store.write(load_jobs, job_file(), NOW)
            journal = path.with_name(path.name + "-journal")
            assert (mode(path), mode(journal)) == (0o600, 0o600)
    finally:
        os.umask(before)


def test_a_file_that_is_there_keeps_its_mode(path: Path) -> None:
    path.touch(0o640)
    path.chmod(0o640)
    Store.open(str(path)).close()
    assert mode(path) == 0o640


def test_every_transaction_is_on_disk_when_it_ends(path: Path) -> None:
    with closing(Database.open(str(path))) as database, database.read() as tx:
        pragmas = ("journal_mode", "synchronous", "foreign_keys", "application_id")
        found = [tx.exec_driver_sql(f"PRAGMA {name}").scalar() for name in pragmas]
    assert found == ["truncate", 2, 1, APPLICATION_ID]


# ---- what is not ours ----


def test_another_programs_database_is_refused_and_left_as_it_is(path: Path) -> None:
    made_by_another_program(path)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"another program's database.*--db PATH"):
        Store.open(str(path))
    assert path.read_bytes() == before


def test_another_programs_database_is_refused_although_its_migrations_are_named_like_ours(
    path: Path,
) -> None:
    made_by_another_program(
        path,
        "CREATE TABLE theirs (id)",
        "CREATE TABLE alembic_version (version_num)",
        "INSERT INTO alembic_version VALUES ('0001')",
    )
    with pytest.raises(StoreError, match="another program's database"):
        Store.open(str(path))


def test_an_empty_database_of_another_program_is_refused(path: Path) -> None:
    made_by_another_program(
        path, "PRAGMA application_id = 7", "CREATE TABLE t (id)", "DROP TABLE t"
    )
    with pytest.raises(StoreError, match="another program's database"):
        Store.open(str(path))


def test_an_empty_file_becomes_a_database(path: Path) -> None:
    path.touch()
    with closing(Store.open(str(path))) as store:
        assert store.read(list_batches) == []


@pytest.mark.parametrize("content", [b"jobs:\n- url: x\n" * 99, b"xy", os.urandom(5000)])
def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(
    path: Path, content: bytes
) -> None:
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"is not an SQLite file.*--db PATH"):
        Store.open(str(path))
    assert path.read_bytes() == content


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "ledger.db"
    with pytest.raises(StoreError, match=r"cannot be made: No such file.*--db PATH") as caught:
        Store.open(str(missing))
    assert str(missing) in str(caught.value)


def test_a_file_that_may_not_be_written_can_be_looked_at_but_not_changed() -> None:
    with unprivileged() as folder:
        path = folder / "ledger.db"
        with closing(Store.open(str(path))) as store:
            batch = begin(store, 3)
        path.chmod(0o444)
        with nobody(), closing(Store.open(str(path))) as store:
            assert store.read(batch_counts, batch.id).total == 3
            with pytest.raises(StoreError, match="may not be written to; check its permissions"):
                store.write(load_jobs, job_file(), NOW)


def test_a_folder_that_may_not_be_written_is_named() -> None:
    with unprivileged() as folder:
        folder.chmod(0o555)
        with nobody(), pytest.raises(StoreError, match="cannot be made: Permission denied"):
            Store.open(str(folder / "ledger.db"))


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("", "has no name"),
        ("mysql://host/db", "'mysql' is not supported.*postgresql://"),
        ("http://example.com/", "'http' is not supported"),
        ("postgresql://user:secret@host:port/db", "no database address"),
        ("postgresql://user:secret", "no database address"),
        ("://", "no database address"),
        ("postgresql://user:secret@127.0.0.1:1/db", "cannot be reached: .*"),
    ],
)
def test_an_address_that_leads_nowhere_is_explained_without_its_password(
    address: str, says: str
) -> None:
    with pytest.raises(StoreError, match=says) as caught:
        Store.open(address)
    assert "secret" not in str(caught.value)


def test_an_sqlite_url_is_as_good_as_a_path(path: Path) -> None:
    with closing(Store.open(f"sqlite+aiosqlite:///{path}")) as store:
        store.write(load_jobs, job_file(), NOW)
    with closing(Store.open(str(path))) as store:
        assert len(store.read(list_batches)) == 1


# ---- what is ours, but cannot be used now ----


def test_a_database_that_is_newer_than_the_program_says_to_upgrade(
    address: str, store: Store, engine: Engine
) -> None:
    store.write(load_jobs, job_file(), NOW)
    with engine.begin() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match=r"newer batchrunner.*upgrade: pip install -U"):
        Store.open(address)


def test_a_database_that_another_program_keeps_locked_says_so(path: Path) -> None:
    with closing(Database.open(str(path))) as database:
        with database.read() as tx:
            tx.exec_driver_sql("PRAGMA busy_timeout = 0")
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(StoreError, match="is locked by another program"):
                Store(database).write(load_jobs, job_file(), NOW)
            with pytest.raises(StoreError, match="is locked by another program"):
                Store(database).read(list_batches)
            other.execute("ROLLBACK")
        assert Store(database).write(load_jobs, job_file(), NOW).added == 1


def test_a_disk_that_is_full_stops_one_transaction_and_spoils_nothing(path: Path) -> None:
    with closing(Database.open(str(path))) as database:
        store = Store(database)
        batch = begin(store, 1)
        with database.read() as tx:
            pages = tx.exec_driver_sql("PRAGMA page_count").scalar_one()
            tx.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError, match="the disk is full; make room"):
            store.write(load_jobs, job_file(5000), NOW)
        assert store.read(batch_counts, batch.id).total == 1
        with database.read() as tx:
            tx.exec_driver_sql("PRAGMA max_page_count = 1000000")
        assert store.write(load_jobs, job_file(5000), NOW).added == 4999


def test_an_error_never_shows_what_was_written(path: Path) -> None:
    with closing(Database.open(str(path))) as database:
        with database.read() as tx:
            tx.exec_driver_sql("PRAGMA query_only = ON")
        with pytest.raises(StoreError) as caught:
            Store(database).write(load_jobs, job_file(name="secret"), NOW)
    assert "secret" not in f"{caught.value}{caught.value.__cause__}"


def test_a_thread_that_waits_for_another_ones_lock_is_told_that_it_passes(path: Path) -> None:
    with closing(Database.open(str(path))) as database:
        database._engine.pool._timeout = 0.05  # type: ignore[attr-defined]
        with database.write(), pytest.raises(StoreError) as waited, database.read():
            pass
    assert waited.value.passing


# ---- addresses ----


@pytest.mark.parametrize(
    "address",
    [
        "postgresql:me",
        "postgres:me@host/db",
        "sqlite:ledger.db",
        "host=localhost dbname=mine password=secret",
        "dbname=mine",
    ],
)
def test_what_others_take_for_an_address_is_no_name_of_a_file(
    address: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    says = r"no database address; .*postgresql://user@host"
    with pytest.raises(StoreError, match=says) as caught:
        Store.open(address)
    assert "secret" not in str(caught.value)
    assert list(path.parent.iterdir()) == []


def test_a_file_with_an_odd_name_is_opened_where_it_is_there(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    (path.parent / "postgres:2026.db").touch()
    with closing(Store.open("postgres:2026.db")) as store:
        assert store.read(list_batches) == []


def test_the_servers_other_scheme_is_as_good(postgresql: str) -> None:
    with closing(Store.open(postgresql.replace("postgresql://", "postgres://"))) as store:
        loaded = store.write(load_jobs, job_file(1), NOW).batch
    with closing(Store.open(postgresql)) as store:
        assert [batch.id for batch in store.read(list_batches)] == [loaded.id]


def test_a_folder_is_no_database_and_a_file_in_it_is_proposed(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"is a folder; name a file in it: --db .*/batchrunner.db"):
        Store.open(str(tmp_path))


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("postgresql://me:secret@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me:se@cr:et@host/db", "postgresql://me:***@host/db"),
        ("postgresql://host/db?password=secret", "postgresql://host/db?password=***"),
        (
            "postgresql://host/db?user=me&sslpassword=secret&sslmode=require",
            "postgresql://host/db?user=me&sslpassword=***&sslmode=require",
        ),
        ("postgresql://me@host:5432/db", "postgresql://me@host:5432/db"),
        ("ledger.db", "ledger.db"),
    ],
)
def test_an_address_is_shown_without_its_passwords(address: str, said: str) -> None:
    assert redacted(address) == said


@pytest.mark.parametrize("address", ["me:secret@127.0.0.1:1/db", "127.0.0.1:1/db?password=secret"])
def test_a_server_that_was_never_reached_is_looked_for_elsewhere(address: str) -> None:
    with pytest.raises(StoreError, match=r"cannot be reached: .*check that its server") as caught:
        Store.open(f"postgresql://{address}")
    assert "secret" not in str(caught.value)
    assert caught.value.passing


def test_a_database_that_a_server_does_not_have_is_not_waited_for(postgresql: str) -> None:
    other = make_url(postgresql).set(database="none_such").render_as_string(hide_password=False)
    with pytest.raises(StoreError, match="does not exist") as caught:
        Store.open(other)
    assert not caught.value.passing
