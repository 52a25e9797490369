"""The two example batches do what their first lines say."""

from __future__ import annotations

import csv
import json
import stat

import pytest

from batchrunner.sandbox import SandboxConfig
from tests.e2e.conftest import Ran
from tests.e2e.programs import batchrunner, check_books, runs_of, status_of

#: What `--sandbox` plays.
WORLD = SandboxConfig(durations=(1.0, 4.0), retry_after=1.0)

FAILED = {
    "agent_failure": {"agent_failure"},
    "blocked": {"login", "blocked"},
    "goal_failure": {"goal_failure", "missing_page"},
    "invalid_result": {"invalid_result"},
    "rejected": {"rejected", "rejected_unnamed"},
    "system_failure": {"system_failure"},
    "timed_out": {"timed_out"},
    "unanswered": {"unanswered"},
    "unauthorized": {"unauthorized"},
    "unknown": {"unknown"},
}


def test_the_example_succeeds_with_real_values(example: Ran) -> None:
    ended = example.ended
    assert ended.code == 0, ended.err
    *_, done, audited = ended.err.splitlines()
    assert done.startswith("example: 12/12 done: 12 succeeded")
    assert audited.startswith("audited: no difference (")
    with (example.folder / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["state"] for row in rows] == ["succeeded"] * 12
    lamp = rows[0]
    assert (lamp["result.name"], float(lamp["result.price"])) == ("Aurora Desk Lamp", 49.0)
    lines = (example.folder / "results.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == [row["id"] for row in rows]
    check_books(
        example.folder,
        12,
        runs_of(example.folder / "batchrunner.sandbox.jsonl", WORLD),
        "example",
    )


def test_the_example_shows_what_was_tried_again_and_why(example: Ran) -> None:
    retried = status_of(example.folder, "example")["retries"]
    assert all(entry["job_state"] == "succeeded" for entry in retried)
    assert {entry["id"] for entry in retried} >= {"broken-browser", "broken-twice", "busy"}
    said = batchrunner("status", "example", cwd=example.folder).out
    assert "Browser crashed during execution" in said
    assert "Rate limit exceeded" in said


def test_what_the_program_writes_is_for_its_owner_only(example: Ran) -> None:
    written = {path.name: path for path in example.folder.iterdir()} | {}
    del written["jobs.example.yaml"]
    modes = {name: stat.S_IMODE(path.stat().st_mode) for name, path in written.items()}
    assert {"batchrunner.sandbox.db", "results.csv", "batchrunner.sandbox.jsonl"} <= set(modes)
    assert modes == dict.fromkeys(modes, 0o600)


@pytest.mark.sweep
def test_the_failures_are_explained_one_by_one(failures: Ran) -> None:
    ended = failures.ended
    assert ended.code == 1, ended.err
    found = status_of(failures.folder, "failures")
    assert found["failed"] == {category: len(ids) for category, ids in FAILED.items()}
    assert found["jobs"] == {
        "available": 0,
        "running": 0,
        "succeeded": 3,
        "failed": 13,
        "cancelled": 1,
    }
    shown: dict[str, set[str]] = {}
    for entry in found["failures"]:
        assert entry["message"], entry
        shown.setdefault(entry["category"], set()).add(entry["id"])
    assert shown == {**FAILED, "run_cancelled": {"run_cancelled"}}
    said = batchrunner("status", "failures", cwd=failures.folder).out
    assert all(entry["message"] in said for entry in found["failures"])
    assert all(f"{category} (" in said for category in FAILED)
