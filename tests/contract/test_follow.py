"""Following a batch into a file: each job once, whatever interrupts it."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from batchrunner.app import follow_export
from batchrunner.app.export_results import check_files
from batchrunner.app.follow_export import Followed, follow_batch
from batchrunner.app.output_targets import Target
from batchrunner.app.owned_files import owner_of
from batchrunner.errors import UsageError
from batchrunner.model import Batch, FailureCategory, JobState, OpenAttempt
from batchrunner.store.attempts import apply_poll
from batchrunner.store.controls import retry_jobs
from batchrunner.store.database import Database
from batchrunner.store.schema import jobs
from batchrunner.store.store import Store
from tests.contract.test_exports import revise
from tests.fakes import after, begin, failure, start, success
from tests.quick_migrations import quick_migrations

JOBS = 6


def end(store: Store, attempts: Sequence[OpenAttempt], seconds: int) -> None:
    decisions = [success(each, json.dumps({"n": each.attempt_id})) for each in attempts]
    apply_poll(store, "alice", decisions, [], after(seconds))


def follow(store: Store, batch: Batch, path: Path, looks: int = 1) -> list[Followed]:
    """Follow a batch for some looks, as a process that is then ended."""
    target = Target(path=str(path), format="jsonl")
    seen: list[Followed] = []
    following = follow_batch(
        store, "ledger.db", batch, target, wait=lambda _: None, stop=lambda: len(seen) >= looks
    )
    for each in following:
        seen.append(each)
    return seen


def followed(path: Path) -> list[tuple[str, int]]:
    text = path.read_text()
    assert not text or text.endswith("\n")
    return [(job["id"], job["attempts"]) for job in map(json.loads, text.splitlines())]


def test_each_job_is_appended_once_as_it_ends(store: Store, tmp_path: Path) -> None:
    batch, path = begin(store, JOBS, concurrency=JOBS), tmp_path / "out.jsonl"
    attempts = start(store, batch)
    for number, each in enumerate(attempts[:-1]):
        end(store, [each], number)
        (seen,) = follow(store, batch, path)
        assert (seen.known, seen.written, seen.is_finished) == (number, 1, False)
    assert follow(store, batch, path, looks=3)[-1].written == 0
    end(store, attempts[-1:], 60)
    assert follow(store, batch, path, looks=9)[-1].is_finished, "it goes on behind the end"
    assert followed(path) == [(each.job.key, 1) for each in attempts]
    assert follow(store, batch, path, looks=9)[-1].written == 0


def test_a_job_that_ends_once_more_gets_one_more_line(store: Store, tmp_path: Path) -> None:
    batch, path = begin(store, 2, concurrency=2), tmp_path / "out.jsonl"
    first, second = start(store, batch)
    apply_poll(
        store, "alice", [failure(first, FailureCategory.BLOCKED), success(second)], [], after(1)
    )
    follow(store, batch, path)
    store.write(retry_jobs, batch.id, [], [first.job.key], after(2))
    end(store, start(store, batch, now=after(3)), 4)
    follow(store, batch, path, looks=2)
    assert followed(path) == [(first.job.key, 1), (second.job.key, 1), (first.job.key, 2)]
    revise(store, second.job.key, JobState.CANCELLED)
    for _ in range(2):
        follow(store, batch, path)
    assert followed(path)[3:] == [(second.job.key, 0)], "its newest revision has no run"


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Batch, bytes]]:
    """Give a finished batch on SQLite, and what following it writes."""
    folder = tmp_path_factory.mktemp("ended")
    with quick_migrations():
        store = Store(Database.open(str(folder / "ledger.db")))
    batch = begin(store, JOBS, concurrency=JOBS)
    attempts = start(store, batch)
    never, *rest = attempts
    apply_poll(store, "alice", [failure(never, FailureCategory.REJECTED)], [], after(1))
    store.write(lambda tx: tx.execute(_without_runs(never)))
    end(store, rest, 2)
    follow(store, batch, folder / "whole.jsonl")
    yield store, batch, (folder / "whole.jsonl").read_bytes()
    store.close()


def _without_runs(attempt: OpenAttempt) -> Any:
    from batchrunner.store.schema import attempts

    return update(attempts).where(attempts.c.id == attempt.attempt_id).values(run_id=None)


@pytest.mark.sweep
@given(cuts=st.lists(st.floats(0, 1), min_size=1, max_size=4))
def test_kills_at_any_byte_leave_each_job_exactly_once(
    ended: tuple[Store, Batch, bytes], tmp_path_factory: pytest.TempPathFactory, cuts: list[float]
) -> None:
    store, batch, whole = ended
    path = tmp_path_factory.mktemp("cut") / "out.jsonl"
    for cut in cuts:
        # A file that is only appended to is, after a kill, a start of what it would have become.
        content = path.read_bytes() if path.exists() else whole
        path.write_bytes(content[: round(cut * len(content))])
        follow(store, batch, path)
        assert sorted(followed(path)) == sorted(_lines(whole))
        assert len(path.read_bytes()) == len(whole)


def _lines(whole: bytes) -> list[tuple[str, int]]:
    return [(job["id"], job["attempts"]) for job in map(json.loads, whole.splitlines())]


def test_a_full_disk_leaves_whole_lines_and_names_the_file(
    ended: tuple[Store, Batch, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, batch, whole = ended
    path, write = tmp_path / "out.jsonl", os.write
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:2]))
    before = path.read_bytes()
    calls: list[int] = []

    def half(descriptor: int, data: bytes) -> int:
        calls.append(descriptor)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, bytes(data)[: len(data) // 2])

    monkeypatch.setattr(follow_export.os, "write", half)
    with pytest.raises(OSError, match="No space left") as failed:
        follow(store, batch, path)
    assert failed.value.filename == str(path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    follow(store, batch, path)
    assert sorted(followed(path)) == sorted(_lines(whole))


@pytest.mark.parametrize(
    "content",
    [
        b"sku,price\n1,2\n",
        b"my notes",
        b'{"id": "x"}\n',
        b'{"id":"job-0001","attempts":1,"run_id":"another"}\n',
        b'{"id":"nobody","attempts":1,"run_id":null}\n',
        b"[" * 100_000 + b"\n",
    ],
)
def test_a_file_of_something_else_stays_as_it_is(
    ended: tuple[Store, Batch, bytes], tmp_path: Path, content: bytes
) -> None:
    store, batch, whole = ended
    path = tmp_path / "out.jsonl"
    for start_ in (b"", whole.splitlines(keepends=True)[1]):
        path.write_bytes(start_ + content)
        with pytest.raises(UsageError, match="not a job of this batch"):
            follow(store, batch, path)
        assert path.read_bytes() == start_ + content


def test_two_processes_do_not_follow_into_one_file(
    ended: tuple[Store, Batch, bytes], tmp_path: Path
) -> None:
    store, batch, _ = ended
    path = tmp_path / "out.jsonl"
    with path.open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="another process follows"):
            follow(store, batch, path)
    follow(store, batch, path)
    check_files(
        store,
        "ledger.db",
        owner_of(batch),
        [Target(path=str(path), format="jsonl")],
        overwrite=False,
    )


def test_withdrawn_jobs_are_not_waited_for(store: Store, tmp_path: Path) -> None:
    batch, path = begin(store, 2, concurrency=2), tmp_path / "out.jsonl"
    first, second = start(store, batch)
    end(store, [first], 1)
    withdrawn = update(jobs).where(jobs.c.id == second.job.id).values(withdrawn=True)
    store.write(lambda tx: tx.execute(withdrawn))
    assert follow(store, batch, path, looks=9)[-1].is_finished
    assert followed(path) == [(first.job.key, 1)]
