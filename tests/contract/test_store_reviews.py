"""A person's word about a result: written at once, inherited, and taken back."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from sqlalchemy import select

from batchrunner.app.rejudge import rejudge
from batchrunner.app.review import accept, reject, review_rows, take_back
from batchrunner.app.review_rules import learned_rules
from batchrunner.classify import classify
from batchrunner.errors import UsageError
from batchrunner.model import (
    AttemptDecision,
    Batch,
    Finding,
    Finish,
    JobFile,
    JobState,
    OpenAttempt,
    Succeeded,
    Verdict,
)
from batchrunner.store.attempts import apply_poll, runs_in_flight
from batchrunner.store.batches import load_jobs
from batchrunner.store.controls import retry_jobs
from batchrunner.store.editions import prune_chunk
from batchrunner.store.edits import rerun_jobs
from batchrunner.store.health import consistency_errors
from batchrunner.store.judgements import flag_good_results, rewrite_judgements, stored_results
from batchrunner.store.reports import batch_counts, finished_jobs
from batchrunner.store.schema import jobs
from batchrunner.store.store import Store
from tests.fakes import (
    NOW,
    after,
    enlist,
    failure,
    job_file,
    keys,
    run,
    spec,
    start,
    success,
    suspect,
)

EMPTY = Finding(rule="empty", path=".", seen="[]")
NO_PRICE = Finding(rule="placeholder", path="price", seen="null")
LAMP = json.dumps({"name": "Lamp", "price": 9})
PAIR = '[["empty","."]]'


def finished(store: Store, batch: Batch, suspects: Sequence[str] = (), result: str = "[]") -> None:
    """Let all jobs of a batch succeed, some with a result that looks wrong."""

    def decision(attempt: OpenAttempt) -> AttemptDecision:
        if attempt.job.key in suspects:
            return suspect(attempt, result, EMPTY)
        good = Finish(state=JobState.SUCCEEDED, verdict=Verdict.GOOD)
        return replace(success(attempt, LAMP), transition=good)

    apply_poll(store, "alice", [decision(each) for each in start(store, batch)], [], after(60))


def loaded(store: Store, file: JobFile) -> Batch:
    enlist(store, "alice")
    return store.write(load_jobs, file, NOW).batch


def accepted_of(store: Store, batch: Batch) -> dict[str, str | None]:
    query = select(jobs.c.key, jobs.c.accepted).where(
        jobs.c.batch_id == batch.id, jobs.c.superseded.is_(False)
    )
    return store.read(lambda tx: {row.key: row.accepted for row in tx.execute(query)})


def verdicts(store: Store, batch: Batch) -> list[tuple[str, str, str | None]]:
    return [
        (job.key, job.verdict or "", job.finding.rule if job.finding else None)
        for job in finished_jobs(store, batch.id)
    ]


def shown_keys(store: Store, batch: Batch, sample: int = 0) -> list[str]:
    return [row.job.key for row in review_rows(store, batch, sample=sample)]


def test_suspects_come_first_in_file_order_and_then_a_seeded_sample(store: Store) -> None:
    batch = loaded(store, job_file([spec(key) for key in "hgfedcba"]))
    finished(store, batch, suspects="ge")
    assert shown_keys(store, batch) == ["g", "e"]
    rows = review_rows(store, batch, sample=5)
    assert [row.is_suspect for row in rows[:3]] == [True, True, False]
    assert shown_keys(store, batch, 5) == [row.job.key for row in rows]
    samples = {
        tuple(row.job.key for row in review_rows(store, batch, sample=3, seed=seed)[2:])
        for seed in range(8)
    }
    assert len(samples) > 1
    assert shown_keys(store, batch, 99)[:2] == ["g", "e"]
    assert sorted(shown_keys(store, batch, 99)) == list("abcdefgh")


def test_an_accepted_suspect_is_good_at_once_and_is_not_shown_again(store: Store) -> None:
    batch = loaded(store, job_file([spec(key) for key in "ab"]))
    finished(store, batch, suspects="ab")
    assert accept(store, batch, ["a"]) == 1
    assert verdicts(store, batch) == [("a", "good", None), ("b", "suspect", "empty")]
    assert shown_keys(store, batch, 9) == ["b"]
    assert accepted_of(store, batch) == {"a": PAIR, "b": None}
    assert store.read(batch_counts, batch.id).jobs[JobState.SUCCEEDED] == 2


def test_a_rejected_result_fails_its_job_and_nothing_runs_it_again_unasked(store: Store) -> None:
    batch = loaded(store, job_file([spec(key) for key in "ab"]))
    finished(store, batch)
    assert reject(store, batch, ["a"], "price: it is per dozen") == 1
    job, _ = finished_jobs(store, batch.id)
    assert (job.state, job.category, job.code) == (JobState.FAILED, "invalid_result", "rejected")
    assert job.message == "A person rejected the result: price: it is per dozen"
    assert job.finding is not None
    assert (job.finding.path, job.finding.seen) == ("price", "9")
    counts = store.read(batch_counts, batch.id)
    assert (counts.open, dict(counts.failed)) == (0, {"invalid_result": 1})
    assert rejudge(store, batch, {}, apply=True).applied == 0
    assert job.result == LAMP  # it is kept
    assert store.read(consistency_errors) == {}
    store.write(retry_jobs, batch.id, (), ["a"], after(70))
    assert store.read(batch_counts, batch.id).open == 1
    (again,) = start(store, batch, now=after(70))
    apply_poll(store, "alice", [success(again, LAMP)], [], after(80))
    assert [rule for _, _, rule in verdicts(store, batch)] == [None, None]
    assert "a" in shown_keys(store, batch, 9)  # it is another result


@pytest.mark.parametrize("decide", [accept, reject], ids=["accepted", "rejected"])
def test_a_word_is_taken_back_as_if_it_was_never_said(
    store: Store, decide: Callable[[Store, Batch, Sequence[str]], int]
) -> None:
    batch = loaded(store, job_file([spec(key) for key in "ab"]))
    finished(store, batch, suspects="a")
    before = list(finished_jobs(store, batch.id)), shown_keys(store, batch, 9)
    assert decide(store, batch, ["a", "b"]) == 2
    assert shown_keys(store, batch, 9) == []
    assert take_back(store, batch, ["b", "a"]) == 2
    assert (list(finished_jobs(store, batch.id)), shown_keys(store, batch, 9)) == before
    assert accepted_of(store, batch) == {"a": None, "b": None}
    assert store.read(consistency_errors) == {}


def test_what_a_person_accepted_is_not_flagged_again_by_any_rule(store: Store) -> None:
    batch = loaded(store, job_file([spec(key) for key in "ab"]))
    a, b = start(store, batch)
    good = Finish(state=JobState.SUCCEEDED, verdict=Verdict.GOOD)
    decisions = [replace(success(each, "[]"), transition=good) for each in (a, b)]
    apply_poll(store, "alice", decisions, [], after(1))
    accept(store, batch, ["a"])
    alike = replace(EMPTY, rule="same_answer")
    found = [(a.attempt_id, alike), (b.attempt_id, alike)]
    assert store.write(flag_good_results, found) == 1
    rejudge(store, batch, {}, apply=True)
    assert [verdict for _, verdict, _ in verdicts(store, batch)] == ["good", "suspect"]
    changes = rejudge(store, batch, {None: {"required": ["name"]}}).changes
    assert [change.of.key for change in changes] == ["a", "b"]  # what is certain still counts


def test_a_person_may_say_something_else_later(store: Store) -> None:
    batch = loaded(store, job_file([spec("a")]))
    finished(store, batch, suspects="a")
    for _ in range(2):
        reject(store, batch, ["a"])
        assert verdicts(store, batch) == [("a", "bad", "rejected")]
        assert accepted_of(store, batch) == {"a": None}
        accept(store, batch, ["a"])
        assert verdicts(store, batch) == [("a", "good", None)]
        assert accepted_of(store, batch) == {"a": PAIR}
    assert store.read(consistency_errors) == {}


def test_what_cannot_be_reviewed_is_named_and_nothing_is_changed(store: Store) -> None:
    batch = loaded(store, job_file([spec(key) for key in "ab"]))
    a, b = start(store, batch)
    apply_poll(store, "alice", [success(a, LAMP), failure(b)], [], after(1))
    for unknown in ("b", "c"):
        with pytest.raises(UsageError, match=f"no result to review of '{unknown}'"):
            reject(store, batch, ["a", unknown])
    assert review_rows(store, batch).reviewed == 0


# ---- later ----


def edition(day: int, count: int = 3) -> JobFile:
    name = f"2026-12-{day:02}"
    return replace(job_file(count), name=f"prices@{name}", series="prices", edition=name)


def test_later_editions_inherit_what_was_accepted_of_the_same_question(store: Store) -> None:
    first = loaded(store, edition(1))
    one, two, three = keys(3)
    finished(store, first, suspects=(one, two, three))
    accept(store, first, [one, two])
    changed = replace(edition(2), specs=(spec(one), spec(two, goal="Another"), spec(three)))
    second = loaded(store, changed)
    assert accepted_of(store, second) == {one: PAIR, two: None, three: None}
    third = loaded(store, edition(3))
    assert accepted_of(store, third)[one] == PAIR
    (attempt, *_) = start(store, third)
    assert attempt.job.key == one
    (flying, *_) = store.read(runs_in_flight, "alice", third.id)
    assert flying.expectations.accepted == {("empty", ".")}
    judged = classify(run(result="[]"), expectations=flying.expectations)
    assert judged == Succeeded(verdict=Verdict.GOOD)
    other = replace(flying.expectations, accepted=frozenset())
    assert classify(run(result="[]"), expectations=other) != judged
    take_back(store, first, [one])
    assert accepted_of(store, third)[one] is None
    assert accepted_of(store, second)[one] is None


def test_a_word_about_an_older_edition_counts_in_those_that_are_there(store: Store) -> None:
    first = loaded(store, edition(1))
    second, other = loaded(store, edition(2)), loaded(store, job_file(3, name="other"))
    one, two, _ = keys(3)
    finished(store, first, suspects=(one, two))
    finished(store, second, suspects=(two,), result='""')
    accept(store, second, [two])
    own = accepted_of(store, second)[two]
    accept(store, first, [one, two])
    assert accepted_of(store, second) == {one: PAIR, two: own, keys(3)[2]: None}
    assert set(accepted_of(store, other).values()) == {None}


def test_a_word_that_was_taken_back_does_not_come_back_with_the_next_edition(store: Store) -> None:
    first = loaded(store, edition(1))
    one = keys(1)[0]
    finished(store, first, suspects=(one,))
    accept(store, first, [one])
    second = loaded(store, edition(2))
    finished(store, second)
    take_back(store, second, [one])
    assert accepted_of(store, first)[one] == PAIR
    assert accepted_of(store, loaded(store, edition(3)))[one] is None


def test_a_job_that_runs_anew_keeps_what_was_accepted_and_a_changed_one_does_not(
    store: Store,
) -> None:
    batch = loaded(store, job_file([spec("a"), spec("b")]))
    finished(store, batch, suspects="ab")
    accept(store, batch, ["a", "b"])
    store.write(rerun_jobs, batch.id, after(70), keys=["a"])
    assert accepted_of(store, batch) == {"a": PAIR, "b": PAIR}
    store.write(load_jobs, job_file([spec("a"), spec("b", goal="Another goal")]), after(80))
    assert accepted_of(store, batch) == {"a": PAIR, "b": None}
    store.write(load_jobs, job_file([spec("a"), spec("b")]), after(90))
    assert accepted_of(store, batch) == {"a": PAIR, "b": PAIR}


# ---- learning ----


def test_the_lines_of_a_result_in_a_wrapper_are_about_its_fields(store: Store) -> None:
    batch = loaded(store, job_file([spec(key, goal="Read the price") for key in "ab"]))
    wrapped = json.dumps({"data": {"name": "Lamp", "price": None}})
    found = replace(NO_PRICE, path="data.price")
    decisions = [suspect(each, wrapped, found) for each in start(store, batch)]
    apply_poll(store, "alice", decisions, [], after(1))
    reject(store, batch, ["a"])
    job, _ = finished_jobs(store, batch.id)
    assert job.finding == Finding(rule="rejected", path="data.price", seen="null")
    learned = learned_rules(store, batch)
    assert learned.expect == {"required": ["price"]}
    (change,) = rejudge(store, batch, {None: learned.expect}).changes
    assert (change.of.key, change.category) == ("b", "invalid_result")


def test_lines_that_contradict_an_accepted_result_are_left_out(store: Store) -> None:
    specs = [spec(key, expect={"required": ["name"]}) for key in "abc"]
    batch = loaded(store, job_file(specs))
    a, b, c = start(store, batch)
    no_price = json.dumps({"name": "Lamp", "price": None})
    decisions = [
        suspect(a, no_price, NO_PRICE),
        suspect(b, no_price, NO_PRICE),
        suspect(c, json.dumps({"name": "404 Not Found", "price": 1}), replace(EMPTY, path="name")),
    ]
    apply_poll(store, "alice", decisions, [], after(1))
    reject(store, batch, ["a"])
    reject(store, batch, ["c"])
    learned = learned_rules(store, batch)
    not_found = {"name": {"not": ["404 Not Found"]}}
    assert learned.expect == {"required": ["name", "price"], "fields": not_found}
    accept(store, batch, ["b"])
    learned = learned_rules(store, batch)
    assert (learned.accepted, learned.rejected) == (1, 2)
    assert learned.expect == {"required": ["name"], "fields": not_found}
    assert [(each.expect, each.contradicts) for each in learned.left_out] == [
        ({"required": ["price"]}, "b"),
        ({"allow": ["placeholder"]}, "a"),
    ]
    found = rejudge(store, batch, {None: learned.expect})
    assert [change.of.key for change in found.changes] == []


def test_an_edition_that_is_removed_during_a_review_ends_it(store: Store) -> None:
    enlist(store, "alice")
    batch = store.write(load_jobs, job_file([spec("lamp")]), NOW).batch
    finished(store, batch, ["lamp"])
    rows = review_rows(store, batch)
    while store.write(prune_chunk, batch.id):
        pass
    assert [*rows] == []
    with pytest.raises(UsageError, match="was removed meanwhile"):
        _ = rows[0]


def test_a_word_about_a_result_that_is_being_bought_again_changes_nothing(store: Store) -> None:
    enlist(store, "alice")
    batch = store.write(load_jobs, job_file([spec("lamp")]), NOW).batch
    finished(store, batch, ["lamp"])
    (read,) = stored_results(store, batch.id)
    assert store.write(rerun_jobs, batch.id, after(9), suspect=True)[0] == 1
    good = Succeeded(verdict=Verdict.GOOD)
    assert store.write(rewrite_judgements, [(read, good)]) == 0
