"""Editions compared in the database: sorted joins, verdicts, long results, both databases."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from weakref import WeakSet

import pytest
from sqlalchemy import update

import batchrunner as br
from batchrunner.app.batch_handle import BatchHandle
from batchrunner.app.database_address import DatabaseAddress
from batchrunner.app.result_sets import _sorted
from batchrunner.app.series_handle import SeriesHandle
from batchrunner.differences import JobDiff, JobStatus
from batchrunner.differences.changes import ComparedResult
from batchrunner.errors import CannotContinue, UsageError
from batchrunner.model import Batch, FailureCategory
from batchrunner.store.attempts import apply_poll
from batchrunner.store.batches import load_jobs
from batchrunner.store.compared_results import sorted_job_ids
from batchrunner.store.editions import prune_chunk
from batchrunner.store.schema import attempts
from batchrunner.store.store import Store
from tests.fakes import NOW, after, enlist, failure, job_file, spec, start, success

#: Keys that databases sort in several ways, unless they are told to sort by code points.
ODD_KEYS = [
    "a",
    "B",
    "_",
    "é",
    "e",
    "Z",
    "10",
    "9",
    "-1",
    "ä b",
    "a-b",
    "ab",
    "\U0001f600",
    "\uffee",
]


def edition(
    store: Store, day: int, results: Mapping[str, Any], *, goal: str = "Get the price"
) -> Batch:
    """Load an edition and end its jobs: with a result, failed for None, left open for `...`."""
    enlist(store, "alice")
    name = f"2026-12-{day:02}"
    specs = [spec(key, goal=goal, columns={"sku": f"s-{key}"}) for key in results]
    file = replace(
        job_file(specs, concurrency=100), name=f"prices@{name}", series="prices", edition=name
    )
    batch = store.write(load_jobs, file, NOW).batch
    decisions = []
    for attempt, result in zip(start(store, batch), results.values(), strict=True):
        if result is None:
            decisions.append(failure(attempt, FailureCategory.BLOCKED))
        elif result is not ...:
            decisions.append(success(attempt, json.dumps(result)))
    apply_poll(store, "alice", decisions, [], after(60))
    return batch


def handle(store: Store, batch: Batch, address: str) -> BatchHandle:
    return BatchHandle(store, batch, DatabaseAddress(address=address))


def series(store: Store, address: str) -> SeriesHandle:
    return SeriesHandle(store, "prices", DatabaseAddress(address=address))


def told(jobs: Any) -> dict[str, str]:
    return {job.job.id: job.status.value for job in jobs}


def test_the_last_two_editions_are_compared_job_by_job(store: Store, address: str) -> None:
    edition(store, 1, {"x": {"p": 0}})
    edition(store, 2, {"a": {"p": 1}, "b": {"p": 1}, "c": {"p": 1}, "d": None, "e": None, "o": {}})
    edition(store, 3, {"a": {"p": 1}, "b": {"p": 2}, "c": None, "d": {"p": 1}, "e": None, "n": {}})
    found = br.diff(series(store, address))
    assert (found.before, found.after) == ("prices@2026-12-02", "prices@2026-12-03")
    assert told(found.jobs()) == {
        "a": "same",
        "b": "changed",
        "c": "lost",
        "d": "regained",
        "e": "failed",
        "n": "added",
        "o": "gone",
    }
    assert [job.status for job in found] == [job.status for job in found]  # read anew
    summary = found.summary()
    assert (summary.differences, summary.compared) == (5, 5)
    assert summary.fields == {"p": {"changed": 1}}


def test_jobs_are_joined_whatever_order_the_database_sorts_texts_in(
    store: Store, address: str
) -> None:
    edition(store, 1, {key: {"p": 1} for key in ODD_KEYS})
    edition(store, 2, {key: {"p": 1} for key in reversed(ODD_KEYS)})
    for by in ("id", "url", "sku"):
        assert set(told(br.diff(series(store, address), by=by).jobs()).values()) == {"same"}


def test_an_edition_is_compared_with_the_one_before_it_and_any_two_by_name(
    store: Store, address: str
) -> None:
    first, second, third = (edition(store, day, {"a": {"p": day}}) for day in (1, 2, 3))
    before = br.diff(handle(store, second, address))
    assert (before.before, before.after) == (first.name, second.name)
    (job,) = br.diff(handle(store, first, address), handle(store, third, address))
    assert [(each.before, each.after) for each in job.changes] == [(1, 3)]


class Keyed:
    """A result that tells whether it is still in memory."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __iter__(self) -> Iterator[Any]:
        return iter(ComparedResult(self.key))


def test_results_are_put_away_one_by_one_while_they_are_sorted() -> None:
    alive, counts = WeakSet[Keyed](), list[int]()

    def results() -> Iterator[Any]:
        for at in range(9, 0, -1):
            alive.add(new := Keyed(str(at)))
            yield new
            counts.append(len(alive))

    assert [each.key for each in _sorted(results())] == [str(at) for at in range(1, 10)]
    assert max(counts) <= 2


@pytest.mark.parametrize("by", ["id", "sku"])
def test_an_edition_that_is_removed_while_it_is_read_is_not_reported_as_gone(
    store: Store, address: str, by: str
) -> None:
    first = edition(store, 1, {"a": {"p": 1}, "b": {"p": 1}})
    ids = store.read(sorted_job_ids, first.id, by)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("batchrunner.app.result_sets.sorted_job_ids", lambda *_: ids)
        while store.write(prune_chunk, first.id):
            pass
        with pytest.raises(CannotContinue, match="was removed while it was read"):
            [*handle(store, first, address).result_set().sorted_results(by)]


def test_one_edition_has_nothing_to_be_compared_with(store: Store, address: str) -> None:
    only = edition(store, 1, {"a": {}})
    with pytest.raises(UsageError, match="'prices' has only one edition"):
        br.diff(series(store, address))
    edition(store, 2, {"a": {}})
    with pytest.raises(UsageError, match="no older edition than 2026-12-01"):
        br.diff(handle(store, only, address))


def test_jobs_that_are_not_done_are_counted_and_not_compared(store: Store, address: str) -> None:
    edition(store, 1, {"a": {"p": 1}, "b": {"p": 1}})
    edition(store, 2, {"a": ..., "b": {"p": 1}})
    found = br.diff(series(store, address))
    assert told(found.jobs()) == {"a": "open", "b": "same"}
    assert not [*found]


def test_suspect_results_and_other_questions_are_marked(store: Store, address: str) -> None:
    edition(store, 1, {"a": {"p": 1}, "b": {"p": 1}})
    second = edition(store, 2, {"a": {"p": 2}, "b": {"p": 1}}, goal="Get the lowest price")

    def doubt(tx: Any) -> None:
        own = attempts.c.batch_id == second.id
        tx.execute(update(attempts).where(own).values(verdict="suspect"))

    store.write(doubt)
    found = br.diff(series(store, address))
    (job,) = found
    assert job.after is not None
    assert job.after.is_suspect
    assert job.asks_otherwise
    summary = found.summary()
    assert (summary.suspect_before, summary.suspect_after, summary.asks_otherwise) == (0, 2, 2)


def test_long_results_are_compared_like_others(store: Store, address: str) -> None:
    long = [{"sku": f"s{n}", "text": "x" * 100} for n in range(2000)]
    edition(store, 1, {"a": {"offers": long}})
    edition(store, 2, {"a": {"offers": [*long[1:], {"sku": "new"}]}})
    (job,) = br.diff(series(store, address))
    assert [each.path for each in job.changes] == ["offers[sku=s0]", "offers[sku=new]"]


def test_more_jobs_than_a_page_are_all_compared(store: Store, address: str) -> None:
    keys = [f"k{n}" for n in range(1100)]
    for day in (1, 2):
        file = replace(job_file([spec(key) for key in keys]), name=f"prices@{day}", series="prices")
        store.write(load_jobs, replace(file, edition=str(day)), NOW)
    found = br.diff(series(store, address)).summary()
    assert found.jobs == {JobStatus.OPEN: 1100}


def test_rows_of_python_are_a_side(store: Store, address: str) -> None:
    batch = handle(store, edition(store, 1, {"a": {"p": 1}, "b": None}), address)
    rows = [*batch.rows()]
    assert not [*br.diff(rows, batch)]
    rows[0]["result"] = {"p": 2}
    found: list[JobDiff] = [*br.diff(rows, batch)]
    assert told(found) == {"a": "changed"}
    with pytest.raises(UsageError, match="has no results"):
        br.diff(batch, 7)
    with pytest.raises(UsageError, match="nothing to compare it with"):
        br.diff(rows)
