"""Whether a database is whole, whether its records agree, and which owners work on it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from batchrunner.model import FailureCategory
from batchrunner.store.attempts import apply_poll
from batchrunner.store.batch_reads import active_workers, list_batches
from batchrunner.store.batches import load_jobs
from batchrunner.store.controls import cancel_jobs, retry_jobs
from batchrunner.store.database import StoreError
from batchrunner.store.health import (
    ATTEMPT_RULES,
    JOB_RULES,
    ForeignChanges,
    OpenWork,
    consistency_errors,
    database_health,
    foreign_changes,
    integrity_errors,
)
from batchrunner.store.leases import end_owner, renew_lease
from batchrunner.store.orphans import add_orphans, adopt_late_runs, close_orphans
from batchrunner.store.revision import HEAD
from batchrunner.store.schema import metadata
from batchrunner.store.store import Store
from batchrunner.store.store_time import LEASE, store_time
from batchrunner.store.submissions import mark_unanswered
from tests.fakes import (
    NOW,
    after,
    begin,
    claim,
    enlist,
    failure,
    job_file,
    postpone,
    retry,
    run,
    start,
    success,
)
from tests.sweeps import some


def frozen() -> datetime:
    return NOW


@pytest.fixture
def busy(store: Store) -> Store:
    """A database in which everything has happened that can."""
    batch = begin(store, 12, concurrency=8)
    one, two, three, four, *_ = start(store, batch)
    decisions = [success(one), failure(two), retry(three, after(60)), postpone(four, after(60))]
    apply_poll(store, "alice", decisions, [], NOW)
    (submission, *_) = claim(store, batch, most=2)
    store.write(mark_unanswered, "alice", submission, after(5), "no answer")
    store.write(cancel_jobs, batch.id, ["job-0012"], NOW)
    store.write(retry_jobs, batch.id, [FailureCategory.AGENT_FAILURE], [], NOW)
    store.write(adopt_late_runs, "alice", batch.id, submission, {}, NOW)
    store.write(add_orphans, batch.id, submission, ["stray"], NOW)
    store.write(close_orphans, [("stray", run("stray", steps=3))], NOW)
    return store


# ---- a glance ----


def test_the_health_of_a_database_says_how_it_is_kept(busy: Store, address: str) -> None:
    health = busy.read(database_health, frozen)
    assert health.revision == HEAD
    assert health.result_bytes == len("{}")
    assert health.open_work == (OpenWork(name="prices", open=11, total=12),)
    if "://" in address:
        assert (health.journal_mode, health.synchronous) == (None, None)
        assert health.server is not None
        assert health.server.version[0].isdigit()
        assert health.server.near
        assert health.server.may_create
        assert not health.server.encrypted
    else:
        assert (health.journal_mode, health.synchronous, health.server) == ("truncate", 2, None)
        assert health.ahead == timedelta(0)


def test_the_servers_clock_is_compared_with_ours(postgresql: str) -> None:
    with closing(Store.open(postgresql)) as store:
        server = store.read(database_health, lambda: NOW).server
        assert server is not None
        later = store.read(database_health, lambda: after(1000)).server
        assert later is not None
    apart = server.ahead - later.ahead
    assert abs(apart - timedelta(seconds=1000)) < timedelta(seconds=60)


def test_the_databases_time_runs_ahead_of_a_clock_that_was_set_back(tmp_path: Path) -> None:
    with closing(Store.open(str(tmp_path / "ledger.db"))) as store:
        enlist(store, "alice", now=after(3600))
        assert store.read(database_health, frozen).ahead == timedelta(hours=1)


def test_looking_at_a_database_makes_no_tables(address: str) -> None:
    Path(address).touch() if "://" not in address else None
    for _ in range(2):
        with closing(Store.connect(address)) as store:
            health = store.read(database_health, frozen)
        assert health.revision is None
        assert (health.workers, health.open_work, health.result_bytes) == ((), (), None)


def test_another_schema_is_named_and_not_looked_into(busy: Store, engine: Engine) -> None:
    with engine.begin() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    health = busy.read(database_health, frozen)
    assert (health.revision, health.open_work) == ("9999", ())


# ---- who works ----


def test_workers_are_shown_with_their_runs_of_a_batch_and_their_last_sign_of_life(
    store: Store,
) -> None:
    batch = begin(store, 3, concurrency=2)
    start(store, batch)
    other = store.write(load_jobs, job_file(1, name="other"), NOW).batch
    now = store.read(store_time, NOW)  # a server's own, where there is one
    enlist(store, "bob", now=now - timedelta(seconds=15))
    store.write(renew_lease, "alice", now - timedelta(seconds=5))
    workers = {worker.owner.id: worker for worker in store.read(active_workers, NOW, batch.id)}
    alice, bob = workers["alice"], workers["bob"]
    assert [alice.silent.seconds // 5, bob.silent.seconds // 5] == [1, 3]
    assert (alice.in_flight, alice.since, alice.leased) == (2, NOW, True)
    assert (bob.in_flight, bob.leased) == (0, True)
    assert [worker.in_flight for worker in store.read(active_workers, NOW, other.id)] == [0, 0]


def test_who_retired_works_no_more(store: Store) -> None:
    enlist(store, "alice", "bob")
    store.write(end_owner, "alice", NOW)
    assert "alice" not in [
        worker.owner.id for worker in store.read(database_health, frozen).workers
    ]


def test_who_lapsed_is_shown_only_if_it_left_something(tmp_path: Path) -> None:
    with closing(Store.open(str(tmp_path / "ledger.db"))) as store:
        batch = begin(store, 1)
        start(store, batch)
        enlist(store, "bob")
        workers = store.read(active_workers, NOW + LEASE, batch.id)
    assert [(each.owner.id, each.leased) for each in workers] == [("alice", False)]


# ---- the books ----


def test_books_in_which_everything_has_happened_add_up(busy: Store) -> None:
    assert busy.read(consistency_errors) == {}


#: Law → what another program does to the tables to break it.
TAMPERED = {
    "every job is in one of the five states": "UPDATE jobs SET state = 'lost' WHERE id = 9",
    "a job runs exactly while one attempt is open": (
        "UPDATE jobs SET state = 'running'"
        " WHERE id = (SELECT min(id) FROM jobs WHERE state = 'available')"
    ),
    "a job succeeds by exactly one attempt": (
        "UPDATE attempts SET outcome = 'unknown' WHERE outcome = 'succeeded'"
    ),
    "a job has no more failures than attempts that count": (
        "UPDATE jobs SET failures = attempt WHERE state = 'succeeded'"
    ),
    "a job knows its newest attempt": "UPDATE jobs SET attempt = attempt + 1 WHERE id = 11",
    "an open attempt has a run, or is being searched for": (
        "UPDATE submissions SET state = 'refused', search_at = NULL WHERE state = 'unanswered'"
    ),
    "a success has its result on disk": "DELETE FROM results",
    "a result that was delivered is not bad, and one that failed is": (
        "UPDATE attempts SET verdict = 'bad' WHERE outcome = 'succeeded'"
    ),
    "waiting uses up no attempt": (
        "UPDATE attempts SET counted = (1 = 1) WHERE outcome = 'throttled'"
    ),
    "a run belongs to an attempt or is an orphan, never both": (
        "UPDATE orphans SET run_id = (SELECT run_id FROM attempts WHERE outcome = 'succeeded')"
    ),
    "an attempt and its submission are of its job's batch": (
        "UPDATE submissions SET batch_id = (SELECT max(id) FROM batches) WHERE state = 'created'"
    ),
    "an attempt with a run was not refused, and its create was answered": (
        "UPDATE submissions SET state = 'intended' WHERE state = 'created'"
    ),
    "a job waits while a refusal of it is not confirmed": (
        "UPDATE submissions SET unconfirmed = (1 = 1) WHERE state = 'created'"
    ),
}


def test_every_law_is_broken_by_a_test() -> None:
    assert list(TAMPERED) == [*JOB_RULES, *ATTEMPT_RULES]


@pytest.mark.parametrize("law", some(TAMPERED, quick=5))
def test_a_broken_law_is_found_with_its_number(busy: Store, engine: Engine, law: str) -> None:
    busy.write(load_jobs, job_file(1, name="others"), NOW)
    with engine.begin() as tx:
        if tx.dialect.name == "sqlite":
            tx.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
        else:
            for check in ("state_is_known", "final_means_finished"):
                tx.exec_driver_sql(f"ALTER TABLE jobs DROP CONSTRAINT ck_jobs_{check}")
        assert tx.exec_driver_sql(TAMPERED[law]).rowcount >= 1
    broken = busy.read(consistency_errors)
    assert broken[law] >= 1


def test_two_open_attempts_for_one_job_are_found_even_where_nothing_refuses_them(
    busy: Store, engine: Engine
) -> None:
    columns = [column.name for column in metadata.tables["attempts"].columns]
    given = {
        "id": "1000 + id",
        "number": "100",
        "batch_index": "50 + batch_index",
        "run_id": "'x' || id",
    }
    values = ", ".join(given.get(name, name) for name in columns)
    with engine.begin() as tx:
        tx.exec_driver_sql("DROP INDEX uq_attempts_one_open_per_job")
        tx.exec_driver_sql(
            f"INSERT INTO attempts ({', '.join(columns)}) SELECT {values} FROM attempts"
            " WHERE closed_at IS NULL AND id = (SELECT min(id) FROM attempts"
            " WHERE closed_at IS NULL)"
        )
    broken = busy.read(consistency_errors)
    assert broken["a job runs exactly while one attempt is open"] == 1


# ---- what other programs do ----


def test_nothing_is_odd_in_a_database_in_which_everything_has_happened(busy: Store) -> None:
    assert busy.read(foreign_changes, thorough=True) == ForeignChanges()


#: What another program does to the tables → what is said of it.
REBUILT = {
    "DROP INDEX uq_attempts_one_open_per_job": "the index uq_attempts_one_open_per_job is missing",
    "DROP TABLE host_escalations": "the table host_escalations is missing",
    "ALTER TABLE batches DROP COLUMN step_price": "the column step_price of batches is missing",
    "ALTER TABLE jobs ADD COLUMN mine INTEGER": "the column mine of jobs is not ours",
    "CREATE UNIQUE INDEX mine ON jobs (id, url)": "the unique index mine of jobs is not ours",
}


@pytest.mark.parametrize("statement", some(REBUILT, quick=2))
def test_tables_that_another_program_rebuilt_are_named(
    busy: Store, engine: Engine, statement: str
) -> None:
    with engine.begin() as tx:
        tx.exec_driver_sql(statement)
    assert busy.read(foreign_changes, thorough=True).unlike == (REBUILT[statement],)


def test_another_index_of_the_same_name_and_a_trigger_are_named(
    busy: Store, engine: Engine
) -> None:
    with engine.begin() as tx:
        tx.exec_driver_sql("DROP INDEX uq_attempts_one_success_per_job")
        tx.exec_driver_sql("CREATE INDEX uq_attempts_one_success_per_job ON attempts (job_id)")
        if tx.dialect.name == "sqlite":
            tx.exec_driver_sql("CREATE TRIGGER mine AFTER UPDATE ON jobs BEGIN SELECT 1; END")
        else:
            tx.exec_driver_sql(
                "CREATE TRIGGER mine BEFORE UPDATE ON jobs"
                " EXECUTE FUNCTION suppress_redundant_updates_trigger()"
            )
    assert busy.read(foreign_changes, thorough=False).unlike == (
        "the index uq_attempts_one_success_per_job is another one",
        "the trigger mine on jobs is not ours",
    )


#: What another program writes → which cell is named.
GARBLED = {
    "UPDATE jobs SET available_at = 'tomorrow' WHERE id = 9": (
        "available_at of row 9 in jobs is 'tomorrow'"
    ),
    "UPDATE jobs SET available_at = '2026-09-02T21:00:00' WHERE id = 9": (
        "available_at of row 9 in jobs is '2026-09-02T21:00:00'"
    ),
    "UPDATE jobs SET options = '{' WHERE id = 9": "options of row 9 in jobs is '{'",
    "UPDATE jobs SET options = '[]' WHERE id = 9": "options of row 9 in jobs is '[]'",
    "UPDATE jobs SET failures_by_category = '{\"x\": 1}' WHERE id = 9": (
        "failures_by_category of row 9 in jobs is '{\"x\": 1}'"
    ),
    "UPDATE batches SET settings = '{}' WHERE id = 1": "settings of row 1 in batches is '{}'",
    "UPDATE batches SET budget = 'much' WHERE id = 1": "budget of row 1 in batches is 'much'",
    "UPDATE attempts SET run_status = 'LOST' WHERE id = 5": (
        "run_status of row 5 in attempts is 'LOST'"
    ),
    "UPDATE owners SET lease_until = '' WHERE id = 'alice'": (
        "lease_until of row alice in owners is ''"
    ),
}


@pytest.mark.parametrize("statement", some(GARBLED, quick=4))
def test_a_cell_that_cannot_be_read_is_named(busy: Store, engine: Engine, statement: str) -> None:
    with engine.begin() as tx:
        assert tx.exec_driver_sql(statement).rowcount == 1
    assert busy.read(foreign_changes, thorough=True).garbled == (GARBLED[statement],)


@pytest.mark.parametrize(
    "look",
    [lambda store: store.read(list_batches), lambda store: store.read(database_health, frozen)],
)
def test_who_meets_a_cell_that_cannot_be_read_is_told_which(
    busy: Store, engine: Engine, look: Callable[[Store], object]
) -> None:
    with engine.begin() as tx:
        tx.exec_driver_sql("UPDATE batches SET settings = 'x' || settings")
        tx.exec_driver_sql("UPDATE owners SET started_at = 'long ago'")
    says = r"cannot be read: .* of row .* in (batches|owners)"
    with pytest.raises(StoreError, match=says) as met:
        look(busy)
    assert "doctor" in met.value.next


def test_a_mistake_of_ours_is_not_blamed_on_the_database(busy: Store) -> None:
    with pytest.raises(ZeroDivisionError), busy._database.read():
        1 // 0  # noqa: B018 - it is to raise


def test_results_that_are_no_json_are_named_and_deep_ones_are_none(
    busy: Store, engine: Engine
) -> None:
    deep = "[" * 100_000 + "]" * 100_000
    with engine.begin() as tx:
        tx.execute(text("UPDATE results SET body = :body"), {"body": deep})
    assert busy.read(foreign_changes, thorough=True).odd_results == ()
    with engine.begin() as tx:
        tx.exec_driver_sql("UPDATE results SET body = '{broken'")
    assert busy.read(foreign_changes, thorough=True).odd_results == (1,)


# ---- the file ----


@pytest.mark.parametrize("thorough", [True, False])
def test_a_whole_file_has_no_damage(busy: Store, thorough: bool) -> None:
    assert busy.read(integrity_errors, thorough=thorough) == []


def other_program(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.db"
    with closing(Store.open(str(path))) as store:
        start(store, begin(store, 200, concurrency=100))
    return path


def test_overwritten_pages_are_found(file: Path) -> None:
    with file.open("r+b") as content:
        content.seek(4096 * 3)
        content.write(b"\xa5" * 4096 * 6)
    for thorough in (True, False):
        with closing(Store.connect(str(file))) as store:
            damage = store.read(integrity_errors, thorough=thorough)
        assert damage
        assert "\n" not in "".join(damage)


def test_a_row_that_refers_to_nothing_is_found(file: Path) -> None:
    with closing(other_program(file)) as program:
        program.execute("UPDATE attempts SET owner_id = 'nobody' WHERE id = 1")
    with closing(Store.connect(str(file))) as store:
        assert store.read(integrity_errors, thorough=True) == [
            "row 1 of attempts refers to none of owners"
        ]
        assert store.read(integrity_errors, thorough=False) == []


def test_an_index_that_lacks_a_row_is_found_when_it_is_looked_for(file: Path) -> None:
    with closing(other_program(file)) as program:
        program.execute("PRAGMA writable_schema = ON")
        program.execute(
            "UPDATE sqlite_schema SET sql = replace(sql, 'state)', 'state) WHERE id > 1')"
            " WHERE name = 'ix_jobs_batch_id_state'"
        )
    with closing(Store.connect(str(file))) as store:
        assert store.read(integrity_errors, thorough=True)


def test_a_checkup_changes_nothing(file: Path) -> None:
    before = file.read_bytes()

    def look(at: Callable[[Store], object]) -> None:
        with closing(Store.connect(str(file))) as store:
            at(store)

    look(lambda store: store.read(database_health, frozen))
    look(lambda store: store.read(integrity_errors, thorough=True))
    look(lambda store: store.read(consistency_errors))
    look(lambda store: store.read(active_workers, NOW, 1))
    assert file.read_bytes() == before
