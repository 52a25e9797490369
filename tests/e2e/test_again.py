"""The same command again: it goes on, and what is done is done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.programs import batchrunner, check_books, pages, served, status_of, write_jobs


@pytest.mark.sweep
def test_a_finished_batch_is_exported_again_and_costs_nothing(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, pages(3))
    with served(tmp_path) as remote:
        here: Any = {"cwd": tmp_path, "env": remote.env}
        batchrunner("run", jobs, "-o", "results.csv", **here)
        before = (tmp_path / "results.csv").read_text()
        (tmp_path / "results.csv").unlink()
        again = batchrunner("run", jobs, "-o", "results.csv", **here)
        assert again.code == 0
        assert "is finished: nothing to run" in again.err
        assert (tmp_path / "results.csv").read_text() == before
        assert remote.created() == 3
        write_jobs(tmp_path, pages(4))
        added = batchrunner("run", jobs, "-o", "results.csv", **here)
        runs = remote.runs()
    assert "1 jobs added, 3 known" in added.err or "1 job added, 3 known" in added.err
    assert (added.code, len(runs)) == (0, 4)
    check_books(tmp_path, 4, runs)


def test_loading_twice_adds_nothing(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, pages(3))
    batchrunner("load", jobs, cwd=tmp_path)
    again = batchrunner("load", jobs, "--json", cwd=tmp_path)
    assert "0 jobs added, 3 known" in again.err
    assert again.json() == status_of(tmp_path)
    assert again.json()["jobs"]["available"] == 3


def test_a_job_that_changed_under_its_id_runs_in_its_new_form(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, pages(2))
    batchrunner("load", jobs, cwd=tmp_path)
    file = json.loads(jobs.read_text())
    file["jobs"][1]["url"] = "http://shop.test/products/9"
    jobs.write_text(json.dumps(file))
    again = batchrunner("load", jobs, cwd=tmp_path)
    assert again.code == 0
    assert "1 changed (url): they run in their new form" in again.err


@pytest.mark.sweep
def test_json_of_a_run_stands_alone_on_standard_output(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, [*pages(2), "http://faults.test/agent_failure"])
    with served(tmp_path) as remote:
        ended = batchrunner("run", jobs, "--json", cwd=tmp_path, env=remote.env)
    assert ended.code == 1
    assert ended.json()["ending"] == "finished"
    assert ended.json()["failed"] == {"agent_failure": 1}
    assert "started" in ended.err
