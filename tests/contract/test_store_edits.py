"""A batch follows its file: new, same, changed and withdrawn jobs, on both databases."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, select, text

from batchrunner.model import Batch, JobSpec, JobState
from batchrunner.model.comparison import Comparison, EditDecision, Guard
from batchrunner.store.attempts import apply_decisions
from batchrunner.store.batches import load_jobs
from batchrunner.store.comparing import compare
from batchrunner.store.edits import EditUndecided, rerun_jobs
from batchrunner.store.reports import batch_counts, finished_jobs
from batchrunner.store.schema import jobs
from batchrunner.store.store import Store
from tests.fakes import NOW, after, begin, failure, job_file, retry, spec, start, success

AGAIN = EditDecision(run_changed=True)
KEEP = EditDecision(run_changed=False)
APPEND = EditDecision(withdraw=False)
WITHDRAW = EditDecision(withdraw=True)


def unnamed(number: int, goal: str = "Get the price", **fields: Any) -> JobSpec:
    """Build a job without an id: its key is a digest, which differs with its contents."""
    url = fields.pop("url", f"https://shop.example/{number}")
    key = hashlib.sha256(f"{url} {goal} {fields}".encode()).hexdigest()[:32]
    return JobSpec(key=key, url=url, goal=goal, **fields)


def load(
    store: Store, specs: Iterable[JobSpec], *decision: EditDecision, **file: Any
) -> Comparison:
    """Load these jobs; return what changed."""
    given = replace(job_file(specs), **file)
    seen = store.read(compare, given, *decision)
    found = store.write(load_jobs, given, after(60), *decision).comparison
    assert found is not None
    assert seen == found, "a comparison says what a load does"
    return found


def rows(store: Store) -> list[Any]:
    """Return the rows of jobs in the order of exports."""
    with store._database.read() as tx:
        query = select(jobs).order_by(jobs.c.position, jobs.c.revision, jobs.c.id)
        return list(tx.execute(query))


def current(store: Store) -> list[Any]:
    return [row for row in rows(store) if not row.superseded and not row.withdrawn]


def finish(store: Store, batch: Batch) -> None:
    """Let all jobs of a batch succeed."""
    while held := start(store, batch, now=after(120)):
        store.write(apply_decisions, "alice", [success(each) for each in held], after(30))


def numbers(found: Comparison) -> dict[str, int]:
    """Return the counts that are not 0."""
    names = ("new", "same", "changed", "withdrawn", "returning", "kept", "changed_final")
    return {name: getattr(found, name) for name in names if getattr(found, name)}


def test_the_same_file_changes_nothing(store: Store) -> None:
    batch = begin(store, [spec("a"), spec("b")])
    finish(store, batch)
    before = rows(store)
    assert numbers(load(store, [spec("a"), spec("b")])) == {"same": 2}
    assert rows(store) == before


SAME: list[dict[str, Any]] = [
    {"goal": " Get  the\n price "},
    {"url": "https://SHOP.example:443/a"},
    {"options": {"capture_config": {"screenshots": True}}},
    {"options": {"webhook_url": "https://me.example/hook", "api_integration": "x"}},
    {"options": {"agent_config": {"max_steps": 20, "mode": "default"}}},
    {"options": {"browser_profile": "lite", "proxy_config": {"enabled": False}}},
    {"expect": {"price": "required"}},
]


@pytest.mark.parametrize("fields", SAME, ids=str)
def test_what_does_not_change_the_question_is_taken_over(
    store: Store, fields: dict[str, Any]
) -> None:
    finish(store, begin(store, [spec("a")]))
    assert numbers(load(store, [spec("a", **fields)])) == {"same": 1}
    (row,) = rows(store)
    assert (row.state, row.revision) == (JobState.SUCCEEDED, 1)
    for name in {"goal", "url"} & set(fields):
        assert getattr(row, name) == fields[name]


def test_another_question_is_a_new_revision_of_a_job_that_was_tried(store: Store) -> None:
    finish(store, begin(store, [spec("a")]))
    found = load(store, [spec("a", goal="Get the title")])
    assert numbers(found) == {"changed": 1, "changed_final": 1}
    assert found.fields["goal"].final == 1
    old, new = rows(store)
    assert (old.superseded, old.state, old.goal) == (True, JobState.SUCCEEDED, "Get the price")
    assert (new.revision, new.state, new.goal) == (2, JobState.AVAILABLE, "Get the title")


def test_a_job_that_was_never_tried_is_changed_in_place(store: Store) -> None:
    begin(store, [spec("a")])
    load(store, [spec("a", goal="Get the title")])
    (row,) = rows(store)
    assert (row.revision, row.goal, row.state) == (1, "Get the title", JobState.AVAILABLE)


@pytest.mark.parametrize("has_ids", [True, False])
def test_jobs_that_left_the_file_are_withdrawn(store: Store, has_ids: bool) -> None:
    specs = [spec("a"), spec("b")] if has_ids else [unnamed(1), unnamed(2)]
    begin(store, specs)
    assert numbers(load(store, specs[:1])) == {"same": 1, "withdrawn": 1}
    kept, gone = rows(store)
    assert (kept.withdrawn, kept.state) == (False, JobState.AVAILABLE)
    assert (gone.withdrawn, gone.state) == (True, JobState.CANCELLED)


def test_a_job_that_comes_back_waits_again(store: Store) -> None:
    begin(store, [spec("a"), spec("b")])
    load(store, [spec("a")])
    assert numbers(load(store, [spec("a"), spec("b")])) == {"same": 2, "returning": 1}
    assert [row.state for row in current(store)] == [JobState.AVAILABLE] * 2


def test_a_finished_job_that_comes_back_has_its_result(store: Store) -> None:
    finish(store, begin(store, [spec("a"), spec("b")]))
    load(store, [spec("a")])
    assert len(list(finished_jobs(store, 1))) == 1
    load(store, [spec("a"), spec("b")])
    assert [row.state for row in current(store)] == [JobState.SUCCEEDED] * 2
    assert len(list(finished_jobs(store, 1))) == 2


def test_without_ids_a_job_is_found_by_its_url(store: Store) -> None:
    finish(store, begin(store, [unnamed(1), unnamed(2)]))
    found = load(store, [unnamed(1, "Get the title"), unnamed(2)])
    assert numbers(found) == {"changed": 1, "changed_final": 1, "same": 1}
    assert numbers(load(store, [unnamed(1, "Get the title"), unnamed(2)])) == {"same": 2}
    first = [row for row in rows(store) if row.url.endswith("/1")]
    assert len({row.key for row in first}) == 1, "the id stays"


def test_a_url_that_two_jobs_have_says_nothing(store: Store) -> None:
    finish(store, begin(store, [unnamed(1, "A"), unnamed(1, "B")]))
    found = load(store, [unnamed(1, "C"), unnamed(1, "D")])
    assert numbers(found) == {"new": 2, "withdrawn": 2}


def test_ids_that_are_added_later_are_taken_over(store: Store) -> None:
    finish(store, begin(store, [unnamed(1), unnamed(2)]))
    named = [unnamed(2)._replace(key="two"), unnamed(1)._replace(key="one")]
    assert numbers(load(store, named)) == {"same": 2}
    assert [row.key for row in rows(store)] == ["two", "one"]
    assert numbers(load(store, [unnamed(1), unnamed(2)])) == {"same": 2}
    assert [row.key for row in rows(store)] == ["one", "two"]


def test_another_id_is_another_job(store: Store) -> None:
    finish(store, begin(store, [spec("monday", url="https://shop.example/")]))
    found = load(store, [spec("tuesday", url="https://shop.example/")])
    assert numbers(found) == {"new": 1, "withdrawn": 1}


def test_an_edit_that_is_undone_uses_the_results_that_there_are(store: Store) -> None:
    finish(store, begin(store, [spec("a"), unnamed(1)]))
    load(store, [spec("a", goal="Typo"), unnamed(1, "Typo")])
    assert numbers(load(store, [spec("a"), unnamed(1)])) == {"same": 2, "returning": 2}
    assert [(row.state, row.goal) for row in current(store)] == [
        (JobState.SUCCEEDED, "Get the price")
    ] * 2
    load(store, [spec("a", goal="Typo"), unnamed(1, "Typo")])
    assert [(row.state, row.goal) for row in current(store)] == [(JobState.AVAILABLE, "Typo")] * 2
    assert len({(row.key, row.revision) for row in rows(store)}) == len(rows(store))


def test_a_run_in_flight_of_a_changed_or_withdrawn_job_ends_and_is_not_retried(
    store: Store,
) -> None:
    batch = begin(store, [spec("a"), spec("b"), spec("c")])
    held = {each.job.key: each for each in start(store, batch)}
    load(store, [spec("a", goal="Get the title"), spec("c", goal="Get the title")])
    decisions = [retry(held["a"]), retry(held["b"]), success(held["c"])]
    store.write(apply_decisions, "alice", decisions, after(30))
    found = [(row.key, row.revision, row.state) for row in rows(store)]
    assert sorted(found) == [
        ("a", 1, JobState.CANCELLED),
        ("a", 2, JobState.AVAILABLE),
        ("b", 1, JobState.CANCELLED),
        ("c", 1, JobState.SUCCEEDED),
        ("c", 2, JobState.AVAILABLE),
    ]


# ---- the guard ----


def test_a_large_edit_changes_nothing_until_the_user_decides(store: Store) -> None:
    finish(store, begin(store, 21))
    before = rows(store)
    edited = [each._replace(goal="Typo") for each in job_file(21).specs]
    with pytest.raises(EditUndecided) as raised:
        store.write(load_jobs, job_file(edited), after(60))
    assert raised.value.guards == (Guard.CHANGED,)
    assert raised.value.comparison.changed_final == 21
    assert rows(store) == before
    load(store, edited, AGAIN)
    assert [row.revision for row in current(store)] == [2] * 21


def test_a_file_that_was_cut_withdraws_nothing_until_the_user_decides(store: Store) -> None:
    begin(store, 60)
    with pytest.raises(EditUndecided) as raised:
        store.write(load_jobs, job_file(30), after(60))
    assert raised.value.guards == (Guard.WITHDRAWN,)
    assert len(current(store)) == 60
    assert numbers(load(store, job_file(30).specs, APPEND)) == {"same": 30}
    assert len(current(store)) == 60
    load(store, job_file(30).specs, WITHDRAW)
    assert len(current(store)) == 30


@pytest.mark.parametrize(
    ("loaded", "left", "guarded"),
    [(20, 0, False), (21, 0, True), (210, 189, False), (209, 188, True)],
)
def test_the_guard_is_for_more_than_20_jobs_and_a_tenth(
    store: Store, loaded: int, left: int, guarded: bool
) -> None:
    begin(store, loaded)
    specs = [*job_file(left).specs, spec("other")]
    found = store.read(compare, job_file(specs))
    assert bool(found.guards()) == guarded


def test_kept_jobs_are_not_reported_again(store: Store) -> None:
    finish(store, begin(store, 21))
    edited = [each._replace(goal="Typo") for each in job_file(21).specs]
    load(store, edited, KEEP)
    assert [row.revision for row in rows(store)] == [1] * 21
    assert numbers(load(store, edited)) == {"same": 21, "kept": 21}
    assert numbers(load(store, job_file(21).specs)) == {"same": 21}
    other = [each._replace(goal="Other") for each in job_file(21).specs]
    assert store.read(compare, job_file(other)).guards() == (Guard.CHANGED,)


def test_what_was_kept_runs_where_the_user_asks_for_it(store: Store) -> None:
    finish(store, begin(store, [spec("a")]))
    edited = [spec("a", goal="Typo")]
    load(store, edited, KEEP)
    load(store, edited, AGAIN)
    assert [row.goal for row in current(store)] == ["Typo"]


def test_an_empty_file_withdraws_nothing(store: Store) -> None:
    begin(store, 2)
    assert numbers(load(store, [])) == {}
    assert len(current(store)) == 2


def test_rows_from_python_and_adopted_runs_are_not_withdrawn(store: Store) -> None:
    begin(store, [spec("a")])
    load(store, [spec("python")], from_file=False)
    assert {row.key for row in current(store)} == {"a", "python"}
    load(store, [spec("b")])
    assert {row.key for row in current(store)} == {"python", "b"}
    load(store, [spec("c")], WITHDRAW, from_file=False)
    assert {row.key for row in current(store)} == {"c"}


def test_append_adds_only(store: Store) -> None:
    finish(store, begin(store, [spec("a"), unnamed(1)]))
    load(store, [spec("a", goal="Other"), unnamed(1, "Other"), spec("new")], APPEND)
    found = [(row.key[:3], row.goal) for row in current(store)]
    assert found[0] == ("a", "Get the price")
    assert len(found) == 4
    assert [row.position for row in current(store)] == [1, 2, 3, 4]


# ---- run again on request ----


def test_a_job_runs_again_on_request_as_a_new_revision(store: Store) -> None:
    batch = begin(store, [spec("a"), spec("b"), spec("c")])
    held = {each.job.key: each for each in start(store, batch)}
    decisions = [success(held["a"]), success(held["b"]), failure(held["c"])]
    store.write(apply_decisions, "alice", decisions, after(30))
    assert store.write(rerun_jobs, batch.id, after(60), keys=["a", "c"])[0] == 1
    assert store.write(rerun_jobs, batch.id, after(60), finished_before=NOW)[0] == 0
    assert store.write(rerun_jobs, batch.id, after(60), finished_before=after(60))[0] == 1
    counts = store.read(batch_counts, batch.id).jobs
    assert (counts[JobState.AVAILABLE], counts[JobState.FAILED]) == (2, 1)
    finish(store, batch)
    assert [job.revision for job in finished_jobs(store, batch.id)] == [2, 2, 1]


# ---- databases of older versions ----


def test_jobs_of_an_older_version_get_their_digests_with_the_first_load(
    store: Store, engine: Engine
) -> None:
    finish(store, begin(store, [spec("a"), unnamed(1)]))
    with engine.begin() as tx:
        tx.execute(text("UPDATE jobs SET digest = NULL"))
    assert numbers(load(store, [spec("a"), unnamed(1)])) == {"same": 2}
    assert all(row.digest for row in rows(store))


def test_a_database_of_an_older_version_sees_an_edit(store: Store, engine: Engine) -> None:
    finish(store, begin(store, [unnamed(1)]))
    with engine.begin() as tx:
        tx.execute(text("UPDATE jobs SET digest = NULL"))
    assert numbers(load(store, [unnamed(1, "Other")])) == {"changed": 1, "changed_final": 1}


def test_a_comparison_holds_up_no_writer_while_it_reads_the_file(
    store: Store, open_store: Callable[[], Store]
) -> None:
    begin(store, [spec("a")])
    other = open_store()
    written = []

    class Specs(tuple[JobSpec, ...]):
        """Jobs of a file that take long to read: meanwhile, a runner writes."""

        def __iter__(self) -> Iterator[JobSpec]:
            with other.short_lock_timeout():
                other.write(rerun_jobs, 1, NOW)
            written.append(1)
            return super().__iter__()

    file = replace(job_file(), specs=Specs([spec("a"), spec("b")]))
    assert numbers(store.read(compare, file)) == {"same": 1, "new": 1}
    assert written
