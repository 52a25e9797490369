"""Counts the runs that an account pays for when answers are lost and when the program is killed.

python -m benchmarks.paid_runs [--urls 20] [--jobs 200] [--concurrency 20]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from batchrunner.sandbox import Journal, SandboxConfig
from batchrunner.sandbox.http.server import Served, serve
from benchmarks.figures import Figure

try:
    from tinyfish import TinyFish
except ImportError:  # it is needed for development only
    TinyFish = None  # type: ignore[assignment,misc]

REPOSITORY = Path(__file__).parents[1]
PROGRAM = [sys.executable, "-m", "batchrunner"]
#: Longest time in seconds that anything may take before it counts as hung.
PATIENCE = 120.0
GOAL = "Read the page"
#: The sandbox counts the creates of each exact url: the first of each url loses its answer.
FIRST_ANSWERS_LOST = {"http://shop.test/*": "dropped_after/1"}
#: Seconds that the runs take whose runner is killed.
HALF_A_SECOND = (0.5, 0.5)

#: What others did in the situation of part (b): system, done on disk after the kill, delivered
#: after the resume, paid starts, lost, paid again, remark.
ELSEWHERE = (
    ("zyte-api 0.11.0", "100", "200", "320", "0", "120", "its rerun first deletes the 100"),
    ("scrapingbee-cli 1.5.1, folder", "0", "200", "340", "0", "140", "writes at the very end"),
    ("scrapingbee-cli 1.5.1, ndjson", "120", "-", "-", "-", "-", "refuses to resume"),
    ("tf-cli fanout (2026-03)", "0", "200", "320", "0", "120", "writes at the very end"),
    ("Scrapy 2.16 JOBDIR, 1st time", "113", "113", "160", "87", "-", "says finished, exit 0"),
    ("Scrapy 2.16 JOBDIR, 2nd time", "0", "0", "100", "200", "-", "says finished, exit 0"),
    ("Scrapy 2.16 JOBDIR, 3rd time", "113", "113", "140", "87", "-", "says finished, exit 0"),
    ("Crawlee 1.11.0, files", "-", "200", "220", "0", "20", "purge_on_start=False"),
    ("Crawlee 1.11.0, SQLite", "-", "200", "220", "0", "20", "the resume took 302 s"),
    ("Inspect AI 0.3.285 eval-set", "-", "200", "206", "0", "6", "log and buffer on disk"),
    ("GNU parallel --resume", "52", "200", "200", "0", "0", "its children outlived the kill"),
)


@dataclass(frozen=True, kw_only=True)
class Bill:
    """What a client got for its jobs, and what the sandbox's own journal says that it paid."""

    jobs: int
    creates: int
    unanswered: int
    created: int
    charged: int
    dollars: float
    delivered: int
    paid_twice: int

    @classmethod
    def of(cls, journal: Journal, jobs: int, delivered: int) -> Bill:
        """Draw it up once every run in the journal has ended and is charged."""
        _eventually(lambda: all(run.performed for run in journal.runs), "all runs have ended")
        charged = [run.url for run in journal.runs if run.charge]
        return cls(
            jobs=jobs,
            creates=len(journal.requests),
            unanswered=sum(request.status is None for request in journal.requests),
            created=len(journal.runs),
            charged=len(charged),
            dollars=float(journal.charged),
            delivered=delivered,
            paid_twice=len(charged) - len(set(charged)),
        )


@dataclass(frozen=True, kw_only=True)
class Resumed:
    """What became of a batch whose runner was killed, once the same command had ended."""

    on_disk: int  #: jobs that were done for the database when the runner was dead
    in_flight: int  #: runs that were paid for by then and not recorded as done
    seconds: float  #: that the resume took
    bill: Bill

    @property
    def lost(self) -> int:
        """Jobs without a result at the end."""
        return self.bill.jobs - self.bill.delivered


def pages(count: int) -> list[str]:
    """Return the urls of that many pages of the sandbox's shop."""
    return [f"http://shop.test/products/{1 + number % 16}?n={number}" for number in range(count)]


def by_sdk(urls: Sequence[str]) -> Bill:
    """Queue each url once by the official SDK as it comes, its first answer lost, and collect."""
    with (
        serve(SandboxConfig(durations=(0.2, 0.6), script=FIRST_ANSWERS_LOST)) as served,
        TinyFish(api_key="sandbox", base_url=served.url) as client,
    ):
        queued = [client.agent.queue(goal=GOAL, url=url).run_id for url in urls]
        run_ids = [run_id for run_id in queued if run_id is not None]
        _eventually(lambda: all(run.performed for run in served.journal.runs), "the runs end")
        delivered = sum(client.runs.get(run_id).result is not None for run_id in run_ids)
        return Bill.of(served.journal, len(urls), delivered)


def by_batchrunner(urls: Sequence[str]) -> Bill:
    """Run the same urls by `batchrunner run`, which creates them together and loses that answer."""
    config = SandboxConfig(durations=(0.2, 0.6), script=FIRST_ANSWERS_LOST)
    with serve(config) as served, _folder(urls, concurrency=len(urls)) as folder:
        _run(folder, served)
        return Bill.of(served.journal, len(urls), _delivered(folder))


def killed_half_way(jobs: int, concurrency: int) -> Resumed:
    """Kill -9 a runner when half of its jobs are done, then give the same command again."""
    config = SandboxConfig(durations=HALF_A_SECOND)
    with serve(config) as served, _folder(pages(jobs), concurrency=concurrency) as folder:
        _run_until(folder, served, lambda: _done(folder) >= jobs // 2)
        on_disk, paid = _done(folder), len(served.journal.runs)
        started = time.perf_counter()
        _run(folder, served)
        seconds = time.perf_counter() - started
        return Resumed(
            on_disk=on_disk,
            in_flight=paid - on_disk,
            seconds=seconds,
            bill=Bill.of(served.journal, jobs, _delivered(folder)),
        )


def figures(*, small: bool) -> Iterator[Figure]:
    """Yield the runs paid for where the first answer to each create is lost, with the SDK's own."""
    urls = pages(3 if small else 20)
    bills = {"batchrunner run": by_batchrunner(urls)}
    if TinyFish is not None:
        bills["the official SDK, agent.queue()"] = by_sdk(urls)
    for who, bill in bills.items():
        yield Figure(
            part="paid",
            name=f"{who}, {bill.jobs} jobs whose answers are lost",
            unit="runs",
            ours=bill.charged,
            floor=bill.jobs,
            floor_name="one run for each job",
            cpu=False,
        )


@contextmanager
def _folder(urls: Sequence[str], *, concurrency: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        body = {
            "settings": {"concurrency": concurrency},
            "defaults": {"goal": GOAL},
            "jobs": [{"url": url} for url in urls],
        }
        folder = Path(name)
        (folder / "jobs.yaml").write_text(json.dumps(body))  # YAML is a superset of JSON
        yield folder


def _command() -> list[str]:
    return [*PROGRAM, "run", "jobs.yaml", "-o", "results.jsonl"]


def _environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TINYFISH_", "BATCHRUNNER_"))}
    return {**kept, "PYTHONPATH": str(REPOSITORY), **more}


def _access(served: Served) -> dict[str, str]:
    return _environment(TINYFISH_API_KEY="sandbox", TINYFISH_BASE_URL=served.url)


def _run(folder: Path, served: Served) -> None:
    done = subprocess.run(
        _command(),
        cwd=folder,
        env=_access(served),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    if done.returncode:
        raise RuntimeError(f"batchrunner ended with {done.returncode}:\n{done.stderr}")


def _run_until(folder: Path, served: Served, moment: Callable[[], bool]) -> None:
    """Start the command and kill -9 it at that moment."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        _command(), cwd=folder, env=_access(served), stdin=quiet, stdout=quiet, stderr=quiet
    )
    try:
        _eventually(lambda: process.poll() is not None or moment(), "the moment of the kill")
        if process.poll() is not None:
            raise RuntimeError(f"it ended with {process.returncode} before it could be killed")
    finally:
        process.kill()
        process.wait(PATIENCE)


def _done(folder: Path) -> int:
    """Say how many jobs have succeeded by `status --json`; 0 as long as there is no batch."""
    status = subprocess.run(
        [*PROGRAM, "status", "jobs", "--json"],
        cwd=folder,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    return 0 if status.returncode else int(json.loads(status.stdout)["jobs"]["succeeded"])


def _delivered(folder: Path) -> int:
    lines = (folder / "results.jsonl").read_text().splitlines()
    return sum(json.loads(line)["result"] is not None for line in lines)


def _eventually(check: Callable[[], bool], what: str) -> None:
    pause, deadline = threading.Event(), time.monotonic() + PATIENCE
    while not check():
        if time.monotonic() > deadline:
            raise TimeoutError(f"never happened: {what}")
        pause.wait(0.05)


def _print_table(*rows: Sequence[object]) -> None:
    """Print rows under the first one, which names the columns."""
    cells = [[str(cell) for cell in row] for row in rows]
    first, *others = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for name, *figures in cells:
        aligned = [cell.rjust(width) for cell, width in zip(figures, others, strict=True)]
        print("  ".join([name.ljust(first), *aligned]))


def _print_lost_answers(urls: Sequence[str]) -> None:
    print(f"(a) {len(urls)} jobs; the first create of each url takes effect, its answer is lost")
    bills: dict[str, Bill] = {}
    if TinyFish is None:
        print("the package tinyfish is not installed, so its figures are missing")
    else:
        bills[f"tinyfish {version('tinyfish')}, agent.queue()"] = by_sdk(urls)
    bills["batchrunner run"] = by_batchrunner(urls)
    head = ["", "jobs", "creates", "answers lost", "runs created", "charged", "dollars"]
    _print_table([*head, "delivered", "paid twice"], *map(_row, bills, bills.values()))
    print("the SDK creates runs one by one; batchrunner creates up to 100 in one request, so that")
    print("one lost answer leaves all of its jobs in doubt")


def _row(who: str, bill: Bill) -> list[object]:
    made = [bill.jobs, bill.creates, bill.unanswered, bill.created, bill.charged]
    return [who, *made, f"{bill.dollars:.2f}", bill.delivered, bill.paid_twice]


def _print_kill(jobs: int, concurrency: int) -> None:
    print(
        f"(b) {jobs} jobs of 0.5 s, {concurrency} at once; kill -9 half-way, the same command again"
    )
    killed = killed_half_way(jobs, concurrency)
    head = ["", "on disk after kill", "delivered", f"paid starts ({jobs} needed)", "lost"]
    figures = (killed.on_disk, killed.bill.delivered, killed.bill.created, killed.lost)
    _print_table(
        [*head, "paid again", "resume took"],
        ["batchrunner run", *figures, killed.bill.paid_twice, f"{killed.seconds:.1f} s"],
    )
    print(f"paid for and not yet recorded as done at the kill: {killed.in_flight} runs")


def _print_elsewhere() -> None:
    print(
        "measured elsewhere, 2026-11, not by this script: 200 items of 0.5 s, 20 at once, kill -9"
    )
    print("half-way, then the documented resume; single runs, counts vary with the moment")
    head = ("", "on disk after kill", "delivered", "paid starts (200 needed)", "lost")
    _print_table((*head, "paid again", "remark"), *ELSEWHERE)


def main() -> None:
    """Print what was paid for in both situations."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--urls", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--concurrency", type=int, default=20)
    given = parser.parse_args()
    _print_lost_answers(pages(given.urls))
    print()
    _print_kill(given.jobs, given.concurrency)
    print()
    _print_elsewhere()


if __name__ == "__main__":
    main()
