"""A batch is compared with the API's own list, at its end and whenever a user asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from batchrunner import open as open_database
from batchrunner.model.audit import DifferenceKind, Taken
from tests.e2e.programs import CANARY, Remote, batchrunner, pages, served, write_jobs

TWICE = "http://faults.test/replayed/1"


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Remote]:
    with served(tmp_path) as api:
        yield api


def create(remote: Remote, text: str) -> str:
    """Create a run beside the batch; return its id."""
    body = {"runs": [{"url": "http://shop.test/products/9", "goal": f"Read it\n\n{text}"}]}
    answer = httpx.post(
        f"{remote.url}/v1/automation/run-batch", json=body, headers={"X-API-Key": CANARY}
    )
    (run_id,) = answer.json()["run_ids"]
    return str(run_id)


def test_a_user_checks_a_batch_against_the_apis_own_records(tmp_path: Path, remote: Remote) -> None:
    here: Any = {"cwd": tmp_path, "env": remote.env}
    jobs = write_jobs(tmp_path, [*pages(3), TWICE], rate="$0.016")
    ran = batchrunner("run", jobs, "--json", "-q", **here)
    assert ran.code == 0, ran.err
    assert "audited: " in ran.err
    assert ran.json()["audit"]["ours"]["runs"] == remote.created() == 8  # all were sent twice
    assert ran.json()["orphans"] == 4

    agreed = batchrunner("audit", **here)
    assert (agreed.code, agreed.err) == (0, "")
    assert "no difference" in agreed.out
    assert "at $0.016 a step" in agreed.out

    with open_database(tmp_path / "batchrunner.db", api_url=remote.url, api_key=CANARY) as db:
        (batch,) = db.batches()
        marker = batch._store.read(_a_marker)
        twin = create(remote, marker)
        (unknown,) = batch.audit().differences
        assert (unknown.run_id, unknown.kind) == (twin, DifferenceKind.UNKNOWN)
        assert unknown.taken is Taken.ORPHAN
        assert batch.audit().agrees

    head, name, _, place, job = marker.split("-")
    foreign = create(remote, f"{head}-{name}-zzzzzzzzz-{place}-{job}")
    found = batchrunner("audit", "--json", **here)
    assert found.code == 1
    assert [(each["kind"], each["run_id"]) for each in found.json()["differences"]] == [
        ("foreign", foreign)
    ]
    more = write_jobs(tmp_path, [*pages(4), TWICE], rate="$0.016")
    stopped = batchrunner("run", more, "-q", **here)
    assert stopped.code == 3
    for part in (foreign, "copied", "backup", "colleague", f"batchrunner recover {more}"):
        assert part in stopped.err
    assert "go on with" not in stopped.err
    assert remote.created() == 10, "a job was run beside another database"


def _a_marker(tx: Any) -> str:
    return str(tx.exec_driver_sql("SELECT marker FROM attempts").scalar())
