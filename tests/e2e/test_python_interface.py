"""The public Python interface: batches are loaded, run, steered and read without commands."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

import batchrunner as br
from batchrunner.app import open_database
from batchrunner.app.batch_handle import BatchHandle
from batchrunner.app.database_address import DatabaseAddress
from batchrunner.app.job_stream import JobStream
from batchrunner.app.run_arguments import RunArguments
from batchrunner.sandbox.http.background import BackgroundSandbox
from batchrunner.selftest.subprocesses import environment
from batchrunner.store import database
from tests.e2e.programs import served, wait_until
from tests.e2e.test_doctor import REFUSAL, answering
from tests.sweeps import some

QUICK = (0.05, 0.15)
#: Longer than any test waits: a test that needs the end of such a run hangs.
ENDLESS = (600.0, 600.0)


def rows(count: int, **more: Any) -> list[dict[str, Any]]:
    goal = "Read the title and price"
    return [
        {"id": f"job-{n}", "url": f"http://shop.test/products/{1 + n % 16}?n={n}", "goal": goal}
        | more
        for n in range(count)
    ]


@pytest.fixture
def api() -> Iterator[BackgroundSandbox]:
    with br.sandbox(durations=QUICK) as served:
        yield served


@pytest.fixture
def db(tmp_path: Path) -> Iterator[br.BatchDatabase]:
    with br.open(tmp_path / "prices.db") as opened:
        yield opened


def created(journal: Path) -> int:
    lines = journal.read_text().splitlines() if journal.exists() else []
    return sum(len(json.loads(line).get("runs", ())) for line in lines)


# ---- what it is ----


def test_importing_the_package_loads_no_library() -> None:
    heavy = ("sqlalchemy", "httpx", "anyio", "click", "yaml", "rich", "starlette")
    script = f"import batchrunner, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True
    )
    assert done.stdout == "[]\n", done.stderr


def test_every_public_name_can_be_used() -> None:
    assert dir(br) == sorted(br.__all__)
    assert all(getattr(br, name) is not None for name in br.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        br.nothing  # noqa: B018


def test_a_batch_from_a_job_file_to_its_rows(
    tmp_path: Path,
    api: BackgroundSandbox,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TINYFISH_BASE_URL", api.url)
    monkeypatch.setenv("TINYFISH_API_KEY", api.key)
    jobs_of_file = [
        *rows(5),
        {"url": "http://faults.test/goal_failure", "goal": "Read it", "id": "bad"},
    ]
    whole = {"settings": {"max_attempts": 1, "rate": "$0.01"}, "jobs": jobs_of_file}
    Path("jobs.yaml").write_text(json.dumps(whole))
    failed = []
    with br.open("prices.db") as db:
        batch = db.load("jobs.yaml")
        with batch.run(concurrency=10, budget="$20") as jobs:
            for job in jobs:
                if not job.succeeded:
                    failed.append((job.url, job.category, job.message))
        counts = batch.status().counts
        batch.retry(category="blocked")
        batch.run_all()
        batch.export("prices.csv")
        found = list(batch.rows())
    assert jobs.ended is not None
    assert jobs.ended.reason is br.ExitReason.FINISHED
    assert [url for url, _, _ in failed] == ["http://faults.test/goal_failure"]
    assert counts.total == 6
    assert counts.jobs[br.JobState.SUCCEEDED] == 5
    assert len(Path("prices.csv").read_text().splitlines()) == 7
    assert [row["id"] for row in found] == ["job-0", "job-1", "job-2", "job-3", "job-4", "bad"]
    assert found[0]["result"]["title"]
    assert capsys.readouterr() == ("", "")


def test_rows_are_a_batch_and_are_loaded_once(db: br.BatchDatabase) -> None:
    first = db.load(rows=rows(3), name="prices")
    again = db.load(rows=rows(4), name="prices")
    assert first.loaded is not None
    assert again.loaded is not None
    assert (first.loaded.added, again.loaded.added, again.loaded.known) == (3, 1, 3)
    assert again.loaded.changed == ()
    assert [batch.name for batch in db.batches()] == ["prices"]
    assert db.batch().name == db.batch("prices").name == "prices"


def test_a_known_job_with_another_goal_takes_it_and_is_named(db: br.BatchDatabase) -> None:
    db.load(rows=rows(2), name="prices")
    other = [*rows(1), rows(2)[1] | {"goal": "Read the reviews"}]
    loaded = db.load(rows=other, name="prices").loaded
    assert loaded is not None
    assert (loaded.added, loaded.known, loaded.changed) == (0, 2, ("job-1",))
    assert loaded.comparison is not None
    assert loaded.comparison.fields["goal"].jobs == 1


def test_a_large_edit_raises_and_never_asks(db: br.BatchDatabase, tmp_path: Path) -> None:
    file = tmp_path / "prices.json"
    file.write_text(json.dumps(rows(30)))
    db.load(file)
    file.write_text(json.dumps(rows(3)))
    with pytest.raises(br.EditNeedsDecision, match="would withdraw 27 of 30 jobs") as raised:
        db.load(file)
    assert raised.value.comparison.withdrawn == 27
    assert db.load(file, on_missing="append").status().counts.total == 30
    assert db.load(file, on_missing="withdraw").status().counts.total == 3


def test_what_a_notebook_shows_names_the_thing_once_and_no_password(
    db: br.BatchDatabase, api: BackgroundSandbox, tmp_path: Path
) -> None:
    place = tmp_path / "prices.db"
    batch = db.load(rows=rows(1), name="prices")
    batch.run_all(api=api)
    assert (repr(db), repr(batch)) == (f"<database {place}>", f"<batch 'prices' of {place}>")
    (job,) = batch.jobs()
    assert repr(job).count("http://shop.test/products/1?n=0") == 1
    assert job.row["url"] == job.url
    server = DatabaseAddress(address="postgresql://me:secret@host/db", api_key="secret")
    remote = BatchHandle(db._store, batch._batch, server)
    assert repr(remote) == "<batch 'prices' of postgresql://me:***@host/db>"
    assert "secret" not in repr(server)


@pytest.mark.sweep
def test_a_cell_that_is_run_again_pays_for_nothing_twice(tmp_path: Path) -> None:
    journal = tmp_path / "sandbox.jsonl"

    def cell() -> list[str]:
        with br.sandbox(journal, durations=QUICK) as api, br.open(tmp_path / "a.db") as db:
            batch = db.load(rows=rows(4), name="prices")
            with batch.run(api=api) as jobs:
                return [job.id for job in jobs]

    assert sorted(cell()) == [f"job-{n}" for n in range(4)]
    assert cell() == []
    assert created(journal) == 4


@pytest.mark.sweep
def test_a_batch_is_paused_changed_and_resumed(
    db: br.BatchDatabase, api: BackgroundSandbox
) -> None:
    batch = db.load(rows=rows(2), name="prices")
    assert batch.pause("wait").running == 0
    paused = batch.status().paused
    assert paused is not None
    assert paused.reason == "wait"
    batch.set(concurrency="auto", budget="500 steps")
    assert batch.status().concurrency == 0
    assert str(batch.status().budget.budget) == "500 steps"  # type: ignore[union-attr]
    assert batch.unpark("shop.test") == set(), "it was not parked"
    assert batch.status().paused is not None
    resumed = batch.resume()
    assert (resumed.was_paused, resumed.has_runner) == (True, False)
    assert batch.run_all(api=api).reason is br.ExitReason.FINISHED
    assert batch.run_all(api=api).reason is br.ExitReason.FINISHED, "a finished batch is no error"
    assert batch.status().finished


@pytest.mark.sweep
def test_waiting_jobs_are_cancelled_and_put_back(
    db: br.BatchDatabase, api: BackgroundSandbox
) -> None:
    batch = db.load(rows=rows(3), name="prices")
    assert batch.cancel(job="job-1").cancelled == 1
    assert batch.cancel(host="shop.test").cancelled == 2
    with pytest.raises(br.UsageError, match="no job of such an id"):
        batch.cancel(job="job-1")
    assert batch.retry(job=["job-0", "job-1"]).jobs == 2
    batch.run_all(api=api)
    assert [row["state"] for row in batch.rows()] == ["succeeded", "succeeded", "cancelled"]


@pytest.mark.sweep
def test_runs_in_flight_are_cancelled_where_no_runner_is_at_work(
    tmp_path: Path, db: br.BatchDatabase
) -> None:
    with br.sandbox(durations=ENDLESS) as api:
        batch = db.load(rows=rows(2), name="prices")
        with batch.run(api=api) as jobs:
            wait_until(lambda: batch.status().counts.jobs[br.JobState.RUNNING] == 2, "two runs")
            jobs._thread.control.leave()
        result = batch.cancel(api=api)
        assert (result.in_flight, result.runner_at_work) == (2, False)
        assert batch.status().counts.jobs[br.JobState.CANCELLED] == 2


@pytest.mark.sweep
def test_results_are_judged_again_without_a_run(
    tmp_path: Path, db: br.BatchDatabase, api: BackgroundSandbox
) -> None:
    batch = db.load(rows=rows(2), name="prices")
    batch.run_all(api=api)
    (tmp_path / "expect.yaml").write_text("fields: {price: {minimum: 1000000}}\n")
    listed = batch.judge(expect_file=tmp_path / "expect.yaml")
    assert (listed.judged, len(listed.changes), listed.applied) == (2, 2, None)
    assert batch.judge(expect_file=tmp_path / "expect.yaml", apply=True).applied == 2
    assert batch.status().failed == {br.FailureCategory.INVALID_RESULT: 2}
    assert batch.time_and_cost().used.whole.attempts == 2
    assert batch.artifacts() == []


# ---- a consumer that is slow, leaves, or fails ----


@pytest.mark.sweep
def test_a_slow_consumer_does_not_hold_the_runner_up(
    db: br.BatchDatabase, api: BackgroundSandbox
) -> None:
    batch = db.load(rows=rows(12), name="prices")
    with batch.run(api=api, concurrency=2) as jobs:
        seen = [next(jobs).id]
        # The consumer does nothing until the runner is at its end.
        assert jobs.wait().reason is br.ExitReason.FINISHED
        seen += [job.id for job in jobs]
    assert sorted(seen) == sorted(row["id"] for row in rows(12))


@pytest.mark.sweep
def test_jobs_that_are_cancelled_while_they_wait_come_once_too(
    db: br.BatchDatabase, api: BackgroundSandbox
) -> None:
    batch = db.load(rows=rows(20), name="prices")
    batch.cancel(job="job-19")
    with batch.run(api=api, concurrency=1) as jobs:
        first = next(jobs)
        assert batch.cancel().cancelled > 10
        rest = list(jobs)
    ids = [job.id for job in [first, *rest]]
    assert sorted(ids) == sorted(f"job-{n}" for n in range(19)), "job-19 was final before"
    assert first.succeeded


@pytest.mark.sweep
def test_leaving_the_block_early_waits_for_runs_in_flight(tmp_path: Path) -> None:
    journal = tmp_path / "sandbox.jsonl"
    with br.sandbox(journal, durations=QUICK) as api, br.open(tmp_path / "a.db") as db:
        batch = db.load(rows=rows(40), name="prices")
        with batch.run(api=api, concurrency=2) as jobs:
            for _ in jobs:
                break
        ended = jobs.ended
        assert ended is not None
        assert ended.reason is br.ExitReason.DRAINED
        assert ended.counts.jobs[br.JobState.RUNNING] == 0
        assert ended.counts.jobs[br.JobState.SUCCEEDED] == created(journal) < 40
        batch.run_all(api=api, concurrency=20)
        assert batch.status().succeeded == created(journal) == 40


@pytest.mark.sweep
def test_an_error_in_the_block_drains_and_is_raised(
    db: br.BatchDatabase, api: BackgroundSandbox
) -> None:
    batch = db.load(rows=rows(40), name="prices")
    with pytest.raises(ZeroDivisionError), batch.run(api=api, concurrency=2) as jobs:  # noqa: PT012
        for _ in jobs:
            1 / 0  # noqa: B018
    assert jobs.ended is not None
    assert jobs.ended.reason is br.ExitReason.DRAINED


def test_one_interrupt_drains(db: br.BatchDatabase, api: BackgroundSandbox) -> None:
    batch = db.load(rows=rows(40), name="prices")
    with pytest.raises(KeyboardInterrupt), batch.run(api=api, concurrency=2) as jobs:  # noqa: PT012
        next(jobs)
        raise KeyboardInterrupt
    assert jobs.ended is not None
    assert jobs.ended.reason is br.ExitReason.DRAINED
    assert batch.status().counts.jobs[br.JobState.RUNNING] == 0


def test_an_interrupt_while_it_waits_for_runs_leaves_at_once(
    tmp_path: Path, db: br.BatchDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = tmp_path / "sandbox.jsonl"
    with br.sandbox(journal, durations=ENDLESS) as api:
        batch = db.load(rows=rows(5), name="prices")
        with pytest.raises(KeyboardInterrupt), batch.run(api=api, concurrency=3) as jobs:  # noqa: PT012
            wait_until(lambda: batch.status().counts.jobs[br.JobState.RUNNING] == 3, "3 runs")
            wait_until(lambda: created(journal) == 3, "three runs at the API")
            _interrupt_the_next_wait(jobs, monkeypatch)
            raise KeyboardInterrupt
        assert jobs.ended is not None
        assert jobs.ended.reason is None
        assert batch.status().counts.jobs[br.JobState.RUNNING] == 3, "they go on remotely"
    assert created(journal) == 3


def _interrupt_the_next_wait(jobs: JobStream, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt the wait for runs in flight once, as a second Ctrl-C does."""
    thread = jobs._thread
    wait, waits = thread.wait, iter([True])

    def interrupted() -> None:
        if next(waits, False):
            raise KeyboardInterrupt
        wait()

    monkeypatch.setattr(thread, "wait", interrupted)


def test_a_stream_that_was_not_entered_says_how_to_begin_it(
    db: br.BatchDatabase, api: BackgroundSandbox
) -> None:
    batch = db.load(rows=rows(1), name="prices")
    for wrong in (iter, next, JobStream.wait):
        with pytest.raises(br.UsageError, match=r"use: with batch\.run\(…\) as jobs:"):
            wrong(batch.run(api=api))  # type: ignore[operator]
    assert batch.status().counts.jobs[br.JobState.SUCCEEDED] == 0


def test_an_async_stream_that_was_not_entered_says_how_to_begin_it(
    db: br.BatchDatabase, api: BackgroundSandbox
) -> None:
    stream = db.load(rows=rows(1), name="prices").arun(api=api)

    async def main() -> None:
        async for _ in stream:
            pass

    with pytest.raises(br.UsageError, match=r"use: async with batch\.arun\(…\) as jobs:"):
        anyio.run(main)


# ---- event loops and threads ----


FORK = """
import os, sys
import batchrunner as br

rows = [{"id": "1", "url": "http://shop.test/products/1", "goal": "Read the title"}]
with br.sandbox(durations=(0.05, 0.05)) as api, br.open("a.db") as db:
    with db.load(rows=rows, name="prices").run(api=api) as jobs:
        child = os.fork()
        if not child:
            try:
                next(jobs)
            except br.UsageError as error:
                print(error.what, flush=True)
                jobs.__exit__(None, None, None)  # does not wait
                os._exit(7)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(code, [job.id for job in jobs])
"""


@pytest.mark.sweep
def test_a_forked_child_is_refused_and_the_parent_goes_on(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORK],
        env=environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    said = ["the runner of batch 'prices' is in another process", "7 ['1']"]
    assert done.stdout.splitlines() == said, done.stderr


@pytest.mark.parametrize("backend", some(["asyncio", "trio"], quick=1))
def test_it_runs_inside_an_event_loop(
    db: br.BatchDatabase, api: BackgroundSandbox, backend: str
) -> None:
    async def main() -> list[str]:
        async with db.load(rows=rows(6), name="prices").arun(api=api) as jobs:
            return [job.id async for job in jobs]

    assert len(anyio.run(main, backend=backend)) == 6
    assert db.batch("prices").status().finished


def test_the_plain_form_works_in_a_running_loop_as_in_a_notebook(
    db: br.BatchDatabase, api: BackgroundSandbox
) -> None:
    async def main() -> br.BatchRunEnded:
        return db.load(rows=rows(3), name="prices").run_all(api=api)

    assert anyio.run(main).reason is br.ExitReason.FINISHED


@pytest.mark.parametrize("backend", some(["asyncio", "trio"], quick=1))
def test_a_cancelled_task_leaves_at_once(
    tmp_path: Path, db: br.BatchDatabase, backend: str
) -> None:
    journal = tmp_path / "sandbox.jsonl"

    async def main(api: BackgroundSandbox) -> br.AsyncJobStream:
        stream = db.load(rows=rows(3), name="prices").arun(api=api)
        with anyio.CancelScope() as scope:
            async with stream as jobs:
                await anyio.to_thread.run_sync(wait_until, lambda: created(journal) == 3, "runs")
                scope.cancel()
                await jobs.__anext__()
        return stream

    with br.sandbox(journal, durations=ENDLESS) as api:
        ended = anyio.run(main, api, backend=backend).ended
    assert ended is not None
    assert ended.reason is None


@pytest.mark.sweep
def test_two_threads_run_two_batches_of_one_database(
    db: br.BatchDatabase, api: BackgroundSandbox
) -> None:
    batches = [db.load(rows=rows(5), name=name) for name in ("one", "two")]
    threads = [threading.Thread(target=lambda b=batch: b.run_all(api=api)) for batch in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [batch.status().succeeded for batch in batches] == [5, 5]


# ---- what cannot go on ----


def test_bad_rows_are_reported_together(db: br.BatchDatabase) -> None:
    bad = [{"url": "http://a.example"}, {"url": "no address", "goal": "x"}, "nothing"]
    with pytest.raises(br.InputError, match="job 3") as caught:
        db.load(rows=bad, name="prices")  # type: ignore[arg-type]
    assert len(caught.value.problems) == 3
    assert db.batches() == []


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"rows": [], "job_file": "jobs.yaml"},
        {"rows": rows(1)},
        {"job_file": "jobs.yaml", "name": "prices"},
        {"rows": [{"url": "http://a.example", "goal": object()}], "name": "prices"},
    ],
)
def test_wrong_arguments_say_what_is_right(db: br.BatchDatabase, arguments: dict[str, Any]) -> None:
    with pytest.raises(br.UsageError) as caught:
        db.load(**arguments)
    assert caught.value.next


def test_a_file_that_is_missing_or_a_folder(db: br.BatchDatabase, tmp_path: Path) -> None:
    batch = db.load(rows=rows(1), name="prices")
    missing, folder = tmp_path / "missing.yaml", tmp_path
    for use in (
        db.load,
        lambda path: batch.judge(expect_file=path),
        lambda path: batch.judge(job_file=path),
    ):
        with pytest.raises(br.UsageError, match=r"there is no file .*missing\.yaml"):
            use(missing)
        with pytest.raises(br.UsageError, match="is a folder"):
            use(folder)


def test_a_batch_that_is_not_there_and_a_bound_that_is_none(
    db: br.BatchDatabase, api: BackgroundSandbox
) -> None:
    with pytest.raises(br.UsageError, match="no batch 'prices'"):
        db.batch("prices")
    batch = db.load(rows=rows(1), name="prices")
    for wrong in (0, 1001, "many", True):
        with pytest.raises(br.UsageError, match="concurrency"):
            batch.run(api=api, concurrency=wrong)
    with pytest.raises(br.UsageError, match="no budget"):
        batch.run_all(api=api, budget="much")
    with pytest.raises(br.UsageError, match="'bad'"):
        batch.retry(category="bad")
    with pytest.raises(br.UsageError, match="did you mean `blocked`"):
        batch.retry(category="blokced")


def test_an_empty_database_is_named_where_a_batch_is_missing(
    db: br.BatchDatabase, tmp_path: Path
) -> None:
    with pytest.raises(br.UsageError) as caught:
        db.batch("prices")
    assert caught.value.next.endswith(f"in the database {tmp_path / 'prices.db'}: none yet")


def test_an_option_that_does_not_exist_begins_nothing(
    db: br.BatchDatabase, api: BackgroundSandbox
) -> None:
    batch = db.load(rows=rows(1), name="prices")
    for method in (batch.run, batch.arun, batch.run_all):
        with pytest.raises(TypeError, match=r"'budjet': did you mean `budget`\?"):
            method(api=api, budjet="1 steps")  # type: ignore[operator]
    assert batch.status().counts.jobs[br.JobState.AVAILABLE] == 1


@pytest.mark.parametrize("method", ["run", "arun", "run_all"])
def test_help_shows_every_option_of_a_run(method: str) -> None:
    options = dict(inspect.signature(getattr(br.BatchHandle, method)).parameters)
    del options["self"]
    assert list(options) == list(RunArguments.__annotations__)
    assert all(each.kind is inspect.Parameter.KEYWORD_ONLY for each in options.values())
    said = inspect.getdoc(getattr(br.BatchHandle, method)) or ""
    assert all(f"\n{name}: " in said for name in options)


@pytest.mark.parametrize(
    "wrong",
    [
        {"budget": 20},
        {"budget": 20.0},
        {"budget": "much"},
        {"start_at": 22},
        {"until": 7},
        {"artifacts": 7},
        {"api": "http://127.0.0.1:8765"},
        {"api": ""},
        {"api": br.ApiAccess(url="", key="k" * 20)},
        {"api": br.ApiAccess(url="no address", key="k" * 20)},
        {"leave_runs": "no"},
        {"webhook_listen": 8765},
        {"observer": print},
    ],
)
def test_a_run_refuses_a_wrong_value_before_it_begins(
    db: br.BatchDatabase, api: BackgroundSandbox, wrong: dict[str, Any]
) -> None:
    batch = db.load(rows=rows(1), name="prices")
    with pytest.raises(br.UsageError) as caught:
        batch.run(**({"api": api} | wrong))
    assert caught.value.next


def test_values_of_wrong_types_say_what_is_right(db: br.BatchDatabase, tmp_path: Path) -> None:
    batch = db.load(rows=rows(1), name="prices")
    wrong: list[Callable[[], object]] = [
        lambda: batch.set(budget=20),  # type: ignore[arg-type]
        lambda: batch.set(budget="20 steps", concurrency=0),
        lambda: batch.retry(job=3),  # type: ignore[arg-type]
        lambda: batch.retry(category=[3]),  # type: ignore[list-item]
        lambda: batch.cancel(host=3),  # type: ignore[arg-type]
        lambda: batch.pause(3),  # type: ignore[arg-type]
        lambda: batch.judge(expect_file=3),  # type: ignore[arg-type]
        lambda: batch.export(3),  # type: ignore[arg-type]
        lambda: batch.fetch_artifacts(3, api=br.ApiAccess(url="http://127.0.0.1:1", key="k")),  # type: ignore[arg-type]
        lambda: db.load(3),  # type: ignore[arg-type]
        lambda: db.load(rows=5, name="prices"),  # type: ignore[arg-type]
        lambda: db.load(rows="jobs.yaml", name="prices"),  # type: ignore[arg-type]
        lambda: db.load(rows=rows(1), name=5),  # type: ignore[arg-type]
        lambda: db.batch(5),  # type: ignore[arg-type]
        lambda: br.open(3),  # type: ignore[arg-type]
    ]
    for call in wrong:
        with pytest.raises(br.UsageError) as caught:
            call()
        assert caught.value.next
    assert batch.status().budget is None
    assert not Path("3").exists()


def test_no_key_is_an_error_before_anything_begins(
    db: br.BatchDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TINYFISH_API_KEY", raising=False)
    with pytest.raises(br.CannotContinue, match="no API key"):
        db.load(rows=rows(1), name="prices").run()


def test_a_key_that_the_api_refuses_stops_the_run(tmp_path: Path) -> None:
    with (
        answering(401, REFUSAL) as url,
        br.open(tmp_path / "a.db", api_url=url, api_key="another") as db,
        pytest.raises(br.ApiError, match="stopped") as caught,
    ):
        db.load(rows=rows(2), name="prices").run_all()
    assert "no attempt was used up" in caught.value.next


def test_a_job_of_the_sandbox_is_not_paid_for(db: br.BatchDatabase) -> None:
    batch = db.load(rows=rows(1), name="prices")
    with pytest.raises(br.UsageError, match="exists only in the sandbox"):
        batch.run(api=br.ApiAccess(url="https://agent.example", key="k" * 20))


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("not a database" * 100)
    with pytest.raises(br.DatabaseError, match="not an SQLite file") as caught:
        br.open(tmp_path / "text.db")
    assert caught.value.next
    with pytest.raises(br.UsageError, match="in memory"):
        br.open(":memory:")


def test_a_locked_database_is_an_error_for_people(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_database, "OPEN_PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(open_database, "OPEN_RETRY_SECONDS", 0.0)
    monkeypatch.setattr(database, "BUSY_SECONDS", 0)
    with br.open(tmp_path / "a.db") as db:
        db.load(rows=rows(1), name="prices")
    import sqlite3

    other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(br.DatabaseError, match="locked by another program"):
        br.open(tmp_path / "a.db")
    other.close()


# ---- a kernel that dies ----

CELL = """
import sys
import batchrunner as br

with br.open("prices.db") as db:
    batch = db.load("jobs.yaml")
    with batch.run(concurrency=4) as jobs:
        for job in jobs:
            print(job.id, job.state, flush=True)
print("ended", jobs.ended.reason, flush=True)
"""


@pytest.mark.sweep
def test_a_kernel_that_is_killed_in_the_cell_goes_on_in_the_next_one(tmp_path: Path) -> None:
    count = 8
    (tmp_path / "jobs.yaml").write_text(json.dumps(rows(count)))
    with served(tmp_path, durations=(0.3, 0.8)) as remote:

        def kernel() -> subprocess.Popen[str]:
            return subprocess.Popen(
                [sys.executable, "-c", CELL],
                cwd=tmp_path,
                env=environment(**remote.env),
                stdout=subprocess.PIPE,
                text=True,
            )

        killed = kernel()
        assert killed.stdout is not None
        assert "succeeded" in killed.stdout.readline()
        killed.kill()
        killed.communicate()
        again = kernel()
        said, _ = again.communicate(timeout=180)
        runs = remote.created()
    assert again.returncode == 0
    assert said.endswith("ended finished\n")
    assert runs == count, "a run was paid for twice"
    with br.open(tmp_path / "prices.db") as db:
        assert db.batch().status().succeeded == count
