"""Which artifacts are wanted, and what became of each: written with the end of runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from batchrunner.model import Batch, JobState
from batchrunner.model.artifacts import (
    Artifact,
    ArtifactKind,
    ArtifactResult,
    ArtifactState,
    ListedArtifact,
    WantedArtifact,
)
from batchrunner.store.artifacts import (
    artifact_rows,
    record_listing,
    settle_artifact,
    want_artifacts,
    wanted_artifacts,
)
from batchrunner.store.attempts import apply_poll
from batchrunner.store.batch_reads import artifact_counts
from batchrunner.store.leases import end_owner
from batchrunner.store.reports import finished_jobs
from batchrunner.store.store import Store
from tests.fakes import NOW, after, begin, enlist, retry, spec, start, success

RECORDED = {"capture_config": {"recording": True}}
STORED = ArtifactResult(
    state=ArtifactState.STORED, size=7, sha256="ab", media="image/jpeg", path="/a/1"
)
SHOT = ListedArtifact(kind=ArtifactKind.SCREENSHOTS, step=1, name="s-1")


def ended(store: Store, count: int = 1, *, wanted: bool = True) -> Batch:
    batch = begin(store, count, concurrency=count)
    if wanted:
        store.write(want_artifacts, batch.id, lasting=True)
    apply_poll(store, "alice", [success(attempt) for attempt in start(store, batch)], [], NOW)
    return batch


def left(
    store: Store, batch: Batch, **chosen: object
) -> list[tuple[str, ArtifactKind | None, int]]:
    found = store.read(wanted_artifacts, batch.id, 100, **chosen)  # type: ignore[arg-type]
    return [(each.key, each.kind, each.step) for each in found]


def one(store: Store, batch: Batch) -> WantedArtifact:
    return store.read(wanted_artifacts, batch.id, 1)[0]


def test_nothing_is_wanted_of_a_batch_that_did_not_ask(store: Store) -> None:
    batch = ended(store, wanted=False)
    assert left(store, batch) == []
    assert store.read(artifact_counts, batch.id).left == 0


def test_what_a_run_has_is_asked_for_from_its_end_on(store: Store) -> None:
    batch = begin(store, [spec("a", options=RECORDED), spec("b")], concurrency=2)
    store.write(want_artifacts, batch.id, lasting=True)
    first, second = start(store, batch)
    assert left(store, batch) == []
    apply_poll(store, "alice", [success(first)], [], NOW)
    assert left(store, batch) == [("a", None, 0)]
    assert one(store, batch).recorded
    apply_poll(store, "alice", [retry(second, after(5))], [], NOW)
    assert left(store, batch) == [("a", None, 0), ("b", None, 0)]
    assert store.read(artifact_counts, batch.id).unlisted == 2


def test_what_ended_before_can_be_asked_for_later_and_once(store: Store) -> None:
    batch = ended(store, 2, wanted=False)
    store.write(want_artifacts, batch.id, "another job", lasting=False)
    assert left(store, batch) == []
    names = [job.key for job in finished_jobs(store, batch.id)]
    store.write(want_artifacts, batch.id, names[1], lasting=False)
    assert left(store, batch) == [(names[1], None, 0)]
    for _ in range(2):
        store.write(want_artifacts, batch.id, lasting=False)
    assert left(store, batch) == [(name, None, 0) for name in names]


def test_a_run_is_listed_once_and_each_artifact_settled_once(store: Store) -> None:
    batch = ended(store)
    asked = one(store, batch)
    bad = ListedArtifact(kind=ArtifactKind.HTML, step=1, reason="no id")
    store.write(record_listing, asked, [SHOT, bad, ListedArtifact(kind=ArtifactKind.VIDEO)])
    store.write(
        record_listing, asked, [ListedArtifact(kind=ArtifactKind.SCREENSHOTS, step=9, name="late")]
    )
    [(key, _, _), _] = left(store, batch)
    assert left(store, batch) == [(key, ArtifactKind.SCREENSHOTS, 1), (key, ArtifactKind.VIDEO, 0)]
    shot = one(store, batch)
    assert (shot.name, store.write(settle_artifact, shot, STORED)) == ("s-1", True)
    gone = ArtifactResult(state=ArtifactState.GONE, reason="not there")
    assert not store.write(settle_artifact, shot, gone), "what is stored stays so"
    states = {each.kind: each.state for each in store.read(artifact_rows, batch.id)}
    assert states == {
        ArtifactKind.SCREENSHOTS: ArtifactState.STORED,
        ArtifactKind.HTML: ArtifactState.REFUSED,
        ArtifactKind.VIDEO: ArtifactState.WANTED,
    }
    counts = store.read(artifact_counts, batch.id)
    assert (counts.left, counts.unlisted, counts.bytes) == (1, 0, 7)


def test_what_is_left_keeps_the_reason_and_stays_wanted(store: Store) -> None:
    batch = ended(store)
    store.write(record_listing, one(store, batch), [SHOT])
    busy = ArtifactResult(state=ArtifactState.WANTED, reason="the server is busy")
    assert store.write(settle_artifact, one(store, batch), busy)
    [artifact] = store.read(artifact_rows, batch.id)
    assert (artifact.state, artifact.reason) == (ArtifactState.WANTED, "the server is busy")
    assert len(left(store, batch)) == 1


def test_a_choice_is_kept_to(store: Store) -> None:
    batch = ended(store, 2)
    for asked in store.read(wanted_artifacts, batch.id, 9):
        store.write(record_listing, asked, [SHOT, ListedArtifact(kind=ArtifactKind.VIDEO)])
    first, second = (job.key for job in finished_jobs(store, batch.id))
    assert left(store, batch, key=second) == [
        (second, ArtifactKind.SCREENSHOTS, 1),
        (second, ArtifactKind.VIDEO, 0),
    ]
    assert left(store, batch, kinds=[ArtifactKind.VIDEO]) == [
        (first, ArtifactKind.VIDEO, 0),
        (second, ArtifactKind.VIDEO, 0),
    ]
    at_work = {(one(store, batch).attempt_id, ArtifactKind.SCREENSHOTS.value, 1)}
    assert left(store, batch, without=at_work)[0] == (first, ArtifactKind.VIDEO, 0)
    videos: list[Artifact] = store.read(artifact_rows, batch.id, first, [ArtifactKind.VIDEO])
    assert [(each.key, each.kind) for each in videos] == [(first, ArtifactKind.VIDEO)]


def test_an_owner_fetches_its_own_and_what_the_dead_left(store: Store) -> None:
    batch = ended(store)
    enlist(store, "bob")
    assert len(left(store, batch, owner_id="alice")) == 1
    assert left(store, batch, owner_id="bob") == []
    store.write(end_owner, "alice", NOW)
    assert len(left(store, batch, owner_id="bob")) == 1


def test_exports_have_the_paths_of_the_newest_attempt(store: Store) -> None:
    batch = ended(store)
    store.write(record_listing, one(store, batch), [SHOT, ListedArtifact(kind=ArtifactKind.VIDEO)])
    store.write(settle_artifact, one(store, batch), STORED)
    [job] = finished_jobs(store, batch.id)
    assert (job.state, job.artifacts) == (JobState.SUCCEEDED, ("/a/1",))


def test_two_processes_ask_for_the_same_once(open_store: Callable[[], Store]) -> None:
    one_store, other = open_store(), open_store()
    batch = ended(one_store)
    asked = one(one_store, batch)
    one_store.write(record_listing, asked, [SHOT])
    other.write(record_listing, asked, [SHOT, ListedArtifact(kind=ArtifactKind.VIDEO)])
    assert len(left(other, batch)) == 1


@pytest.mark.parametrize("path", ["/tmp/\ud800", "/tmp/a\0b"])
def test_a_path_that_is_no_text_is_kept_readable(store: Store, path: str) -> None:
    batch = ended(store)
    store.write(record_listing, one(store, batch), [SHOT])
    odd = ArtifactResult(state=ArtifactState.STORED, path=path)
    assert store.write(settle_artifact, one(store, batch), odd)
    assert store.read(artifact_rows, batch.id)[0].path is not None
