"""A batch behind PgBouncer in transaction mode, which gives each transaction another session."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, create_engine

from batchrunner.cli.commands.doctor import command
from batchrunner.store.database import StoreError
from batchrunner.store.store import Store
from benchmarks import chaos, pooler
from benchmarks.pooler import Pooler, PoolerPlan, run_behind_pooler
from tests.fakes import begin, start

pytestmark = [
    pytest.mark.sweep,
    pytest.mark.skipif(pooler.program() is None, reason="PgBouncer is not installed"),
    pytest.mark.skipif(
        find_spec("pgserver") is None or find_spec("psycopg") is None,
        reason="pgserver or psycopg is not installed",
    ),
]


@contextmanager
def open_folder() -> Iterator[Path]:
    """Give a folder that the server and PgBouncer may enter, as users of their own."""
    with tempfile.TemporaryDirectory(prefix="batchrunner-pooler-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def behind() -> Iterator[Pooler]:
    """Give a PgBouncer in transaction mode before an empty database."""
    with (
        open_folder() as folder,
        chaos.postgresql(folder) as server,
        pooler.pgbouncer(server.address, folder) as running,
    ):
        yield running


def test_runners_survive_kills_and_a_restart_and_have_few_connections() -> None:
    plan = PoolerPlan(
        jobs=60, runners=3, kills=2, every=6, restarts=1, concurrency=20, seed=1, restart=True
    )
    with open_folder() as folder:
        figures = run_behind_pooler(plan, folder)
    assert (figures.summary.lost, figures.summary.paid_twice) == (0, 0)
    assert (figures.summary.kills, figures.summary.restarts) == (2, 1)
    assert 0 < figures.most_clients <= 2 * plan.runners
    # Each runner polls, renews its lease and counts, also while it waits for the others.
    assert figures.per_job < 40


def test_doctor_names_the_pooler_and_not_the_server(behind: Pooler) -> None:
    with closing(Store.open(behind.address)) as store:
        start(store, begin(store, 3, concurrency=2))
    ended = CliRunner().invoke(command, ["--db", behind.address, "--json"])
    found = {each["check"]: each for each in json.loads(ended.stdout)["checks"]}
    assert found["pooler"]["found"].startswith("a pooler stands in front of the server")
    assert found["pooler"]["mark"] == "ok"


def use_from_four_processes(address: str) -> None:
    """Let statements come again and again, each time from another client of the pooler."""
    stores = [Store.open(address) for _ in range(4)]
    try:
        for _ in range(20):  # psycopg prepares a statement by default when it comes again
            for store in stores:
                begin(store, 3)
    finally:
        for store in stores:
            store.close()


def test_sessions_that_change_with_each_transaction_do_not_matter(behind: Pooler) -> None:
    use_from_four_processes(behind.address)


def test_a_planted_bug_fails_at_the_first_session_that_has_changed(
    behind: Pooler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let the driver prepare statements, as it does by default."""

    def preparing(*args: Any, connect_args: object, **more: Any) -> Engine:
        return create_engine(*args, **more)

    monkeypatch.setattr("batchrunner.store.database.create_engine", preparing)
    with pytest.raises(StoreError, match="prepared statement"):
        use_from_four_processes(behind.address)
