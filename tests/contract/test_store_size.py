"""What a database takes on disk, and how it becomes smaller; on both databases."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import delete

from batchrunner.app import compact_database as app
from batchrunner.app.clock import now as clock
from batchrunner.app.compact_database import MARGIN_BYTES, shortages, temporary_folder
from batchrunner.cli.commands.doctor import command as doctor
from batchrunner.errors import CannotContinue
from batchrunner.store.attempts import apply_poll
from batchrunner.store.compaction import RunnersWork, compact
from batchrunner.store.disk_usage import DiskUsage, TableUsage, disk_usage
from batchrunner.store.leases import end_owner, register_owner
from batchrunner.store.schema import results
from batchrunner.store.store import Store
from tests.fakes import NOW, after, begin, enlist, owner, start, success

#: Long after every lease has ended.
LATER = after(3600)
BODY = json.dumps({"price": "x" * 5000})


def usage(store: Store) -> DiskUsage:
    return store.read(disk_usage)


def fill(store: Store, jobs: int = 60) -> None:
    """Finish some jobs with large results, and leave as many in the queue."""
    batch = begin(store, jobs, concurrency=jobs // 2)
    runs = start(store, batch)
    apply_poll(store, "alice", [success(each) for each in runs], [], NOW)
    with_body = results.update().values(body=BODY)
    store.write(lambda tx: tx.execute(with_body))


def table(found: DiskUsage, name: str) -> TableUsage:
    return next(each for each in found.tables if each.table == name)


def test_an_empty_database_has_a_size_and_no_jobs(store: Store) -> None:
    found = usage(store)
    assert found.total > 0
    assert (found.queued_bytes, found.finished_bytes, found.queued_jobs) == (None, None, 0)
    assert sum(each.rows for each in found.tables) == 0


def test_a_finished_job_takes_its_result_and_a_queued_one_does_not(store: Store) -> None:
    fill(store)
    found = usage(store)
    assert (found.queued_jobs, found.finished_jobs) == (30, 30)
    assert table(found, "results").rows == 30
    assert found.queued_bytes is not None
    assert found.finished_bytes is not None
    assert found.finished_bytes > found.queued_bytes
    assert sum(each.bytes + each.index_bytes for each in found.tables) <= found.total


def test_results_are_what_grows_where_they_are_large(store: Store) -> None:
    fill(store)
    found = usage(store)
    if found.free is not None:  # a server compresses such texts
        assert table(found, "results").bytes > 30 * 4000
        assert found.finished_bytes is not None
        assert found.finished_bytes > 4000


def remove_results(store: Store) -> None:
    store.write(lambda tx: tx.execute(delete(results)))


def test_free_space_goes_back_to_the_disk_and_no_row_is_lost(store: Store) -> None:
    fill(store)
    remove_results(store)
    before = usage(store)
    freed = compact(store, LATER, ())
    found = usage(store)
    # A server adds maps of the free space; of little data, those are more than the free space.
    assert freed == max(before.total - found.total, 0)
    assert freed > 0 or found.free is None
    assert not found.free
    assert [each.rows for each in found.tables] == [each.rows for each in before.tables]
    enlist(store, "bob")  # and it can be written to as before


def test_nothing_is_changed_while_a_runner_works(store: Store) -> None:
    fill(store)
    remove_results(store)
    at = clock()  # a server goes by its own
    enlist(store, "bob", now=at)
    before = usage(store)
    with pytest.raises(RunnersWork) as refused:
        compact(store, at, ())
    assert refused.value.owners == (owner("bob"),)
    assert usage(store).total == before.total
    store.write(end_owner, "bob", at)
    assert compact(store, at, ()) > 0 or before.free is None


def test_a_runner_whose_process_is_gone_does_not_count(store: Store) -> None:
    at = clock()
    enlist(store, "bob", now=at)
    assert compact(store, at, ["bob"]) >= 0


def test_no_runner_begins_between_the_check_and_the_end(tmp_path: Path) -> None:
    path = str(tmp_path / "ledger.db")
    with closing(Store.open(path)) as store, closing(sqlite3.connect(path, timeout=0)) as other:
        with store.alone(lambda _: None) as connection:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
            connection.exec_driver_sql("VACUUM")
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
        enlist(store, "alice")


def test_an_owner_is_named_who_works(tmp_path: Path) -> None:
    path = str(tmp_path / "ledger.db")
    with closing(Store.open(path)) as store:
        store.write(register_owner, owner("alice"), clock())
        with pytest.raises(CannotContinue, match="nothing was changed: at work") as refused:
            app.compact_database(store, path)
    assert "Ctrl-C" in refused.value.next


# ---- room on the disks ----

HERE, THERE = Path("/data"), Path("/tmp")


def test_a_copy_and_a_journal_on_one_disk_need_room_for_both() -> None:
    enough = 300 + MARGIN_BYTES
    one = [(HERE, 1, enough), (THERE, 1, enough)]
    assert shortages(*one, journal=200, copy=100) == []
    assert shortages(*one, journal=200, copy=101) == [(HERE, enough + 1, enough)]


def test_on_two_disks_each_needs_room_for_its_own() -> None:
    found = shortages((HERE, 1, 200 + MARGIN_BYTES), (THERE, 2, 99), journal=200, copy=100)
    assert found == [(THERE, 100 + MARGIN_BYTES, 99)]


def test_a_disk_without_room_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "ledger.db")
    monkeypatch.setattr(app, "_disk_of", lambda folder: (folder, 1, 5))
    refused = pytest.raises(CannotContinue, match="nothing was changed: the disk of")
    with closing(Store.open(path)) as store, refused:
        app.compact_database(store, path)


def test_sqlite_makes_its_copy_where_its_variable_says(tmp_path: Path) -> None:
    assert temporary_folder({"SQLITE_TMPDIR": str(tmp_path), "TMPDIR": "/tmp"}) == tmp_path
    assert temporary_folder({"SQLITE_TMPDIR": str(tmp_path / "none"), "TMPDIR": "/"}) == Path("/")


# ---- doctor ----


@pytest.mark.sweep
def test_doctor_reports_the_size_and_what_can_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TINYFISH_API_KEY", raising=False)
    path = str(tmp_path / "ledger.db")
    with closing(Store.open(path)) as store:
        fill(store)
        remove_results(store)
    ended = CliRunner().invoke(doctor, ["--db", path, "--json"])
    said = json.loads(ended.stdout)
    assert said["size"]["queued_jobs"] == 30
    found = {each["check"]: each["found"] for each in said["checks"] if each["part"] == "its size"}
    assert "per queued job" in found["size"]
    assert "per finished job" in found["size"]
    assert "jobs" in found["growth"]
    assert "batchrunner compact" in found["free_pages"]
