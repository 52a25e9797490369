"""Loads, runs and exports a large batch of runs of a second, while runners are killed.

python -m benchmarks.million_jobs [--jobs 1000000] [--concurrency 1000] [--runners 1] [--kills 5]
                                  [--slowed] [--yaml] [--postgresql] [--folder DIR]

The runs are those of a stand-in that keeps its own books. Runners are processes; each kill hits one
with SIGKILL, and another takes its place. With `--slowed`, the last one works for a tenth of the
time only. `status` is asked all the while. At the end, no job may be lost, and no job may have been
paid for twice.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import uvicorn
from sqlalchemy import Connection, func, select
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

import batchrunner as br
from batchrunner.api_facts.endpoint_paths import RUN_BATCH, RUNS, RUNS_BATCH
from batchrunner.app.open_database import open_store
from batchrunner.model import JobState
from batchrunner.store.address import file_of
from batchrunner.store.schema import attempts
from benchmarks import million_rows
from benchmarks.chaos import postgresql
from benchmarks.no_time_runs import StandInApi

KEY = "a-key-of-nobody"
NAME = "pairs"
#: What a run takes.
SECONDS = 1.0
#: Longest time in seconds without a new run until the benchmark gives up.
PATIENCE = 300.0


@dataclass
class Books(StandInApi):
    """The stand-in with its own books: how many runs each url was given."""

    paid: Counter[str] = field(default_factory=Counter)
    _created: list[float] = field(default_factory=list)

    async def app(self, request: Request) -> Response:
        """Answer a request over HTTP."""
        body = await request.body()
        if request.method == "POST" and body:
            urls = [run["url"] for run in json.loads(body).get("runs", ())]
            self.paid.update(urls)
            self._created += [time.monotonic()] * len(urls)
        if request.url.path not in (RUN_BATCH, RUNS_BATCH, RUNS):
            return Response('{"error": {"code": "NOT_FOUND"}}', 404, media_type="application/json")
        asked = httpx.Request(request.method, str(request.url), content=body)
        answer = await self.handle_async_request(asked)
        return Response(answer.content, answer.status_code, media_type="application/json")

    def _shown(self, run_id: str) -> str:
        """Show a new run as it goes on: only such a run shows that a search finds those."""
        shown = super()._shown(run_id)
        if time.monotonic() - self._created[int(run_id.removeprefix("run-"))] > SECONDS:
            return shown
        unfinished = {"status": "RUNNING", "finished_at": None, "result": None}
        return json.dumps(json.loads(shown) | unfinished)


@contextmanager
def served(books: Books) -> Iterator[str]:
    """Serve the stand-in on a free port while the block runs; yield its address."""
    app = Starlette()
    app.add_route("/{path:path}", books.app, methods=["GET", "POST"])
    config = uvicorn.Config(app, port=0, log_level="error", access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def work(address: str, concurrency: int) -> None:
    """Run the batch to its end in this process; print what it took."""
    with br.open(address, api_key=KEY, api_url=os.environ["STAND_IN"]) as db:
        ended = db.batch(NAME).run_all(concurrency=concurrency)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, ended.counts.done]))


def _runner(address: str, url: str, concurrency: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.million_jobs", "--work", address]
    return subprocess.Popen(
        [*command, "--concurrency", str(concurrency)],
        env=os.environ | {"STAND_IN": url},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )


def run(address: str, url: str, books: Books, given: argparse.Namespace) -> list[float]:
    """Run all jobs with runners of which some are killed; return their peaks of memory in MB."""
    start = [_runner(address, url, given.concurrency) for _ in range(given.runners)]
    slowed = _slowed(start.pop()) if given.slowed else nullcontext()
    with slowed as last:
        peaks = _with_kills(address, url, books, given, start)
        if last is not None:
            peaks.append(_peak(last))
    return peaks


def _with_kills(
    address: str,
    url: str,
    books: Books,
    given: argparse.Namespace,
    start: list[subprocess.Popen[str]],
) -> list[float]:
    kill_at = [given.jobs * (n + 1) // (given.kills + 1) for n in range(given.kills)]
    for moment in kill_at:
        _wait_for(books, moment, start)
        victim = start.pop(0)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        print(f"  killed one at {books.runs:,} runs", flush=True)
        start.append(_runner(address, url, given.concurrency))
    return [_peak(runner) for runner in start]


def _wait_for(books: Books, runs: int, runners: list[subprocess.Popen[str]]) -> None:
    newest, since = books.runs, time.monotonic()
    while books.runs < runs and runners[0].poll() is None:
        time.sleep(0.2)
        if books.runs != newest:
            newest, since = books.runs, time.monotonic()
        if time.monotonic() - since > PATIENCE:
            raise TimeoutError(f"no run was created for {PATIENCE:.0f} s after {newest:,}")


def _peak(runner: subprocess.Popen[str]) -> float:
    printed, _ = runner.communicate()
    assert runner.returncode == 0, printed
    return float(json.loads(printed.splitlines()[-1])[1])


@contextmanager
def _slowed(runner: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Let a runner work for a tenth of the time while the block runs."""
    ended = threading.Event()

    def slow() -> None:
        while not ended.is_set() and runner.poll() is None:
            runner.send_signal(signal.SIGSTOP)
            ended.wait(0.9)
            runner.send_signal(signal.SIGCONT)
            ended.wait(0.1)

    thread = threading.Thread(target=slow)
    thread.start()
    try:
        yield runner
    finally:
        ended.set()
        thread.join()


def _shares(tx: Connection) -> list[int]:
    """Return how many attempts each owner made, the most first."""
    counted = select(func.count()).select_from(attempts).group_by(attempts.c.owner_id)
    return sorted(tx.execute(counted).scalars(), reverse=True)


def _server_bytes(tx: Connection) -> int:
    return int(tx.execute(select(func.pg_database_size(func.current_database()))).scalar_one())


def _measured(address: str) -> tuple[list[int], int]:
    """Return the attempts of each owner, the most first, and the bytes of the database."""
    store = open_store(address, lambda _: None)
    shares = store.read(_shares)
    file = file_of(address)
    if file is not None:
        size = sum(path.stat().st_size for path in file.parent.glob(f"{file.name}*"))
    else:
        size = store.read(
            lambda tx: tx.scalar(select(func.pg_database_size(func.current_database()))) or 0
        )
    store.close()
    return shares, size


@contextmanager
def watched(address: str, books: Books) -> Iterator[list[float]]:
    """Ask `status` every second while the block runs; yield the CPU seconds of each."""
    ended, taken = threading.Event(), list[float]()

    def watch() -> None:
        with br.open(address) as db:
            while not ended.wait(1.0):
                begun = time.thread_time()
                db.batch(NAME).status()
                taken.append(time.thread_time() - begun)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield taken
    finally:
        ended.set()
        thread.join()


def _input(folder: Path, given: argparse.Namespace) -> tuple[Path, dict[str, str]]:
    """Return the file of jobs, and how it is read."""
    if given.yaml:
        return folder / "jobs.yaml", {"name": NAME}
    return folder / "pairs.csv", {"name": NAME, "url_column": "link", "goal": million_rows.GOAL}


def _load(address: str, folder: Path, given: argparse.Namespace) -> None:
    file, how = _input(folder, given)
    with br.open(address) as db:
        batch = db.load(file, **how)
        assert batch.loaded is not None
        assert batch.loaded.added == given.jobs


def _plan(address: str, folder: Path, given: argparse.Namespace) -> None:
    file, how = _input(folder, given)
    with br.open(address) as db:
        assert db.plan(file, **how).comparison.rows == given.jobs


def _export(address: str, folder: Path, jobs: int) -> None:
    with br.open(address) as db:
        assert db.batch(NAME).export(folder / "results.csv").jobs == jobs


def end_to_end(address: str, folder: Path, given: argparse.Namespace) -> None:
    """Load, run and export; print each step, and what was lost and paid for twice."""
    books = Books()
    (million_rows.make_yaml if given.yaml else million_rows.make)(folder, given.jobs)
    with _step("load"):
        _load(address, folder, given)
    print(f"  {_measured(address)[1] / given.jobs:.0f} bytes of the database for a job")
    with _step("plan"):
        _plan(address, folder, given)
    with served(books) as url, watched(address, books) as statuses, _step("run"):
        peaks = run(address, url, books, given)
    with _step("export"):
        _export(address, folder, given.jobs)
    with br.open(address) as db:
        counts = db.batch(NAME).status().counts
    shares, size = _measured(address)
    twice = sum(count - 1 for count in books.paid.values())
    lost = given.jobs - counts.jobs[JobState.SUCCEEDED]
    print(
        f"requests a job: {books.requests / given.jobs:.3f}; peak of a runner: {max(peaks):.0f} MB"
    )
    print(f"{size / given.jobs:.0f} bytes of the database for a job")
    print(f"attempts of each runner: {shares}")
    print(f"status: {sum(statuses) / len(statuses) * 1000:.1f} ms of CPU, {len(statuses)} times")
    print(f"lost: {lost}; paid for twice: {twice}; runs {books.runs:,} for {given.jobs:,} jobs")
    assert not lost
    assert not twice


@contextmanager
def _step(name: str) -> Iterator[None]:
    began, before = time.perf_counter(), os.times()
    yield
    after = os.times()
    own = after.user + after.system - before.user - before.system
    children = after.children_user + after.children_system
    children -= before.children_user + before.children_system
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{name:8}{seconds:9.1f} s, CPU {own:8.1f} s here and {children:8.1f} s of runners; "
        f"{peak:.0f} MB",
        flush=True,
    )


def main() -> None:
    """Measure all steps, or run jobs as one of the runners."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--concurrency", type=int, default=1_000)
    parser.add_argument("--runners", type=int, default=1)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--slowed", action="store_true", help="the last runner, tenfold")
    parser.add_argument("--yaml", action="store_true", help="load a job file, not a CSV")
    parser.add_argument("--postgresql", action="store_true")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--work", metavar="ADDRESS", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work(given.work, given.concurrency)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch)
        server = postgresql(folder) if given.postgresql else nullcontext()
        with server as site:
            end_to_end(site.address if site else str(folder / "work.db"), folder, given)


if __name__ == "__main__":
    main()
