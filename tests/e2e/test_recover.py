"""A lost database is rebuilt from the runs that the API has; nothing is paid for twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batchrunner.model import JobState
from batchrunner.store.reports import batch_counts
from tests.e2e.programs import Remote, batch_in, batchrunner, pages, served, write_jobs

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
