"""Editions of a series: one in each slot, closed before the next, and removed when they are old."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import Thread

import pytest
from sqlalchemy import func, select

from batchrunner.model import Batch, JobFile, JobState
from batchrunner.store.attempts import apply_poll, runs_in_flight
from batchrunner.store.batch_reads import list_batches
from batchrunner.store.batches import find_batch, load_jobs
from batchrunner.store.editions import (
    close_edition,
    hide_edition,
    make_edition,
    newest_edition,
    prunable,
    prune_chunk,
    summaries,
    unfinished_before,
)
from batchrunner.store.orphans import add_orphans
from batchrunner.store.reports import batch_counts
from batchrunner.store.schema import metadata, owners
from batchrunner.store.store import Store
from tests.fakes import (
    NOW,
    after,
    claim,
    close_as_absent,
    enlist,
    failure,
    job_file,
    postpone,
    retry,
    rides,
    start,
    success,
)


def edition_file(day: int, jobs: int = 2, series: str = "prices") -> JobFile:
    """Build a job file as the edition of a day."""
    edition = f"2026-12-{day:02}"
    return replace(job_file(jobs), name=f"{series}@{edition}", series=series, edition=edition)


def begin_edition(store: Store, day: int, jobs: int = 2, series: str = "prices") -> Batch:
    enlist(store, "alice")
    return store.write(load_jobs, edition_file(day, jobs, series), NOW).batch


def finish(store: Store, batch: Batch) -> None:
    done = [success(attempt, steps=3) for attempt in start(store, batch)]
    apply_poll(store, "alice", done, [], after(60))


def finished(store: Store, day: int, jobs: int = 2) -> Batch:
    batch = begin_edition(store, day, jobs)
    finish(store, batch)
    return batch


def rows(store: Store) -> dict[str, int]:
    tables = [table for table in metadata.sorted_tables if "batch_id" in table.c]
    tables.remove(owners)

    def counted(tx: object) -> dict[str, int]:
        return {
            table.name: tx.execute(select(func.count()).select_from(table)).scalar_one()  # type: ignore[attr-defined]
            for table in tables
        }

    return store.read(counted)


# ---- which there are ----


def test_the_newest_edition_is_the_one_that_began_last(store: Store) -> None:
    assert store.read(newest_edition, "prices") is None
    for day in (1, 3, 2):
        begin_edition(store, day)
    begin_edition(store, 9, series="other")
    newest = store.read(newest_edition, "prices")
    assert newest is not None
    assert (newest.name, newest.series, newest.edition) == (
        "prices@2026-12-02",
        "prices",
        "2026-12-02",
    )


def test_loading_an_edition_again_finds_its_jobs(store: Store) -> None:
    first = finished(store, 1)
    again = store.write(load_jobs, edition_file(1, 3), after(90))
    assert (again.batch.id, again.added, again.known) == (first.id, 1, 2)
    second = store.write(load_jobs, edition_file(2, 3), after(90))
    assert (second.added, second.known) == (3, 0), "an edition is compared with itself only"


def test_two_processes_begin_one_edition(store: Store, open_store: Callable[[], Store]) -> None:
    stores, loaded = [store, open_store()], []

    def load(opened: Store) -> None:
        loaded.append(opened.write(load_jobs, edition_file(1, 40), NOW))

    threads = [Thread(target=load, args=[each]) for each in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({each.batch.id for each in loaded}) == 1
    assert sum(each.added for each in loaded) == 40
    assert [batch.name for batch in store.read(list_batches)] == ["prices@2026-12-01"]


def test_a_batch_of_the_series_name_becomes_its_first_edition(store: Store) -> None:
    batch = store.write(load_jobs, job_file(2), NOW).batch
    asked = []

    def named(created_at: object) -> tuple[str, str]:
        asked.append(created_at)
        return "prices@2026-09-02T210000", "2026-09-02T210000"

    assert store.write(make_edition, "prices", named) == "prices@2026-09-02T210000"
    assert asked == [NOW]
    newest = store.read(newest_edition, "prices")
    assert newest is not None
    assert newest.id == batch.id
    assert store.write(make_edition, "prices", named) is None, "there is no other one"


def test_a_series_says_how_each_edition_stands(store: Store) -> None:
    finished(store, 1)
    second = begin_edition(store, 2, jobs=4)
    one, two, *_ = start(store, second)
    apply_poll(store, "alice", [success(one, steps=5), failure(two, steps=1)], [], after(99))
    newest, oldest = store.read(summaries, "prices")
    assert newest.batch.name == "prices@2026-12-02"
    assert (newest.jobs, newest.succeeded, newest.failed, newest.open) == (4, 1, 1, 2)
    assert (newest.steps, newest.finished_at) == (6, after(99))
    assert (oldest.jobs, oldest.succeeded, oldest.steps, oldest.open) == (2, 2, 6, 0)
    assert store.read(summaries, "other") == []


# ---- closing ----


def test_a_closed_edition_is_not_submitted_and_keeps_what_its_runs_bring(store: Store) -> None:
    batch = begin_edition(store, 1, jobs=14)
    first, second, third, *_ = start(store, batch)
    assert store.write(close_edition, batch.id, after(5)) == (4, 10)
    assert claim(store, batch, now=after(9)) == []
    in_flight = store.read(runs_in_flight, "alice", batch.id)
    assert len(in_flight) == 10
    assert all(attempt.cancel_reason is None for attempt in in_flight), "no run is cancelled"
    apply_poll(store, "alice", [success(first), retry(second), postpone(third)], [], after(20))
    jobs = store.read(batch_counts, batch.id).jobs
    assert jobs[JobState.SUCCEEDED] == 1, "what it brought is kept"
    assert jobs[JobState.CANCELLED] == 6, "a failure is not tried again"
    assert jobs[JobState.AVAILABLE] == 0
    assert store.write(close_edition, batch.id, after(30)) == (0, 7)


def test_only_unfinished_editions_before_a_batch_are_drained(store: Store) -> None:
    begun = [begin_edition(store, 1), finished(store, 2), begin_edition(store, 3)]
    newest = begin_edition(store, 4)
    begin_edition(store, 1, series="other")
    older = store.read(unfinished_before, "prices", newest.id)
    assert [batch.id for batch in older] == [begun[0].id, begun[2].id]
    for batch in older:
        store.write(close_edition, batch.id, after(5))
    assert store.read(unfinished_before, "prices", newest.id) == []


# ---- removing ----


def prune(store: Store, keep: int) -> list[int]:
    removed = [
        each
        for each in store.read(prunable, "prices", keep)
        if store.write(hide_edition, each, after(999))
    ]
    for batch_id in removed:
        while store.write(prune_chunk, batch_id):
            pass
    return removed


def test_the_oldest_editions_are_removed_and_the_others_stay(store: Store) -> None:
    editions = [finished(store, day) for day in range(1, 6)]
    kept_rows = {name: count // 5 * 2 for name, count in rows(store).items()}
    assert prune(store, 2) == [batch.id for batch in reversed(editions[:3])]
    left = [each.batch.id for each in store.read(summaries, "prices")]
    assert left == [editions[4].id, editions[3].id]
    assert [batch.id for batch in store.read(list_batches)] == [editions[3].id, editions[4].id]
    assert store.read(find_batch, editions[0].name) is None
    assert rows(store) == kept_rows, "no table keeps rows of an edition that is gone"
    assert prune(store, 2) == []


def _with_open_run(store: Store, batch: Batch) -> None:
    store.write(load_jobs, edition_file(1, 3), after(70))
    start(store, batch, now=after(71))


def _with_unanswered(store: Store, batch: Batch) -> None:
    store.write(load_jobs, edition_file(1, 3), after(70))
    claim(store, batch, now=after(71))


def _with_watched(store: Store, batch: Batch) -> None:
    store.write(load_jobs, edition_file(1, 3), after(70))
    (submission,) = claim(store, batch, now=after(71))
    lost = [failure(ride) for ride in rides([submission])]
    close_as_absent(store, submission, lost, after(80), late_check_at=after(400))


def _with_orphan(store: Store, batch: Batch) -> None:
    store.write(load_jobs, edition_file(1, 3), after(70))
    (submission,) = claim(store, batch, now=after(71))
    lost = [failure(ride) for ride in rides([submission])]
    close_as_absent(store, submission, lost, after(80))
    store.write(add_orphans, batch.id, submission, ["late-run"], after(90))


@pytest.mark.parametrize(
    "unsettle", [_with_open_run, _with_unanswered, _with_watched, _with_orphan]
)
def test_an_edition_of_which_something_may_happen_stays(
    store: Store, unsettle: Callable[[Store, Batch], None]
) -> None:
    oldest = finished(store, 1)
    unsettle(store, oldest)
    editions = [finished(store, day) for day in (2, 3, 4)]
    assert prune(store, 1) == [editions[1].id, editions[0].id]
    left = [each.batch.id for each in store.read(summaries, "prices")]
    assert left == [editions[2].id, oldest.id]


def test_the_newest_complete_edition_stays_however_old_it_is(store: Store) -> None:
    complete = finished(store, 1)
    for day in (2, 3, 4):
        batch = begin_edition(store, day)
        apply_poll(store, "alice", [failure(each) for each in start(store, batch)], [], after(60))
    removed = prune(store, 1)
    left = [each.batch.id for each in store.read(summaries, "prices")]
    assert len(removed) == 2
    assert complete.id in left
    assert len(left) == 2


def test_a_removal_that_was_interrupted_is_completed(store: Store) -> None:
    oldest, *_ = [finished(store, day) for day in (1, 2, 3)]
    assert store.write(hide_edition, oldest.id, after(999))
    assert store.read(find_batch, oldest.name) is None, "nobody sees half of it"
    assert prune(store, 3) == [oldest.id]
    assert prune(store, 3) == []


def test_the_newest_rows_of_the_database_stay(store: Store) -> None:
    oldest = finished(store, 1)
    for day in (2, 3):
        finished(store, day)
    store.write(load_jobs, edition_file(1, 3), after(70))  # its rows are the newest ones now
    finish(store, oldest)
    assert oldest.id not in prune(store, 1), "SQLite would give their ids again"
