"""A search fetches runs whose goal the list cuts, whatever the clocks say."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

import anyio
import httpx
import pytest
from api_wire import FakeApi

from batchrunner.model import Job, Submission, SubmittedAttempt
from batchrunner.runner.run_search import search_runs
from tests.fakes import NOW

RIDE = SubmittedAttempt(
    attempt_id=7,
    batch_index=1,
    job=Job(id=1, key="a", attempt=1, failures=0),
    url="https://shop.test/",
    goal="Read the price",
    marker="[ref br-abc-1]",
)
SUBMISSION = Submission(id=1, marker_token="abc", intended_at=NOW, marked=True, attempts=(RIDE,))


def stamp(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def run(goal: str, created_at: datetime) -> dict[str, Any]:
    return {
        "run_id": "run-1",
        "status": "RUNNING",
        "goal": goal,
        "created_at": stamp(created_at),
        "started_at": stamp(created_at),
        "finished_at": None,
        "result": None,
        "error": None,
    }


def dated(body: Any, at: datetime) -> httpx.Response:
    date = {"Date": format_datetime(at, usegmt=True)}
    return httpx.Response(200, content=json.dumps(body), headers=date)


def search(age: timedelta, apart: timedelta) -> tuple[dict[int, str], int]:
    """Seek a run that a list shows cut, by an API whose clock is *apart*; count the requests."""
    theirs = NOW + apart
    page = {"total": 1, "next_cursor": None, "has_more": False}
    fake = FakeApi(
        dated({"data": [run("Read [...]", theirs - age)], "pagination": page}, theirs),
        dated(
            {"data": [run("Read the price\n\n[ref br-abc-1]", theirs - age)], "not_found": []},
            theirs,
        ),
    )

    async def ask() -> dict[int, str]:
        async with fake.api as api:
            return dict((await search_runs(api, SUBMISSION, NOW + timedelta(minutes=1))).runs)

    return anyio.run(ask), len(fake.requests)


@pytest.mark.parametrize("hours", [-30, -8, 0, 8, 30])
def test_a_run_with_a_cut_goal_is_fetched_however_far_the_apis_clock_is_off(hours: int) -> None:
    assert search(timedelta(seconds=50), timedelta(hours=hours)) == ({7: "run-1"}, 2)


@pytest.mark.parametrize("hours", [-30, 0, 30])
def test_a_run_that_is_older_than_the_submission_is_not_fetched(hours: int) -> None:
    assert search(timedelta(hours=5), timedelta(hours=hours)) == ({}, 1)
