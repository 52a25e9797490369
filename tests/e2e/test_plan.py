"""`plan`: what would change, cost and take; nothing is changed, made or migrated."""

from __future__ import annotations

import gzip
import hashlib
import json
import shlex
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

import batchrunner as br
from batchrunner.app.api_access import SANDBOX
from batchrunner.app.clock import now
from batchrunner.store.attempts import apply_poll
from batchrunner.store.batch_reads import list_batches
from batchrunner.store.batches import bind_to_api
from batchrunner.store.leases import end_owner
from batchrunner.store.store import Store
from tests.e2e.programs import batchrunner
from tests.fakes import enlist, start, success
from tests.sweeps import some

FIXTURES = Path(__file__).parents[1] / "fixtures" / "databases"


def write(path: Path, jobs: int, *, goal: str = "Read the name", first: int = 0) -> Path:
    path.write_text(
        "settings: {concurrency: 5, rate: $0.01}\njobs:\n"
        + "".join(
            f"- {{id: j{at}, url: 'http://shop.test/{at}', goal: {goal}}}\n"
            for at in range(first, first + jobs)
        )
    )
    return path


def pay(path: Path, steps: int = 7) -> None:
    """Let the open jobs of a database succeed on the sandbox."""
    with closing(Store.open(str(path))) as store:
        time, owner_id = now(), uuid4().hex
        enlist(store, owner_id, now=time)
        for batch in store.read(list_batches):
            store.write(bind_to_api, batch.id, SANDBOX)
            while runs := start(store, batch, owner_id, time):
                later = time + timedelta(seconds=10)
                decisions = [success(each, steps=steps) for each in runs]
                apply_poll(store, owner_id, decisions, [], later)
        store.write(end_owner, owner_id, time)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def plan(cwd: Path, *args: str) -> dict[str, object]:
    ended = batchrunner("plan", *args, "--sandbox", "--json", cwd=cwd)
    assert ended.code == 0, ended.err
    found: dict[str, object] = json.loads(ended.out)
    return found


def test_without_a_database_the_worst_case_is_shown_and_nothing_is_made(tmp_path: Path) -> None:
    write(tmp_path / "jobs.yaml", 30)
    found = plan(tmp_path, "jobs.yaml")
    assert (found["new"], found["jobs"], found["steps"], found["most_once"]) == (30, 30, None, 4500)
    assert found["next"] == "batchrunner run jobs.yaml --sandbox --sample 20"
    said = batchrunner("plan", "jobs.yaml", "--sandbox", cwd=tmp_path).out
    assert "at most 4,500 steps ($45.00) if each job runs once" in said
    assert [path.name for path in tmp_path.iterdir()] == ["jobs.yaml"]


def test_a_plan_compares_the_file_and_changes_no_byte(tmp_path: Path) -> None:
    write(tmp_path / "jobs.yaml", 60)
    batchrunner("load", "jobs.yaml", "--sandbox", cwd=tmp_path)
    database = tmp_path / "batchrunner.sandbox.db"
    pay(database)
    before = digest(database), {path.name for path in tmp_path.iterdir()}
    write(tmp_path / "jobs.yaml", 70, first=8)
    found = plan(tmp_path, "jobs.yaml", "--until", "07:00")
    counts = [found[name] for name in ("new", "same", "changed", "withdrawn", "jobs")]
    assert counts == [18, 52, 0, 8, 18]
    assert found["steps"] == [18 * 7, 18 * 7], "all past jobs took 7 steps"
    assert found["cost"] == ["1.26", "1.26"]
    assert found["seconds"] == [40, 40], "18 jobs of 10 s, 5 at once"
    assert (digest(database), {path.name for path in tmp_path.iterdir()}) == before
    write(tmp_path / "jobs.yaml", 60, goal="Read the price")
    found = plan(tmp_path, "jobs.yaml")
    assert (found["changed"], found["changed_fields"]) == (60, {"goal": 60})
    assert found["decide"] == ["changed"]
    said = batchrunner("plan", "jobs.yaml", "--sandbox", cwd=tmp_path).out
    assert "cost: 420 steps, $4.20, 7.0 a job" in said
    assert "next: batchrunner run jobs.yaml --sandbox --rerun changed   # run them again" in said
    assert "next: batchrunner run jobs.yaml --sandbox --keep changed   # keep their results" in said
    assert plan(tmp_path, "jobs.yaml", "--rerun", "changed")["decide"] == []
    assert plan(tmp_path, "jobs.yaml", "--keep", "changed")["jobs"] == 0
    assert plan(tmp_path, "jobs.yaml", "--keep", "changed", "--rerun", "all")["jobs"] == 60
    assert (digest(database), {path.name for path in tmp_path.iterdir()}) == before


def test_the_next_command_can_be_pasted(tmp_path: Path) -> None:
    write(tmp_path / "my jobs.yaml", 3)
    found = plan(tmp_path, "my jobs.yaml", "--budget", "$1")
    _, *args = shlex.split(str(found["next"]))
    assert args == ["run", "my jobs.yaml", "--budget", "$1", "--sandbox"]
    assert found["covers"] == [0, 3]


def test_a_plan_names_where_the_jobs_were_run(tmp_path: Path) -> None:
    write(tmp_path / "jobs.yaml", 3)
    batchrunner("load", "jobs.yaml", "--sandbox", cwd=tmp_path)
    pay(tmp_path / "batchrunner.sandbox.db")
    (tmp_path / "jobs.yaml").rename(tmp_path / "renamed.yaml")
    found = plan(tmp_path, "renamed.yaml")
    assert [each["options"] for each in found["elsewhere"]] == [["--name", "jobs"]]  # type: ignore[attr-defined]
    assert found["next"] == "batchrunner run renamed.yaml --sandbox --name jobs"
    assert plan(tmp_path, "renamed.yaml", "--new-batch")["elsewhere"] == []


@pytest.mark.sweep
@pytest.mark.parametrize("name", some(("midway", "fresh", "finished"), quick=1))
def test_a_database_of_an_older_version_is_planned_on_and_not_migrated(
    tmp_path: Path, name: str
) -> None:
    database = tmp_path / "old.db"
    database.write_bytes(gzip.decompress((FIXTURES / f"{name}.db.gz").read_bytes()))
    write(tmp_path / "jobs.yaml", 3)
    before = digest(database)
    found = plan(tmp_path, "jobs.yaml", "--db", "old.db")
    assert found["new"] == 3
    assert digest(database) == before


def test_python_plans_what_it_would_load(tmp_path: Path) -> None:
    job_file = write(tmp_path / "jobs.yaml", 12)
    with br.open(tmp_path / "own.db") as db:
        first = db.plan(job_file)
        assert (first.is_new, first.comparison.new, first.outlook.forecast) == (True, 12, None)
        db.load(job_file)
        pay(tmp_path / "own.db")
        second = db.plan(job_file)
        assert (second.is_new, second.comparison.same, second.outlook.jobs) == (False, 12, 0)
        copied = write(tmp_path / "copied.yaml", 12)
        with pytest.raises(br.BatchElsewhere) as stopped:
            db.load(copied)
        assert stopped.value.options == ("--name", "jobs")
        assert db.load(copied, new_batch=True).name == "copied"
        rows = [{"url": "http://shop.test/1", "goal": "Read the name"}]
        assert db.load(rows=rows, name="rows").name == "rows", "rows are what a program means"
