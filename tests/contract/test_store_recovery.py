"""Runs that another database made become attempts of their jobs, on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from batchrunner.model import Batch, JobSpec, JobState, RunStatus
from batchrunner.model.markers import Marker, job_digest
from batchrunner.policy.recovery import FoundRun
from batchrunner.store import recovery
from batchrunner.store.attempts import runs_in_flight
from batchrunner.store.audit import audit_column, losses
from batchrunner.store.batches import load_jobs
from batchrunner.store.orphans import open_orphans
from batchrunner.store.reports import batch_counts
from batchrunner.store.store import Store
from tests.fakes import NOW, begin, claim, job_file, start


def digest_of(spec: JobSpec) -> str:
    return job_digest(spec.url, spec.goal, spec.options)


def found(
    run_id: str,
    digest: str,
    position: int = 1,
    submission: str = "elsewhere",
    status: RunStatus = RunStatus.RUNNING,
) -> FoundRun:
    mark = Marker(batch="another", submission=submission, position=position, job=digest)
    return FoundRun(run_id=run_id, marker=mark, status=status, created_at=NOW, steps=3)


def loaded(store: Store, jobs: int) -> tuple[Batch, list[JobSpec]]:
    return begin(store, jobs), list(job_file(jobs).specs)


def open_runs(store: Store, batch: Batch, runs: dict[str, FoundRun]) -> set[str]:
    return store.write(recovery.open_recovered, "alice", batch.id, runs, NOW)


def test_each_run_becomes_the_open_attempt_of_its_job(store: Store) -> None:
    batch, specs = loaded(store, 3)
    runs = {
        spec.key: found(f"r{place}", digest_of(spec), place)
        for place, spec in enumerate(specs[:2], 1)
    }
    assert open_runs(store, batch, runs) == {"r1", "r2"}
    opened = store.read(runs_in_flight, "alice", batch.id)
    assert [(each.run_id, each.job.attempt) for each in opened] == [("r1", 1), ("r2", 1)]
    assert [each.marker for each in opened] == [run.marker.text for run in runs.values()]
    counts = store.read(batch_counts, batch.id)
    assert (counts.jobs[JobState.RUNNING], counts.jobs[JobState.AVAILABLE]) == (2, 1)


def test_a_job_that_runs_or_is_another_one_here_takes_no_run(store: Store) -> None:
    batch, specs = loaded(store, 2)
    [running, *_] = start(store, batch)
    runs = {running.job.key: found("r1", digest_of(specs[0]))}
    assert open_runs(store, batch, runs) == set()
    other = {specs[1].key: found("r2", digest_of(specs[0]))}
    assert open_runs(store, batch, other) == set()


def test_of_two_runs_with_one_marker_the_second_gets_no_attempt(store: Store) -> None:
    batch, specs = loaded(store, 2)
    runs = {spec.key: found(f"r{n}", digest_of(spec)) for n, spec in enumerate(specs, 1)}
    assert open_runs(store, batch, runs) == {"r1"}  # both name position 1


def test_runs_that_are_over_and_not_needed_are_orphans_that_nobody_cancels(store: Store) -> None:
    batch, specs = loaded(store, 1)
    spare = found("r1", digest_of(specs[0]), status=RunStatus.COMPLETED)
    store.write(recovery.add_ended_orphans, "alice", batch.id, [spare], NOW)
    store.write(recovery.add_ended_orphans, "alice", batch.id, [spare], NOW)
    assert store.read(open_orphans, batch.id) == []
    assert store.read(recovery.unknown_runs, [spare]) == []
    assert store.read(batch_counts, batch.id).steps == 3


def test_runs_that_the_database_wrote_itself_are_left_to_reconciling(store: Store) -> None:
    batch, specs = loaded(store, 1)
    [submission] = claim(store, batch)
    batch_token, submission_token = submission.marker_token.split("-")
    mark = Marker(
        batch=batch_token, submission=submission_token, position=1, job=digest_of(specs[0])
    )
    own = replace(found("r1", digest_of(specs[0])), marker=mark)
    assert store.read(recovery.unknown_runs, [own]) == []
    assert store.read(recovery.unknown_runs, [found("r2", "x")])[0].run_id == "r2"


def test_a_batch_keeps_its_own_name_and_a_new_one_takes_the_lost_ones(store: Store) -> None:
    batch, _ = loaded(store, 1)
    store.write(recovery.take_batch_token, batch.id, "another")
    store.write(recovery.take_batch_token, batch.id, "third00")
    assert store.read(recovery.batch_tokens) == {"another"}
    [submission] = claim(store, batch)
    assert submission.marker_token.startswith("another-")


def test_three_jobs_stand_for_a_batch(store: Store) -> None:
    batch, specs = loaded(store, 7)
    assert store.read(recovery.sample_jobs, batch.id) == [
        digest_of(specs[place]) for place in (0, 3, 6)
    ]
    assert store.read(recovery.has_submitted, batch.id) is False
    claim(store, batch, now=NOW + timedelta(seconds=1))
    assert store.read(recovery.has_submitted, batch.id) is True
    empty = store.write(load_jobs, job_file(0, name="empty"), NOW).batch
    assert store.read(recovery.sample_jobs, empty.id) == []


def test_what_a_lost_database_left_does_not_use_up_the_stop_loss(store: Store) -> None:
    batch, specs = loaded(store, 1)
    spare = found("r1", digest_of(specs[0]), status=RunStatus.COMPLETED)
    store.write(recovery.add_ended_orphans, "alice", batch.id, [spare], NOW)
    lost = store.read(losses, batch.id)
    assert (lost.orphans, lost.steps) == (0, 0)
    assert store.read(audit_column, batch.id).steps == 3
