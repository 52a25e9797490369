"""Runs at the API from the command line: listed, shown, cancelled, adopted; none is started."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from batchrunner.store.health import consistency_errors
from tests.e2e.programs import (
    CANARY,
    Ended,
    Remote,
    batch_in,
    batchrunner,
    served,
    status_of,
    wait_until,
)


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """Give an API on which another program has started runs: three are over, one goes on."""
    folder = tmp_path_factory.mktemp("remote")
    with served(folder, script={"*blocked*": "blocked"}, durations=(0.1, 0.2)) as remote:
        yield remote


def started(remote: Remote, *paths: str, goal: str = "Read the page", **options: Any) -> list[str]:
    """Start runs as another program would, and return their ids."""
    runs = [{"url": f"http://shop.test{path}", "goal": goal, **options} for path in paths]
    answer = httpx.post(
        f"{remote.url}/v1/automation/run-batch", json={"runs": runs}, headers={"X-API-Key": CANARY}
    )
    run_ids: list[str] = answer.json()["run_ids"]
    return run_ids


def ended(remote: Remote, run_ids: list[str]) -> None:
    """Wait until runs are over."""

    def over() -> bool:
        body = {"run_ids": run_ids}
        answer = httpx.post(
            f"{remote.url}/v1/runs/batch", json=body, headers={"X-API-Key": CANARY}
        ).json()
        return all(run["finished_at"] for run in answer["data"])

    wait_until(over, "the runs end")


def asked(remote: Remote, *args: str, cwd: Path) -> Ended:
    return batchrunner(*args, cwd=cwd, env=remote.env)


def ids_in(listed: Ended) -> list[str]:
    return [json.loads(line)["run_id"] for line in listed.out.splitlines()]


# ---- list ----


def test_runs_are_listed_by_every_filter_there_is(remote: Remote, tmp_path: Path) -> None:
    run_ids = started(remote, "/products/1", "/products/2", "/products/3", goal="Find LinkedIn")
    other = started(remote, "/products/4", goal="Something else")
    ended(remote, [*run_ids, *other])
    by_goal = asked(remote, "runs", "list", "--goal", "linkedin", "--jsonl", cwd=tmp_path)
    assert set(ids_in(by_goal)) == set(run_ids)
    oldest = asked(
        remote, "runs", "list", "--goal", "linkedin", "--sort", "asc", "--jsonl", cwd=tmp_path
    )
    assert ids_in(oldest) == ids_in(by_goal)[::-1]
    for status, count in (("completed", 3), ("FAILED", 0)):
        found = asked(
            remote, "runs", "list", "--goal", "LINKEDIN", "--status", status, "--json", cwd=tmp_path
        )
        assert found.json()["pagination"]["total"] == count
    for option, time, count in (
        ("--created-after", "2099-01-01", 0),
        ("--created-after", "2020-01-01T00:00+01:00", 3),
        ("--created-before", "2099-01-01", 3),
    ):
        found = asked(
            remote, "runs", "list", "--goal", "linkedin", option, time, "--jsonl", cwd=tmp_path
        )
        assert len(ids_in(found)) == count


def test_pages_follow_one_another_and_are_reported(remote: Remote, tmp_path: Path) -> None:
    run_ids = started(remote, *[f"/products/{n}" for n in range(5)], goal="By pages")
    listing = ["runs", "list", "--goal", "by pages", "--sort", "asc"]
    first = asked(remote, *listing, "--limit", "2", cwd=tmp_path)
    assert len(first.out.splitlines()) == 2
    assert "2 runs of 5" in first.err
    cursor = first.err.split("--cursor ")[1].strip()
    second = asked(remote, *listing, "--limit", "2", "--cursor", cursor, "--jsonl", cwd=tmp_path)
    every = asked(remote, *listing, "--limit", "2", "--all", "--jsonl", cwd=tmp_path)
    assert ids_in(second) == ids_in(every)[2:4]
    assert sorted(ids_in(every)) == sorted(run_ids)
    assert asked(remote, *listing, "--limit", "101", cwd=tmp_path).code == 2
    assert asked(remote, *listing, "--limit", "0", cwd=tmp_path).code == 2


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--goal", "x" * 501], "--goal has 501 characters"),
        (["--goal", ""], "--goal has 0 characters"),
        (["--created-after", "yesterday"], "this is no date or time"),
        (["--status", "DONE"], "DONE"),
        (["--json", "--jsonl"], "not both"),
    ],
)
def test_what_the_api_would_refuse_is_said_before_it_is_asked(
    args: list[str], words: str, tmp_path: Path
) -> None:
    env = {"TINYFISH_API_KEY": CANARY, "TINYFISH_BASE_URL": "http://127.0.0.1:9"}
    refused = batchrunner("runs", "list", *args, cwd=tmp_path, env=env)
    assert (refused.code, refused.out) == (2, "")
    assert words in refused.err


# ---- show ----


def test_a_run_is_shown_whole(remote: Remote, tmp_path: Path) -> None:
    captured = {"screenshots": True, "html": True, "recording": True}
    (run_id,) = started(remote, "/products/1", capture_config=captured)
    ended(remote, [run_id])
    shown = asked(remote, "runs", "show", run_id, cwd=tmp_path)
    assert shown.code == 0
    for words in (f"run {run_id}  COMPLETED", "means", "took", "video", "result", "/screenshot"):
        assert words in shown.out
    assert "http://shop.test/products/1" in shown.out, "its first step says where it went"
    raw = asked(remote, "runs", "show", run_id, "--json", "--screenshots", "base64", cwd=tmp_path)
    assert raw.json()["steps"][0]["screenshot"].startswith("data:image/jpeg;base64,")
    bare = asked(
        remote, "runs", "show", run_id, "--screenshots", "none", "--html", "none", cwd=tmp_path
    )
    assert "/screenshot" not in bare.out
    assert "/html" not in bare.out


def test_a_run_that_the_api_does_not_know_is_wrong_usage(remote: Remote, tmp_path: Path) -> None:
    unknown = asked(remote, "runs", "show", "nobody", cwd=tmp_path)
    assert (unknown.code, unknown.out) == (2, "")
    assert "Run not found" in unknown.err
    assert "tip:" in unknown.err


def test_hostile_texts_of_a_run_are_only_shown(remote: Remote, tmp_path: Path) -> None:
    goal = "Read \x1b]0;owned\x07 the \u202eegap\nrun 1  COMPLETED"
    (run_id,) = started(remote, "/products/1", goal=goal)
    for args in (["runs", "show", run_id], ["runs", "list", "--limit", "1"]):
        out = asked(remote, *args, cwd=tmp_path).out
        assert "\x1b" not in out
        assert "\u202e" not in out
        assert not any(line.startswith("run 1  COMPLETED") for line in out.splitlines())


# ---- cancel ----


def test_runs_are_cancelled_and_looked_at(tmp_path: Path) -> None:
    with served(tmp_path, durations=(60, 60)) as remote:
        run_ids = started(remote, *[f"/products/{n}" for n in range(1, 4)])
        done = asked(remote, "runs", "cancel", *run_ids, cwd=tmp_path)
        assert done.code == 0
        assert done.out.splitlines() == [f"{run_id}  cancelled" for run_id in run_ids]
        again = asked(remote, "runs", "cancel", run_ids[0], "nobody", cwd=tmp_path)
        assert again.code == 1
        assert "nobody  not known to the API" in again.out
        assert {run.status for run in remote.runs()} == {"CANCELLED"}


def test_a_run_that_was_over_is_reported_as_it_ended(remote: Remote, tmp_path: Path) -> None:
    (run_id,) = started(remote, "/products/1")
    ended(remote, [run_id])
    done = asked(remote, "runs", "cancel", run_id, cwd=tmp_path)
    assert (done.code, done.out) == (0, f"{run_id}  was over before: COMPLETED\n")


# ---- adopt ----


def test_finished_runs_are_adopted_judged_and_exported_and_nothing_is_started(
    remote: Remote, tmp_path: Path
) -> None:
    good = started(remote, "/products/1", "/products/2", goal="To adopt")
    bad = started(remote, "/blocked", goal="To adopt")
    ended(remote, [*good, *bad])
    before = remote.created()
    adopting = ["runs", "adopt", "--batch", "rescued", "--goal", "to adopt"]
    adopted = asked(remote, *adopting, cwd=tmp_path)
    assert adopted.code == 0
    assert "3 runs adopted, 0 left alone" in adopted.err
    again = asked(remote, *adopting, cwd=tmp_path)
    assert "0 runs adopted, 3 left alone" in again.err
    lines = batchrunner("export", "rescued", cwd=tmp_path).out.splitlines()
    rows = {row["run_id"]: row for row in map(json.loads, lines)}
    assert {run_id: rows[run_id]["state"] for run_id in rows} == {
        **dict.fromkeys(good, "succeeded"),
        **dict.fromkeys(bad, "failed"),
    }
    assert rows[bad[0]]["category"] == "blocked"
    assert all(row["attempts"] == 1 and row["steps"] for row in rows.values())
    assert remote.created() == before
    assert "0 jobs" in batchrunner("retry", "rescued", cwd=tmp_path).err, "no url to try again"
    with batch_in(tmp_path, "rescued") as (store, _):
        assert store.read(consistency_errors) == {}


def test_to_adopt_nothing_makes_no_batch(remote: Remote, tmp_path: Path) -> None:
    none = asked(remote, "runs", "adopt", "--batch", "rescued", "--goal", "of no run", cwd=tmp_path)
    assert none.code == 0
    assert "nothing to adopt: no batch 'rescued' was made" in none.err
    unknown = asked(remote, "runs", "adopt", "--batch", "rescued", "nobody", cwd=tmp_path)
    assert unknown.code == 1
    assert "not known to the API: nobody" in unknown.err
    assert "no batches yet" in batchrunner("status", cwd=tmp_path).out


@pytest.mark.sweep
def test_runs_that_go_on_are_collected_later(tmp_path: Path) -> None:
    with served(tmp_path, durations=(15, 15)) as remote:
        run_ids = started(remote, "/products/1", "/products/2")
        adopted = asked(remote, "runs", "adopt", "--batch", "jobs", *run_ids, "x", cwd=tmp_path)
        assert adopted.code == 1
        assert "not known to the API: x" in adopted.err
        assert "2 runs not over" in adopted.err
        assert status_of(tmp_path)["jobs"]["running"] == 2
        (tmp_path / "jobs.yaml").write_text("- {url: http://shop.test/products/3, goal: Read it}")
        done = asked(remote, "run", "jobs.yaml", "-q", cwd=tmp_path)
        assert done.code == 0
        assert status_of(tmp_path)["jobs"]["succeeded"] == 3
        assert remote.created() == 3


@pytest.mark.sweep
def test_a_batchs_own_runs_are_never_adopted_into_another(tmp_path: Path) -> None:
    with served(tmp_path) as remote:
        (tmp_path / "jobs.yaml").write_text("- {url: http://shop.test/products/3, goal: Read it}")
        assert asked(remote, "run", "jobs.yaml", "-q", cwd=tmp_path).code == 0
        adopted = asked(remote, "runs", "adopt", "--batch", "b", "--goal", "read", cwd=tmp_path)
        assert "0 runs adopted, 1 left alone" in adopted.err


def test_adopting_needs_a_choice_and_a_name(tmp_path: Path) -> None:
    env = {"TINYFISH_API_KEY": CANARY, "TINYFISH_BASE_URL": "http://127.0.0.1:9"}
    for args in (["--batch", "b"], ["--batch", "b", "x", "--goal", "y"], ["x"]):
        assert batchrunner("runs", "adopt", *args, cwd=tmp_path, env=env).code == 2
    named = batchrunner("runs", "adopt", "--batch", "a/b", "x", cwd=tmp_path, env=env)
    assert (named.code, "is no name of a batch" in named.err) == (2, True)
