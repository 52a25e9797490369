"""Bringing job files into the database."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text

from batchrunner.app import follow_edit, load_in_parts
from batchrunner.model import Batch, JobFile, Settings
from batchrunner.store.batch_reads import list_batches
from batchrunner.store.batches import bind_to_api, find_batch, load_jobs, new_rows
from batchrunner.store.controls import cancel_jobs
from batchrunner.store.health import database_health
from batchrunner.store.reports import batch_counts
from batchrunner.store.store import Store
from batchrunner.store.unseen_batch import (
    UnseenBatch,
    add_unseen,
    begin_unseen,
    left_over,
    remove_unseen,
)
from tests.fakes import NOW, after, begin, claim, enlist, job_file, keys, rides, spec


def in_file_order(store: Store, name: str = "prices") -> list[tuple[str, str]]:
    batch = store.read(find_batch, name)
    assert batch is not None
    enlist(store, "reader")
    return [(ride.job.key, ride.goal) for ride in rides(claim(store, batch, "reader"))]


def test_a_load_adds_every_job_of_the_file_in_its_order(store: Store) -> None:
    loaded = store.write(load_jobs, job_file([spec("c"), spec("a"), spec("b")]), NOW)
    assert (loaded.added, loaded.known, loaded.changed) == (3, 0, ())
    assert [key for key, _ in in_file_order(store)] == ["c", "a", "b"]


def test_loading_the_same_file_twice_adds_nothing(store: Store) -> None:
    file = job_file(2500)  # more than one statement holds
    first, second = store.write(load_jobs, file, NOW), store.write(load_jobs, file, after(60))
    assert (first.added, first.known) == (2500, 0)
    assert (second.added, second.known, second.changed) == (0, 2500, ())
    assert second.batch == first.batch
    assert store.read(batch_counts, first.batch.id).total == 2500


def test_a_new_line_adds_one_job_and_the_others_move_to_their_new_places(store: Store) -> None:
    store.write(load_jobs, job_file([spec("a"), spec("b")]), NOW)
    loaded = store.write(load_jobs, job_file([spec("b"), spec("new"), spec("a")]), NOW)
    assert (loaded.added, loaded.known) == (1, 2)
    assert [key for key, _ in in_file_order(store)] == ["b", "new", "a"]


def test_a_job_that_left_the_file_is_counted_no_more(store: Store) -> None:
    store.write(load_jobs, job_file([spec("a"), spec("b")]), NOW)
    loaded = store.write(load_jobs, job_file([spec("b")]), after(60))
    assert (loaded.added, loaded.known) == (0, 1)
    assert store.read(batch_counts, loaded.batch.id).total == 1


def test_another_content_under_a_known_id_is_reported_and_takes_its_place(
    store: Store,
) -> None:
    old = [spec("a", goal="old"), spec("b", goal="old"), spec("c", options={"use_vault": True})]
    new = [spec("a", goal="new"), spec("b", goal="old"), spec("c", options={"use_profile": True})]
    store.write(load_jobs, job_file(old), NOW)
    assert store.write(load_jobs, job_file(new), NOW).changed == ("a", "c")
    assert [goal for _, goal in in_file_order(store)][:2] == ["new", "old"]


def test_options_in_another_order_are_no_change(store: Store) -> None:
    store.write(
        load_jobs, job_file([spec("a", options={"use_vault": True, "use_profile": False})]), NOW
    )
    again = job_file([spec("a", options={"use_profile": False, "use_vault": True})])
    assert store.write(load_jobs, again, NOW).changed == ()


def test_settings_are_those_of_the_newest_load_and_come_back_as_they_were(store: Store) -> None:
    settings = Settings(
        concurrency=7,
        max_attempts=2,
        backoff=timedelta(seconds=1.5),
        queued_limit=timedelta(hours=3),
        running_limit=timedelta(minutes=1),
        marker=False,
    )
    store.write(load_jobs, job_file(), NOW)
    store.write(
        load_jobs, job_file(**{name: getattr(settings, name) for name in Settings.__slots__}), NOW
    )
    found = store.read(find_batch, "prices")
    assert found is not None
    assert found.settings == settings


def test_settings_that_an_older_program_did_not_write_have_their_defaults(
    store: Store, engine: Engine
) -> None:
    store.write(load_jobs, job_file(concurrency=7), NOW)
    with engine.begin() as tx:
        stored = '{"concurrency":7,"backoff":1,"queued_limit":2,"running_limit":3}'
        tx.execute(text("UPDATE batches SET settings = :stored"), {"stored": stored})
    found = store.read(find_batch, "prices")
    assert found is not None
    assert (found.settings.concurrency, found.settings.marker) == (7, True)


def test_loading_leaves_what_has_already_happened_alone(store: Store) -> None:
    batch = begin(store, 2)
    claimed = claim(store, batch)
    store.write(cancel_jobs, batch.id, keys(1), NOW)
    before = store.read(batch_counts, batch.id)
    store.write(load_jobs, job_file(2), after(60))
    assert store.read(batch_counts, batch.id) == before
    assert claim(store, batch) == []
    assert len(rides(claimed)) == 2


def test_batches_share_keys_but_no_jobs(store: Store) -> None:
    one = store.write(load_jobs, job_file([spec("a")], name="one"), NOW)
    two = store.write(load_jobs, job_file([spec("a"), spec("b")], name="two"), NOW)
    assert (one.added, two.added) == (1, 2)
    assert [batch.name for batch in store.read(list_batches)] == ["one", "two"]
    assert store.read(find_batch, "three") is None
    assert (
        store.read(batch_counts, one.batch.id).total,
        store.read(batch_counts, two.batch.id).total,
    ) == (1, 2)


def test_a_batch_is_tied_to_one_api_for_ever(store: Store) -> None:
    batch = begin(store)
    assert batch.api_origin is None
    assert store.write(bind_to_api, batch.id, "https://a.example") == "https://a.example"
    assert store.write(bind_to_api, batch.id, "https://b.example") == "https://a.example"
    found = store.read(find_batch, "prices")
    assert found is not None
    assert found.api_origin == "https://a.example"


def test_any_text_that_a_job_file_may_hold_comes_back_as_it_was(store: Store) -> None:
    odd = {
        "goal": "Lies: 'the' \"price\"; -- \\ % {} \n\t\u2028 €𝄞 \U0010ffff",
        "options": {"output_schema": {"ключ": [1, 1.5, None, "𝄞\n"]}, "use_vault": True},
    }
    batch = begin(store, [spec("ид 1", **odd)])
    (ride,) = rides(claim(store, batch))
    assert (ride.job.key, ride.goal, ride.options) == ("ид 1", odd["goal"], odd["options"])


def test_an_empty_file_is_an_empty_batch(store: Store) -> None:
    loaded = store.write(load_jobs, job_file(0), NOW)
    assert (loaded.added, loaded.known) == (0, 0)
    assert store.read(batch_counts, loaded.batch.id).total == 0


# ---- large files ----


def fill(store: Store, file: JobFile) -> UnseenBatch:
    unseen = store.write(begin_unseen, file, "token", NOW)
    for rows in new_rows(unseen.id, file, NOW) if unseen else ():
        assert unseen is not None
        unseen = store.write(add_unseen, unseen, rows, NOW)
    assert unseen is not None
    return unseen


def test_nobody_sees_a_batch_whose_jobs_are_being_added(store: Store) -> None:
    file = job_file(3)
    unseen = fill(store, file)
    assert store.read(find_batch, file.name) is None
    assert store.read(list_batches) == []
    assert store.read(database_health, lambda: NOW).open_work == ()
    loaded = store.write(load_jobs, file, NOW, unseen=unseen)
    assert (loaded.added, loaded.before, loaded.batch.id) == (3, None, unseen.id)
    assert store.read(batch_counts, unseen.id).total == 3
    assert store.write(load_jobs, file, NOW).known == 3


def test_a_batch_that_another_load_made_meanwhile_gets_no_job_twice(store: Store) -> None:
    file = job_file(3)
    unseen = fill(store, file)
    first = store.write(load_jobs, file, NOW)
    second = store.write(load_jobs, file, NOW, unseen=unseen)
    assert (second.batch, second.added) == (first.batch, 0)
    while store.write(remove_unseen, unseen.id):
        pass
    assert store.read(batch_counts, first.batch.id).total == 3
    assert store.read(batch_counts, unseen.id).total == 0


def test_what_a_killed_load_left_is_removed_and_a_load_that_was_only_slow_notices(
    store: Store,
) -> None:
    file = job_file(3)
    unseen = fill(store, file)
    assert store.read(left_over, after(3_599)) == []
    assert store.read(left_over, after(3_601)) == [unseen.id]
    assert store.write(remove_unseen, unseen.id)
    assert store.write(add_unseen, unseen, [], after(3_602)) is None
    loaded = store.write(load_jobs, file, NOW, unseen=unseen)
    assert loaded.batch.id != unseen.id
    assert store.read(batch_counts, loaded.batch.id).total == 3


def test_a_batch_that_is_shown_is_never_removed_as_left_over(store: Store) -> None:
    file = job_file(3)
    unseen = fill(store, file)
    store.write(load_jobs, file, NOW, unseen=unseen)
    assert store.read(left_over, after(7_200)) == []
    assert not store.write(remove_unseen, unseen.id)
    assert store.read(batch_counts, unseen.id).total == 3


def test_others_write_between_the_parts_of_a_large_load(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts: list[int] = []

    def add(tx: Connection, unseen: UnseenBatch, rows: list[Any], now: datetime) -> Any:
        parts.append(len(rows))
        return add_unseen(tx, unseen, rows, now)

    monkeypatch.setattr(load_in_parts, "AT_ONCE", 2_000)
    monkeypatch.setattr(load_in_parts, "add_unseen", add)
    loaded = follow_edit.load_jobs(store, job_file(2_500), print)
    assert (loaded.added, parts) == (2_500, [1_000, 1_000, 500])
    assert store.read(list_batches) == [loaded.batch]


def test_a_load_that_ends_in_the_middle_leaves_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(tx: Connection, batch: Batch) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(load_in_parts, "AT_ONCE", 1)
    with pytest.raises(KeyboardInterrupt):
        follow_edit.load_jobs(store, job_file(3), print, check=refuse)
    assert store.read(list_batches) == []
    assert store.read(left_over, after(10**9)) == []
