"""A lost database is rebuilt from the runs that the API has; nothing is paid for twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batchrunner import ExitReason, UsageError
from batchrunner import open as open_database
from batchrunner.model import JobState
from batchrunner.store.reports import batch_counts
from tests.e2e.programs import CANARY, Remote, batch_in, batchrunner, pages, served, write_jobs

FAULTS = ["http://faults.test/agent_failure", "http://faults.test/system_failure"]


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Remote]:
    with served(tmp_path, script={"http://faults.test/system_failure": "system_failure"}) as api:
        yield api


def lose(folder: Path) -> None:
    for path in folder.glob("batchrunner.db*"):
        path.unlink()


def settings(**values: Any) -> dict[str, Any]:
    return {"backoff": 0.1, "max_attempts": 2, **values}


@pytest.mark.sweep
def test_a_database_lost_half_way_is_rebuilt_and_the_batch_goes_on(
    tmp_path: Path, remote: Remote
) -> None:
    here: Any = {"cwd": tmp_path, "env": remote.env}
    part = write_jobs(tmp_path, [*pages(3), *FAULTS], **settings())
    first = batchrunner("run", part, "-q", **here)
    assert first.code == 1, first.err
    before = remote.created()
    assert before == 3 + 1 + 2  # the policy retries one of the faults once
    lose(tmp_path)
    jobs = write_jobs(tmp_path, [*pages(3), *FAULTS, *pages(6)[3:]], **settings())

    refused = batchrunner("run", jobs, "-q", **here)
    assert refused.code == 2
    assert f"batchrunner recover {jobs}" in refused.err
    assert "--anew" in refused.err
    assert remote.created() == before

    listed = batchrunner("recover", jobs, "--json", **here)
    (found,) = listed.json()["databases"]
    assert (listed.code, found["runs"], found["alive"]) == (0, before, 0)
    recovered = batchrunner("recover", jobs, "--database", found["database"], **here)
    assert recovered.code == 0, recovered.err
    assert f"{before} runs adopted" in recovered.err
    assert remote.created() == before

    ended = batchrunner("run", jobs, "-q", **here)
    assert ended.code == 1, ended.err
    assert remote.created() == before + 3
    with batch_in(tmp_path, "jobs") as (store, batch):
        counts = store.read(batch_counts, batch.id)
    assert (counts.jobs[JobState.SUCCEEDED], counts.jobs[JobState.FAILED]) == (6, 2)
    assert counts.steps == sum(run.steps for run in remote.runs())


@pytest.mark.sweep
def test_the_same_can_be_done_from_python(tmp_path: Path, remote: Remote) -> None:
    jobs = write_jobs(tmp_path, pages(2), **settings())
    batchrunner("run", jobs, "-q", cwd=tmp_path, env=remote.env)
    lose(tmp_path)
    place = tmp_path / "batchrunner.db"
    with open_database(place, api_key=CANARY, api_url=remote.url) as database:
        with pytest.raises(UsageError, match=r"that .* does not know"):
            database.load(jobs).run_all()
        found = database.recoverable_runs(jobs)
        assert [each.runs for each in found.databases] == [2]
        assert database.recover(jobs, found).adopted == 2
        assert database.batch().run_all().reason is ExitReason.FINISHED
    assert remote.created() == 2


@pytest.mark.sweep
def test_the_same_jobs_can_be_run_anew_on_purpose(tmp_path: Path, remote: Remote) -> None:
    jobs = write_jobs(tmp_path, pages(2), **settings())
    here: Any = {"cwd": tmp_path, "env": remote.env}
    batchrunner("run", jobs, "-q", **here)
    other = batchrunner("run", jobs, "-q", "--db", "other.db", **here)
    assert (other.code, remote.created()) == (2, 2)
    anew = batchrunner("run", jobs, "-q", "--db", "other.db", "--anew", **here)
    assert (anew.code, remote.created()) == (0, 4)
    again = batchrunner("run", jobs, "-q", "--db", "other.db", **here)
    assert (again.code, remote.created()) == (0, 4)


@pytest.mark.sweep
def test_without_a_terminal_nothing_changes_until_a_database_is_named(
    tmp_path: Path, remote: Remote
) -> None:
    jobs = write_jobs(tmp_path, [*pages(2), pages(1)[0]], **settings())
    here: Any = {"cwd": tmp_path, "env": remote.env}
    none = batchrunner("recover", jobs, **here)
    assert (none.code, "the API has no run" in none.err) == (0, True)
    batchrunner("run", jobs, "-q", **here)
    lose(tmp_path)
    listed = batchrunner("recover", jobs, **here)
    assert (listed.code, "nothing was changed" in listed.err) == (0, True)
    assert not (tmp_path / "batchrunner.db").exists()
    done = batchrunner("recover", jobs, "--yes", **here)
    assert done.code == 1  # two jobs are equal
    assert "2 jobs left out" in done.err
    assert "1 run adopted" in done.err


def test_only_the_database_is_gone_and_the_start_says_so_before_it_asks_the_api(
    tmp_path: Path, remote: Remote
) -> None:
    here: Any = {"cwd": tmp_path, "env": remote.env}
    jobs = write_jobs(tmp_path, pages(2))
    assert batchrunner("run", jobs, "-q", **here).code == 0
    (tmp_path / "batchrunner.db").unlink()
    refused = batchrunner("run", jobs, "-q", **here)
    assert refused.code == 3
    assert "batchrunner.db is gone" in refused.err
    assert "batchrunner recover jobs.yaml --db batchrunner.db" in refused.err
    assert not (tmp_path / "batchrunner.db").exists()
    listed = batchrunner("recover", jobs, "--yes", **here)
    assert listed.code == 0, listed.err
    assert "2 runs adopted" in listed.err
    assert batchrunner("run", jobs, "-q", **here).code == 0
    assert remote.created() == 2
