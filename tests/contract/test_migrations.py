"""The migrations make what the schema says, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing

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

from batchrunner.model import FailureCategory
from batchrunner.store.database import StoreError, migrations
from batchrunner.store.schema import HEAD, metadata
from batchrunner.store.store import Store
from tests.fakes import NOW, job_file, owner


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
            store.load(job_file(), NOW)
    with engine.connect() as tx:
        assert (checks(tx), indexes(tx)) == before
        assert tx.execute(text("SELECT count(*) FROM jobs")).scalar_one() == 1


def test_a_migration_that_fails_leaves_nothing_behind(address: str, empty: Engine) -> None:
    with empty.begin() as tx:
        # In the way of the third table; on SQLite it must look like a ledger to be touched at all.
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


def test_a_ledger_is_sound_after_its_first_jobs(store: Store, engine: Engine) -> None:
    store.load(job_file(20), NOW)
    with engine.connect() as tx:
        if tx.dialect.name == "sqlite":
            assert tx.exec_driver_sql("PRAGMA integrity_check").scalars().all() == ["ok"]
            assert tx.exec_driver_sql("PRAGMA foreign_key_check").all() == []
        else:
            with pytest.raises(SQLAlchemyError):
                tx.execute(text("INSERT INTO results VALUES (1, '')"))


def test_what_the_first_ledgers_had_counted_is_told_apart_by_category(
    address: str, empty: Engine
) -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations()))
    at = "2026-09-02T21:00:00.000000Z"
    settings = json.dumps(
        {"concurrency": 9, "backoff": 15, "queued_limit": 60, "running_limit": 60}
    )
    with empty.begin() as tx:
        if tx.dialect.name == "sqlite":
            tx.exec_driver_sql("PRAGMA application_id = 1651666481")
        config.attributes["connection"] = tx
        command.upgrade(config, "0001")
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
        (batch,) = store.batches()
        assert batch.settings.policy == {}
        store.enlist(owner("bob"), NOW)
        rides = store.claim("bob", batch.id, 100, NOW)[0].attempts
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
