"""The migrations make what the schema says, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    CheckConstraint,
    Connection,
    Engine,
    MetaData,
    create_engine,
    inspect,
    make_url,
    text,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from batchrunner.model import Budget, FailureCategory
from batchrunner.runner.run_matching import match_runs
from batchrunner.store.batch_reads import list_batches, parked_hosts
from batchrunner.store.batches import load_jobs
from batchrunner.store.claims import claim_jobs
from batchrunner.store.database import StoreError, migrations
from batchrunner.store.health import foreign_changes
from batchrunner.store.holds import start_hold
from batchrunner.store.index_build import missing_indexes
from batchrunner.store.leases import register_owner
from batchrunner.store.revision import HEAD
from batchrunner.store.schema import metadata
from batchrunner.store.store import Store
from batchrunner.store.submissions import unanswered_submissions
from tests.fakes import NOW, job_file, owner, run


@pytest.fixture
def empty(address: str) -> Iterator[Engine]:
    url = make_url(address if "://" in address else f"sqlite:///{address}")
    if url.get_backend_name() == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    made = create_engine(url, poolclass=NullPool)
    yield made
    made.dispose()


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(migrations()))
    return ScriptDirectory.from_config(config)


def checks(tx: Connection) -> dict[str, set[tuple[str | None, str]]]:
    found = inspect(tx)
    return {
        table: {(c["name"], c["sqltext"]) for c in found.get_check_constraints(table)}
        for table in metadata.tables
    }


def indexes(tx: Connection) -> dict[str, object]:
    if tx.dialect.name == "sqlite":
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    else:
        query = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
    return {name: sql for name, sql in tx.exec_driver_sql(query) if "alembic" not in name}


def test_the_head_that_the_program_expects_is_the_newest_migration() -> None:
    assert scripts().get_heads() == [HEAD]
    assert len(scripts().get_bases()) == 1


def test_a_new_database_is_what_the_schema_says(store: Store, engine: Engine) -> None:
    with engine.connect() as tx:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(tx, opts=options)
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == HEAD


def test_migrations_make_the_same_checks_and_indexes_as_the_schema(
    address: str, empty: Engine
) -> None:
    """Alembic compares neither checks nor the conditions of indexes."""
    with empty.begin() as tx:
        metadata.create_all(tx)
        expected = checks(tx), indexes(tx)
        metadata.drop_all(tx)
    Store.open(address).close()
    with empty.connect() as tx:
        assert (checks(tx), indexes(tx)) == expected
    assert sum(map(len, expected[0].values())) == sum(
        isinstance(c, CheckConstraint) for t in metadata.tables.values() for c in t.constraints
    )


def test_opening_a_database_again_changes_nothing(address: str, engine: Engine) -> None:
    with engine.connect() as tx:
        before = checks(tx), indexes(tx)
    for _ in range(2):
        with closing(Store.open(address)) as store:
            store.write(load_jobs, job_file(), NOW)
    with engine.connect() as tx:
        assert (checks(tx), indexes(tx)) == before
        assert tx.execute(text("SELECT count(*) FROM jobs")).scalar_one() == 1


def test_a_migration_that_fails_leaves_nothing_behind(address: str, empty: Engine) -> None:
    with empty.begin() as tx:
        # In the way of the third table; on SQLite it must look like our database to be touched.
        tx.execute(text("CREATE TABLE jobs (id INTEGER)"))
        if tx.dialect.name == "sqlite":
            tx.exec_driver_sql("PRAGMA application_id = 1651666481")
    with pytest.raises(StoreError, match="already exists"):
        Store.open(address)
    with empty.connect() as tx:
        assert inspect(tx).get_table_names() == ["jobs"]


def test_tables_of_the_schema_are_all_there_is(store: Store, engine: Engine) -> None:
    found = MetaData()
    found.reflect(engine)
    assert set(found.tables) == {*metadata.tables, "alembic_version"}


def test_a_database_is_sound_after_its_first_jobs(store: Store, engine: Engine) -> None:
    store.write(load_jobs, job_file(20), NOW)
    with engine.connect() as tx:
        if tx.dialect.name == "sqlite":
            assert tx.exec_driver_sql("PRAGMA integrity_check").scalars().all() == ["ok"]
            assert tx.exec_driver_sql("PRAGMA foreign_key_check").all() == []
        else:
            with pytest.raises(SQLAlchemyError):
                tx.execute(text("INSERT INTO results VALUES (1, '')"))


AT = "2026-09-02T21:00:00.000000Z"
LIMITS = {"concurrency": 9, "backoff": 15, "queued_limit": 60, "running_limit": 60}


def upgrade(tx: Connection, revision: str) -> None:
    """Migrate an empty database to an older revision."""
    if tx.dialect.name == "sqlite":
        tx.exec_driver_sql("PRAGMA application_id = 1651666481")
    config = Config()
    config.set_main_option("script_location", str(migrations()))
    config.attributes["connection"] = tx
    command.upgrade(config, revision)


@pytest.mark.parametrize(
    ("in_file", "set_later", "expected"),
    [
        ("$20", None, Budget(money=Decimal(20))),
        ("1500 steps", None, Budget(steps=1500)),
        (None, "$0.25", Budget(money=Decimal("0.25"))),
        ("$20", "none", None),
        (None, None, None),
    ],
)
def test_budgets_in_the_syntax_of_job_files_become_values(
    address: str, empty: Engine, in_file: str | None, set_later: str | None, expected: Budget | None
) -> None:
    canary = {"jobs": 5, "success_rate": "0.8", "row_cost": "$0.05"}
    settings = json.dumps({**LIMITS, "budget": in_file, "canary": canary})
    with empty.begin() as tx:
        upgrade(tx, "0009")
        tx.execute(
            text(
                "INSERT INTO batches (name, settings, created_at, budget)"
                " VALUES ('prices', :settings, :at, :budget)"
            ),
            {"settings": settings, "at": AT, "budget": set_later},
        )
    with closing(Store.open(address)) as store:
        (batch,) = store.read(list_batches)
    assert batch.settings.budget == expected
    assert batch.settings.canary is not None
    assert batch.settings.canary.row_cost == Budget(money=Decimal("0.05"))


def test_a_budget_that_another_program_wrote_stays_as_it_is(address: str, empty: Engine) -> None:
    with empty.begin() as tx:
        upgrade(tx, "0009")
        tx.execute(
            text("INSERT INTO batches (name, settings, created_at) VALUES ('prices', 'x', :at)"),
            {"at": AT},
        )
    with closing(Store.open(address)) as store:
        assert store.read(foreign_changes, thorough=True).garbled == (
            "settings of row 1 in batches is 'x'",
        )


#: Rows of the tables that the migration replaces, in the order of their old columns.
ROWS = {
    "halts": (7, 1, "alice", "billing_failure", "no credits", AT, AT, None),
    "hosts": (1, "a.test", "0123456789abcdef", 2, 3, 5, 4),
    "parking": (1, "a.test", 3, 5, 4, AT, AT, 2),
}


def test_renamed_tables_keep_their_rows_and_number_new_ones(address: str, empty: Engine) -> None:
    with empty.begin() as tx:
        upgrade(tx, "0009")
        tx.execute(
            text("INSERT INTO owners VALUES ('alice', 'm', 1, 'x', :at, :at, NULL)"), {"at": AT}
        )
        tx.execute(
            text("INSERT INTO batches (name, settings, created_at) VALUES ('prices', :s, :at)"),
            {"s": json.dumps(LIMITS), "at": AT},
        )
        for table, row in ROWS.items():
            values = {f"v{at}": value for at, value in enumerate(row)}
            named = ", ".join(f":{name}" for name in values)
            tx.execute(text(f"INSERT INTO {table} VALUES ({named})"), values)
    with closing(Store.open(address)) as store:
        store.write(register_owner, owner("bob"), NOW)
        store.write(start_hold, "bob", 1, NOW, "no credits", NOW)
        (parked,) = store.read(parked_hosts, 1)
        assert (parked.host, parked.failures, parked.failed_probes) == ("a.test", 4, 2)
    with empty.connect() as tx:
        for old, new in (("hosts", "host_escalations"), ("parking", "host_breakers")):
            assert tuple(tx.execute(text(f"SELECT * FROM {new}")).one()) == ROWS[old]
        holds = tx.execute(text("SELECT * FROM holds ORDER BY id")).all()
    assert tuple(holds[0]) == ROWS["halts"]
    assert [hold.id for hold in holds] == [7, 8]


def test_what_the_first_databases_had_counted_is_told_apart_by_category(
    address: str, empty: Engine
) -> None:
    at = AT
    settings = json.dumps(LIMITS)
    with empty.begin() as tx:
        upgrade(tx, "0001")
        for statement in (
            "INSERT INTO owners VALUES ('alice', 'm', 1, 'x', :at, :at, NULL)",
            "INSERT INTO batches VALUES (1, 'prices', :settings, NULL, :at)",
            *(
                "INSERT INTO jobs (id, batch_id, position, key, url, goal, options, shape, state,"
                f" available_at, attempt, failures) VALUES ({job}, 1, {job}, 'k{job}',"
                f" 'https://a.test/', 'Read', '{{}}', '', 'available', :at, 4, {failures})"
                for job, failures in ((1, 2), (2, 0))
            ),
            *(
                "INSERT INTO submissions (batch_id, owner_id, token, marked, state,"
                f" intended_at) VALUES (1, 'alice', 't{number}', true, 'created', :at)"
                for number in range(1, 9)
            ),
            *(
                "INSERT INTO attempts (job_id, number, batch_id, owner_id, submission_id, place,"
                f" opened_at, closed_at, outcome, counted) VALUES ({job}, {number}, 1, 'alice',"
                f" {(job - 1) * 4 + number}, 1, :at, :at, '{outcome}', {counted})"
                for job in (1, 2)
                for number, (outcome, counted) in enumerate(BEFORE, start=1)
            ),
        ):
            given = {"at": at, "settings": settings}
            named = {name: value for name, value in given.items() if f":{name}" in statement}
            tx.execute(text(statement), named)
    with closing(Store.open(address)) as store:
        (batch,) = store.read(list_batches)
        assert batch.settings.policy == {}
        store.write(register_owner, owner("bob"), NOW)
        rides = store.write(claim_jobs, "bob", batch.id, 100, NOW)[0].attempts
    expected = {FailureCategory.BLOCKED: 1, FailureCategory.SYSTEM_FAILURE: 1}
    assert [(ride.job.failures, ride.job.failures_by_category) for ride in rides] == [
        (2, expected),
        (0, {}),
    ]


#: Outcome and whether it counted, of four attempts: the user retried the job after the first.
BEFORE = (
    ("lost", "true"),
    ("blocked", "true"),
    ("throttled", "false"),
    ("system_failure", "true"),
)


@pytest.mark.parametrize("is_stored", [True, False])  # False: it goes on after the migration
def test_submissions_of_older_versions_keep_the_markers_that_were_sent(
    address: str, empty: Engine, is_stored: bool
) -> None:
    with empty.begin() as tx:
        upgrade(tx, "0010")
        given = {"at": AT, "settings": json.dumps(LIMITS)}
        for statement in (
            "INSERT INTO owners VALUES ('alice', 'm', 1, 'x', :at, :at, NULL)",
            "INSERT INTO batches (id, name, settings, created_at) VALUES (1, 'p', :settings, :at)",
            "INSERT INTO jobs (id, batch_id, position, key, url, goal, options, state,"
            " output_schema_digest, available_at, attempt) VALUES (1, 1, 1, 'k',"
            " 'https://a.test/', 'Read', '{}', 'running', '', :at, 1)",
            "INSERT INTO submissions (id, batch_id, owner_id, marker_token, marked, state,"
            " intended_at, search_at) VALUES (1, 1, 'alice', '0123456789ab', true, 'unanswered',"
            " :at, :at)",
            "INSERT INTO attempts (job_id, number, batch_id, owner_id, submission_id, batch_index,"
            " opened_at) VALUES (1, 1, 1, 'alice', 1, 17, :at)",
        ):
            named = {name: value for name, value in given.items() if f":{name}" in statement}
            tx.execute(text(statement), named)
    with closing(Store.open(address)) as store:
        if not is_stored:
            with store._database.write() as tx:
                tx.execute(text("UPDATE attempts SET marker = NULL"))
        [(submission, _, _)] = store.read(unanswered_submissions, "alice", 1)
    [attempt] = submission.attempts
    assert attempt.marker == "[ref br-0123456789ab-17]"
    shown = run("r1", goal=f"Read\n\n{attempt.marker}".upper())
    assert match_runs(submission, [shown]) == ({attempt.attempt_id: "r1"}, set())


def test_indexes_of_a_large_database_are_built_after_its_migration(
    address: str, empty: Engine
) -> None:
    """A build that was cut off is repeated at the next start."""
    many = "WITH RECURSIVE g(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < 10001)"
    with empty.begin() as tx:
        upgrade(tx, "0013")
        given = {"settings": json.dumps(LIMITS), "at": AT}
        tx.execute(
            text(
                "INSERT INTO batches (id, name, settings, created_at)"
                " VALUES (1, 'prices', :settings, :at)"
            ),
            given,
        )
        tx.execute(
            text(
                "INSERT INTO jobs (batch_id, position, key, url, goal, options,"
                f" output_schema_digest, state, available_at) {many} SELECT 1, n, 'k' || n,"
                " 'https://a.test/', 'Read', '{}', '', 'available', '" + AT + "' FROM g"
            )
            if tx.dialect.name == "postgresql"
            else text(
                f"{many} INSERT INTO jobs (batch_id, position, key, url, goal, options,"
                " output_schema_digest, state, available_at) SELECT 1, n, 'k' || n,"
                " 'https://a.test/', 'Read', '{}', '', 'available', '" + AT + "' FROM g"
            )
        )
    Store.open(address).close()
    wanted = {index.name for table in metadata.tables.values() for index in table.indexes}
    with empty.begin() as tx:
        assert wanted <= indexes(tx).keys()
        tx.execute(text("DROP INDEX ix_jobs_queue"))
        if tx.dialect.name == "postgresql":
            broken = "UPDATE pg_index SET indisvalid = false"
            tx.execute(text(f"{broken} WHERE indexrelid = 'ix_jobs_ready'::regclass"))
    Store.open(address).close()
    with empty.connect() as tx:
        assert wanted <= indexes(tx).keys()
        assert missing_indexes(tx) == []
