"""The account of a batch on the command line: what it cost, what for, and how much it may."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tests.e2e.programs import batchrunner, pages, served, status_of, write_jobs


@pytest.mark.sweep
def test_where_adds_up_to_the_apis_own_bill_and_to_a_hundred_percent(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, [*pages(3), "http://faults.test/agent_failure"], rate="$0.016")
    with served(tmp_path) as remote:
        batchrunner("run", jobs, "-o", "results.jsonl", cwd=tmp_path, env=remote.env)
        bill = sum((run.charge for run in remote.runs()), Decimal(0))
    found = batchrunner("where", "--json", cwd=tmp_path).json()
    assert Decimal(found["cost"]) == bill > 0
    assert sum(Decimal(use["cost"]) for use in found["uses"].values()) == bill
    assert set(found["uses"]) == {"succeeded", "agent_failure"}
    for parts in (found["uses"], found["stages"]):
        assert sum(Decimal(part["percent"]) for part in parts.values()) == 100
    spans = [stage["microseconds"] for stage in found["stages"].values()]
    assert sum(spans) == found["microseconds"]
    shown = batchrunner("where", cwd=tmp_path).out
    assert shown.startswith(f"jobs: 4 jobs, {found['steps']} steps, $")
    assert shown.count("100.0") == 2
    assert "good rows" in shown


def test_a_budget_is_set_raised_and_taken_off_from_another_terminal(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, pages(2), budget="5 steps")
    batchrunner("load", jobs, cwd=tmp_path)
    low = batchrunner("set", "--budget", "3 steps", cwd=tmp_path)
    assert (low.code, "5 steps → 3 steps" in low.err) == (0, True)
    assert "nothing is submitted until it covers more" in low.err
    assert status_of(tmp_path)["budget"]["limit"] == 3
    assert "`budget` stays 3 steps" in batchrunner("load", jobs, cwd=tmp_path).err
    off = batchrunner("set", "--budget", "none", "--concurrency", "3", cwd=tmp_path)
    assert "3 steps → none" in off.err
    assert status_of(tmp_path)["budget"] is None
    assert batchrunner("set", cwd=tmp_path).code == 2
    money = batchrunner("set", "--budget", "$5", cwd=tmp_path)
    assert (money.code, "nobody says what a step costs" in money.err) == (2, True)


@pytest.mark.sweep
def test_an_estimate_says_what_it_does_not_know_and_learns_from_what_was_run(
    tmp_path: Path,
) -> None:
    jobs = write_jobs(tmp_path, pages(6), rate="$0.016", budget="10 steps")
    blind = batchrunner("estimate", jobs, cwd=tmp_path)
    assert blind.code == 0
    assert "no range can be given" in blind.out
    assert "900 steps, $14.40" in blind.out, "each once, 150 steps each"
    assert "warning: the budget of 10 steps" in blind.out
    assert not (tmp_path / "batchrunner.db").exists(), "an estimate makes nothing"
    with served(tmp_path) as remote:
        batchrunner("run", jobs, "--budget", "none", cwd=tmp_path, env=remote.env)
        write_jobs(tmp_path, pages(46), rate="$0.016")
        shown = batchrunner("estimate", jobs, "--json", cwd=tmp_path, env=remote.env).json()
    assert (shown["jobs"], shown["done"], shown["past"]) == (40, 6, 6)
    low, high = shown["steps"]
    assert 0 < low <= high < shown["most_once"] == 40 * 150


@pytest.mark.sweep
def test_a_budget_that_is_too_small_says_what_is_enough_and_goes_on_with_that(
    tmp_path: Path,
) -> None:
    jobs = write_jobs(tmp_path, pages(3), budget="400 steps")
    assert "covers 2 runs at once" in batchrunner("estimate", jobs, cwd=tmp_path).out
    batchrunner("load", jobs, cwd=tmp_path)
    low = batchrunner("set", "--budget", "90 steps", cwd=tmp_path)
    assert "90 of 90 steps are left, too few for the next run, which may take 150" in low.err
    with served(tmp_path) as remote:
        spent = batchrunner("run", jobs, cwd=tmp_path, env=remote.env)
        assert (spent.code, "give at least 150 steps" in spent.err) == (5, True)
        assert f"go on with: batchrunner run {jobs} --budget '180 steps'" in spent.err
        enough = ("run", jobs, "--budget", "301 steps")
        ended = batchrunner(*enough, cwd=tmp_path, env=remote.env)
    assert (ended.code, "`budget` stays" in ended.err) == (0, False)
    assert "the budget covers 2 runs at once" in ended.err
