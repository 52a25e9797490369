"""`batchrunner judge`: stored results are judged again, and nothing is paid for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from batchrunner.model import AttemptDecision, Failed, FailureCategory, Finish, JobState
from batchrunner.store.attempts import apply_poll
from batchrunner.store.health import consistency_errors
from batchrunner.store.store import Store
from tests.e2e.programs import batchrunner, status_of
from tests.fakes import NOW, begin, run, spec, start

CHEAP = "fields:\n  price: {minimum: 5}\n"
BLOCKED = Failed(category=FailureCategory.BLOCKED, message="A captcha")
Outcome = tuple[Any, Failed | None]


def database_of(folder: Path, outcomes: Sequence[Outcome]) -> None:
    """Write a batch whose runs ended so into a database."""
    with closing(Store.open(str(folder / "batchrunner.db"))) as store:
        specs = [spec(f"job-{number}") for number, _ in enumerate(outcomes, 1)]
        batch = begin(store, specs, concurrency=100)
        decisions = [
            AttemptDecision(
                attempt=attempt,
                transition=Finish(
                    state=JobState.FAILED if failure else JobState.SUCCEEDED, failure=failure
                ),
                run=run(attempt.run_id, result=json.dumps(result)),
            )
            for attempt, (result, failure) in zip(start(store, batch), outcomes, strict=True)
        ]
        apply_poll(store, "alice", decisions, [], NOW)


GOOD = {"name": "Lamp", "price": 9}
OUTCOMES: list[Outcome] = [
    (GOOD, None),
    ({"name": "Vase", "price": 2}, None),
    ({"title": "Just a moment...", "price": None}, None),
    ({"name": "Rug", "price": 7}, BLOCKED),
    ({"status": "failure", "reason": "Not there"}, BLOCKED),
]


def test_a_dry_run_says_what_would_change_and_why_and_changes_nothing(tmp_path: Path) -> None:
    database_of(tmp_path, OUTCOMES)
    (tmp_path / "expect.yaml").write_text(CHEAP)
    before = status_of(tmp_path, "prices")
    done = batchrunner("judge", "prices", "--expect", "expect.yaml", cwd=tmp_path)
    assert done.code == 0
    assert "succeeded → failed (invalid_result) (1)\n  job-2" in done.out
    assert "price: 2, not at least 5 [expect]" in done.out
    assert 'title: "Just a moment..." [bot_wall]' in done.out
    assert "failed (blocked) → succeeded (1)\n  job-4" in done.out
    assert "failed (blocked) → failed (goal_failure) (1)\n  job-5" in done.out
    assert done.out.endswith(
        "5 results of 'prices' judged (2 good, 3 bad): 4 jobs would change; to change: --apply\n"
    )
    assert status_of(tmp_path, "prices") == before


def test_what_is_applied_can_be_retried_by_category(tmp_path: Path) -> None:
    database_of(tmp_path, OUTCOMES)
    (tmp_path / "expect.yaml").write_text(CHEAP)
    judge = ("judge", "prices", "--expect", "expect.yaml", "--apply")
    applied = batchrunner(*judge, "--json", cwd=tmp_path).json()
    assert (applied["judged"], applied["applied"]) == (5, 4)
    cheap = next(change for change in applied["changes"] if change["id"] == "job-2")
    assert (cheap["from"], cheap["to"]) == (None, "invalid_result")
    assert cheap["evidence"] == [
        {"rule": "expect", "path": "price", "seen": "2", "wanted": "at least 5"}
    ]
    stands = status_of(tmp_path, "prices")
    assert stands["failed"] == {"blocked": 1, "goal_failure": 1, "invalid_result": 1}
    assert stands["jobs"]["succeeded"] == 2
    assert "4 jobs changed" not in batchrunner(*judge, cwd=tmp_path).out, "it was done already"
    retried = batchrunner("retry", "prices", "--category", "invalid_result", cwd=tmp_path)
    assert retried.err.startswith("1 job ")
    with closing(Store.open(str(tmp_path / "batchrunner.db"))) as store:
        assert store.read(consistency_errors) == {}


def test_each_job_is_judged_by_what_a_job_file_expects_of_it(tmp_path: Path) -> None:
    database_of(tmp_path, [(GOOD, None), (GOOD, None)])
    (tmp_path / "jobs.yaml").write_text(
        "- {id: job-1, url: 'https://shop.example/job-1', goal: Get the price,"
        " expect: {required: [stock]}}\n"
    )
    done = batchrunner("judge", "prices", "-f", "jobs.yaml", "--json", cwd=tmp_path)
    assert [change["id"] for change in done.json()["changes"]] == ["job-1"]


def test_what_differs_from_its_peers_is_flagged_and_fails_only_if_that_is_asked_for(
    tmp_path: Path,
) -> None:
    copies: list[Outcome] = [({"name": "Welcome to our shop"}, None)] * 4
    own: list[Outcome] = [({"name": f"Lamp number {number}"}, None) for number in range(6)]
    database_of(tmp_path, copies + own)
    said = batchrunner("judge", "--apply", cwd=tmp_path).out
    assert "succeeded → suspect (4)" in said
    assert 'name: "Welcome to our shop" from 4 urls [copied]' in said
    stands = status_of(tmp_path, "prices")
    assert (stands["failed"], stands["suspect"]) == ({}, {"copied": 4})
    assert batchrunner("judge", "--json", cwd=tmp_path).json()["changes"] == []
    batchrunner("judge", "--apply", "--suspects", cwd=tmp_path)
    assert status_of(tmp_path, "prices")["failed"] == {"invalid_result": 4}
    again = batchrunner("judge", "--apply", "--json", cwd=tmp_path).json()
    assert (again["changes"], again["suspects"]) == ([], [])


def test_rules_that_are_wrong_are_reported_with_their_line_and_judge_nothing(
    tmp_path: Path,
) -> None:
    database_of(tmp_path, OUTCOMES)
    (tmp_path / "expect.yaml").write_text("required: [a..b]\n")
    done = batchrunner("judge", "--expect", "expect.yaml", "--apply", cwd=tmp_path)
    assert done.code == 2
    assert "expect.yaml:1:12" in done.err
    both = batchrunner("judge", "--expect", "expect.yaml", "-f", "expect.yaml", cwd=tmp_path)
    assert both.code == 2
    assert status_of(tmp_path, "prices")["failed"] == {"blocked": 2}
