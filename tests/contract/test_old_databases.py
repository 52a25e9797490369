"""Databases that an older version made: they open, keep every row, export the same and go on."""

from __future__ import annotations

import csv
import gzip
import json
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, TypeVar

import anyio
import pytest
from click.testing import CliRunner
from sqlalchemy import Connection, create_engine, inspect, make_url, text
from sqlalchemy.pool import NullPool

from batchrunner.cli.commands.doctor import command as doctor
from batchrunner.cli.commands.status import command as status
from batchrunner.model import JobState, Owner
from batchrunner.outputs import FORMATS, ExportTable
from batchrunner.runner.runner import ExitReason, Runner
from batchrunner.sandbox import Journal, Sandbox, SandboxConfig, SandboxRun
from batchrunner.selftest.invariants import check_end
from batchrunner.store.batch_reads import list_batches
from batchrunner.store.health import consistency_errors, foreign_changes, integrity_errors
from batchrunner.store.reports import batch_counts, finished_jobs
from batchrunner.store.store import Store
from batchrunner.tinyfish.client import TinyFishClient
from tests.simulator.simulated_batch import simulate

#: The tables as they were called when the databases were made → as they are called today.
TABLES = {
    "artifacts": "artifacts",
    "attempts": "attempts",
    "batches": "batches",
    "halts": "holds",
    "hosts": "host_escalations",
    "jobs": "jobs",
    "orphans": "orphans",
    "owners": "owners",
    "parking": "host_breakers",
    "results": "results",
    "submissions": "submissions",
}
FOLDER = Path(__file__).parents[1] / "fixtures" / "databases"
#: Formats of which the folders have files.
COMPARED = ("csv", "excel", "jsonl")
#: Columns that the version of then did not have.
VERDICTS = ("verdict", "verdict_rule", "verdict_path", "verdict_seen")
#: How the sandbox was started that the database in mid-batch was made with; runs that were listed
#: late are listed at once by now.
WORLD = SandboxConfig(
    seed=7,
    durations=(20, 90),
    retry_after=1.0,
    script={"http://news.test/*": "artifact_dripping"},
)

T = TypeVar("T")


def unpacked(name: str) -> bytes:
    return gzip.decompress((FOLDER / f"{name}.gz").read_bytes())


def restore(name: str, address: str) -> str:
    """Put an old database where *address* says; return the address."""
    if "://" not in address:
        path = Path(address)
        path.touch(mode=0o600)
        path.write_bytes(unpacked(f"{name}.db"))
        return address
    import psycopg

    with psycopg.connect(address) as server:
        server.execute(unpacked(f"{name}.sql"))
    return address


def connection(address: str) -> Any:
    """Return another program's connection, with nothing of ours around it."""
    url = make_url(address if "://" in address else f"sqlite:///{address}")
    if url.get_backend_name() == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    return create_engine(url, poolclass=NullPool).connect()


def sizes(tx: Connection, tables: Collection[str]) -> dict[str, int]:
    return {
        table: tx.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() for table in tables
    }


@pytest.fixture(params=["fresh", "midway", "finished"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def old(name: str, address: str) -> str:
    return restore(name, address)


@pytest.fixture
def opened(old: str) -> Iterator[Store]:
    with closing(Store.open(old)) as store:
        yield store


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [v for v in os.environ if v.startswith(("TINYFISH_", "BATCHRUNNER_DB"))]:
        monkeypatch.delenv(variable)


# ---- what is kept ----


def test_an_old_database_keeps_every_row(old: str) -> None:
    with connection(old) as tx:
        before = sizes(tx, TABLES)
        assert set(inspect(tx).get_table_names()) == {*TABLES, "alembic_version"}
        results = tx.execute(text("SELECT attempt_id, body FROM results ORDER BY 1")).all()
    Store.open(old).close()
    with connection(old) as tx:
        assert sizes(tx, TABLES.values()) == {TABLES[table]: n for table, n in before.items()}
        assert tx.execute(text("SELECT attempt_id, body FROM results ORDER BY 1")).all() == results


def test_the_finished_database_has_rows_in_every_table(address: str) -> None:
    """Without them, the other claims would show nothing."""
    with connection(restore("finished", address)) as tx:
        assert min(sizes(tx, TABLES).values()) > 0


def test_an_old_database_gives_the_same_exports(name: str, opened: Store) -> None:
    batches = opened.read(list_batches)
    expected = {path.name for path in (FOLDER / f"{name}.expected").iterdir()} - {"status.json"}
    assert expected == {f"{batch.name}.{format}" for batch in batches for format in COMPARED}
    for batch in batches:
        for format in COMPARED:
            written = BytesIO()
            table = ExportTable(jobs=lambda id=batch.id: finished_jobs(opened, id))  # type: ignore[misc]
            FORMATS[format].write(table, written)
            wanted = (FOLDER / f"{name}.expected" / f"{batch.name}.{format}").read_bytes()
            found = without_verdicts(written.getvalue(), format)
            assert found == (wanted if format == "jsonl" else rows_in(wanted)), batch.name


def without_verdicts(exported: bytes, format: str) -> object:
    """Take out the columns of verdicts, which are empty: no judge of today has seen the results."""
    if format == "jsonl":
        return exported.replace(b"".join(b',"%s":null' % name.encode() for name in VERDICTS), b"")
    header, *rows = rows_in(exported)
    first = header.index(VERDICTS[0])
    last = first + len(VERDICTS)
    assert header[first:last] == [*VERDICTS]
    assert all(row[first:last] == [""] * len(VERDICTS) for row in rows)
    return [row[:first] + row[last:] for row in (header, *rows)]


def rows_in(exported: bytes) -> list[list[str]]:
    return list(csv.reader(StringIO(exported.decode("utf-8-sig"), newline="")))


def test_an_old_database_has_the_same_status(name: str, old: str) -> None:
    expected = json.loads((FOLDER / f"{name}.expected" / "status.json").read_text())
    shown = CliRunner().invoke(status, ["--db", old, "--json"], catch_exceptions=False)
    found = json.loads(shown.stdout)
    # There may be keys that the version of then did not have.
    assert known_of(found, expected) == expected


def known_of(found: Any, expected: Any) -> Any:
    """Return what is found, with only the keys that are expected."""
    if isinstance(found, dict) and isinstance(expected, dict):
        return {key: known_of(found[key], value) for key, value in expected.items()}
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        return [known_of(one, other) for one, other in zip(found, expected, strict=True)]
    return found


def test_an_old_database_is_sound(opened: Store) -> None:
    assert opened.read(consistency_errors) == {}
    assert opened.read(integrity_errors, thorough=True) == []
    tampering = opened.read(foreign_changes, thorough=True)
    assert (tampering.unlike, tampering.garbled, tampering.odd_results) == ((), (), ())


def test_the_doctor_finds_nothing_bad_in_an_old_database(name: str, old: str) -> None:
    Store.open(old).close()
    ended = CliRunner().invoke(doctor, ["--db", old, "--json"], catch_exceptions=False)
    assert ended.exit_code == 0, ended.output
    marks = {check["check"]: check["mark"] for check in json.loads(ended.stdout)["checks"]}
    assert (marks["schema"], marks["books"]) == ("ok", "ok")
    assert marks.get("dead_workers") == ("warning" if name == "midway" else None)


# ---- going on ----


class Resumed:
    """A new runner on the database in mid-batch, as soon as the old one was killed."""

    def __init__(self, store: Store, journal: Journal, killed_at: datetime) -> None:
        self.store, self.journal, self.killed_at = store, journal, killed_at
        (self.batch,) = store.read(list_batches)

    def now(self) -> datetime:
        return self.killed_at + timedelta(seconds=anyio.current_time())

    async def run(self) -> ExitReason:
        sandbox = Sandbox.in_process(WORLD, self.now, journal=self.journal)
        me = Owner(id="resumed", machine="here", pid=1, process_started_at="x")
        async with TinyFishClient("http://127.0.0.1", "key", transport=sandbox.transport()) as api:
            runner = Runner(
                store=self.store,
                api=api,
                batch=self.batch,
                owner=me,
                now=self.now,
                monotonic=anyio.current_time,
                offload=at_once,
                exited_owners=lambda owners: [owner.id for owner in owners],
            )
            ending = await runner.run()
        await sandbox.settle()
        return ending


async def at_once(call: Callable[[], T], /) -> T:
    return call()


def stop_clock(address: str, at: datetime) -> None:
    """Let a server's clock show the time at which the old runner was killed."""
    if "://" not in address:
        return
    with connection(address) as tx:
        body = f"SELECT TIMESTAMPTZ '{at.isoformat()}'"
        tx.execute(
            text(
                "CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz"
                f" LANGUAGE sql AS $$ {body} $$"
            )
        )
        database = make_url(address).database
        tx.execute(text(f"ALTER DATABASE {database} SET search_path = public, pg_catalog"))
        tx.commit()


def test_a_batch_that_an_old_runner_left_comes_to_its_end(address: str, tmp_path: Path) -> None:
    restore("midway", address)
    killed_at = datetime.fromisoformat(
        json.loads((FOLDER / "midway.facts.json").read_text())["killed_at"]
    ).astimezone(UTC)
    stop_clock(address, killed_at)
    journal = tmp_path / "midway.sandbox.jsonl"
    journal.write_bytes(unpacked("midway.sandbox.jsonl"))
    with closing(Store.open(address)) as store, closing(Journal(journal)) as sandbox:
        resumed = Resumed(store, sandbox, killed_at)
        assert lives_before(address) == {"running": 10, "unanswered": 2, "orphans": 1}
        assert simulate(resumed.run) is ExitReason.FINISHED
        check_end(
            store,
            resumed.batch.id,
            store.read(batch_counts, resumed.batch.id).total,
            sandbox.runs,
        )
        check_runs(address, store, resumed, sandbox.runs)


def lives_before(address: str) -> dict[str, int]:
    """Count what the old runner left behind."""
    queries = {
        "running": "SELECT count(*) FROM jobs WHERE state = 'running'",
        "unanswered": "SELECT count(*) FROM submissions WHERE state = 'unanswered'",
        "orphans": f"SELECT count(*) FROM {TABLES['orphans']} WHERE ended_at IS NULL",
    }
    with connection(address) as tx:
        return {what: tx.execute(text(query)).scalar_one() for what, query in queries.items()}


def check_runs(address: str, store: Store, resumed: Resumed, runs: Sequence[SandboxRun]) -> None:
    """Check that each job has the runs that it needs and no other, but for the old orphan."""
    with connection(address) as tx:
        orphans = set(tx.execute(text(f"SELECT run_id FROM {TABLES['orphans']}")).scalars())
    assert len(orphans) == 1
    jobs = [
        job for job in finished_jobs(store, resumed.batch.id) if job.state is not JobState.CANCELLED
    ]
    # The first run of these fails; all others bring their job to its end.
    needed = {job.url: 2 if "system_failure/1" in job.url else 1 for job in jobs}
    assert Counter(run.url for run in runs if run.run_id not in orphans) == needed
    assert len(runs) == sum(needed.values()) + len(orphans)
    states = Counter(job.state for job in jobs)
    failing = sum("agent_failure" in job.url for job in jobs)
    assert states == {JobState.SUCCEEDED: 58 - failing, JobState.FAILED: failing}
