"""Runs jobs that take no time against a stand-in API in this process: what is left is our own work.

python -m benchmarks.no_time_runs [--jobs 20000] [--concurrency 1000] [--database ADDRESS]
                                  [--profile SORT]
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import anyio
import httpx

from batchrunner.api_facts import endpoint_paths
from batchrunner.model import Batch, JobFile, JobSpec, JobState, Owner, Settings
from batchrunner.runner.offload import Offload
from batchrunner.runner.runner import Runner, in_thread
from batchrunner.store.batches import load_jobs
from batchrunner.store.reports import batch_counts
from batchrunner.store.store import Store
from batchrunner.tinyfish.client import TinyFishClient

GOAL = "Read the name, the price, the currency, the seller and the rating of the lamp"
STEPS = 4
_AT = "2026-11-30T22:00:{:02}.000Z"
_PAGE = 100

T = TypeVar("T")


def _step(index: int) -> dict[str, object]:
    shown = {"id": f"step-{index}", "timestamp": _AT.format(index), "status": "COMPLETED"}
    return {**shown, "action": "Read the page", "screenshot": None, "html": None, "duration": "1s"}


def _template() -> str:
    """Return a run as the API shows it: `%(id)s` and `%(goal)s` are its own."""
    row = {"name": "Lamp %(id)s", "price": 12.5, "currency": "EUR", "seller": "Lamps and more"}
    shown = {
        "run_id": "%(id)s",
        "status": "COMPLETED",
        "goal": "%(goal)s",
        "created_at": _AT.format(0),
        "started_at": _AT.format(1),
        "finished_at": _AT.format(9),
        "num_of_steps": STEPS,
        "result": {**row, "rating": 4},
        "output_schema": None,
        "schema_validation": None,
        "profile_attached": False,
        "profile_id": None,
        "error": None,
        "streaming_url": "https://live.example/%(id)s",
        "browser_config": {"proxy_enabled": False, "proxy_country_code": None},
        "video_url": None,
        "steps": [_step(index) for index in range(STEPS)],
    }
    return json.dumps(shown)


_RUN = _template()


@dataclass
class StandInApi(httpx.AsyncBaseTransport):
    """An API whose runs are over as soon as they are created; it counts its own CPU time."""

    requests: int = 0
    cpu: float = 0.0  #: seconds of this thread
    _goals: dict[str, str] = field(default_factory=dict)  # as JSON text, by run id
    _ids: list[str] = field(default_factory=list)  # the oldest first

    @property
    def runs(self) -> int:
        """How many runs it has created."""
        return len(self._goals)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        body, begun = await request.aread(), time.thread_time()
        self.requests += 1
        text = self._answer(request.url, body)
        headers = {"content-type": "application/json"}
        response = httpx.Response(200, headers=headers, content=text.encode(), request=request)
        self.cpu += time.thread_time() - begun
        return response

    def _answer(self, url: httpx.URL, body: bytes) -> str:
        if url.path == endpoint_paths.RUN_BATCH:
            return self._create(json.loads(body))
        if url.path == endpoint_paths.RUNS_BATCH:
            runs = ",".join(map(self._shown, json.loads(body)["run_ids"]))
            return f'{{"data": [{runs}], "not_found": []}}'
        if url.path == endpoint_paths.RUNS:
            return self._list(url.params)
        raise AssertionError(f"the stand-in has no {url.path}")

    def _create(self, body: dict[str, list[dict[str, str]]]) -> str:
        first = len(self._goals)
        ids = [f"run-{first + index:08}" for index in range(len(body["runs"]))]
        self._ids += ids
        self._goals |= {
            run_id: json.dumps(run["goal"])[1:-1]
            for run_id, run in zip(ids, body["runs"], strict=True)
        }
        return json.dumps({"run_ids": ids, "error": None})

    def _list(self, params: httpx.QueryParams) -> str:
        start, limit = int(params.get("cursor", "0")), int(params.get("limit", _PAGE))
        ids = self._ids
        if searched := params.get("goal"):
            ids = [run_id for run_id, goal in self._goals.items() if searched in goal]
        newest_first = params.get("sort_direction") == "desc"
        following = start + limit if start + limit < len(ids) else None
        pagination = {
            "total": len(ids),
            "next_cursor": following and str(following),
            "has_more": following is not None,
        }
        end = start + limit
        page = ids[-end : len(ids) - start][::-1] if newest_first else ids[start:end]
        runs = ",".join(map(self._shown, page))
        return f'{{"data": [{runs}], "pagination": {json.dumps(pagination)}}}'

    def _shown(self, run_id: str) -> str:
        return _RUN % {"id": run_id, "goal": self._goals[run_id]}


@dataclass(frozen=True)
class Figures:
    """What a batch of runs that take no time took."""

    jobs: int
    succeeded: int
    cpu: float  #: seconds of this process, without the stand-in's
    wall: float
    requests: int

    @property
    def cpu_ms_per_job(self) -> float:
        """CPU time of the runner for a job, in milliseconds."""
        return self.cpu / self.jobs * 1000

    def as_json(self) -> dict[str, float]:
        """Return the figures for a table."""
        return {
            "jobs": self.jobs,
            "cpu_ms_per_job": round(self.cpu_ms_per_job, 4),
            "jobs_per_second": round(self.jobs / self.wall, 1),
            "requests_per_job": round(self.requests / self.jobs, 4),
        }


async def inline(call: Callable[[], T], /) -> T:
    """Run a store call in this thread, where a profile sees it."""
    return call()


def load(store: Store, jobs: int, concurrency: int, now: datetime | None = None) -> Batch:
    """Load a batch of plain jobs of 100 hosts."""
    specs = tuple(
        JobSpec(key=f"job-{n:07}", url=f"https://shop{n % 100}.example/{n}", goal=GOAL)
        for n in range(jobs)
    )
    settings = Settings(concurrency=concurrency)
    job_file = JobFile(name="no-time", settings=settings, specs=specs)
    return store.write(load_jobs, job_file, now or _now()).batch


def _now() -> datetime:
    return datetime.now(UTC)


async def run_batch(
    store: Store,
    batch: Batch,
    api: StandInApi,
    offload: Offload | None = None,
    now: Callable[[], datetime] = _now,
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """Run a batch to its end with one runner."""
    async with TinyFishClient("http://127.0.0.1", "a-key-of-nobody", api) as client:
        await Runner(
            store=store,
            api=client,
            batch=batch,
            owner=Owner(id="one", machine="here", pid=1, process_started_at="1"),
            now=now,
            monotonic=monotonic,
            offload=offload or in_thread(),
        ).run()


def measure(address: str, jobs: int, concurrency: int, offload: Offload | None = None) -> Figures:
    """Run a batch of *jobs* runs that take no time in the database at *address*."""
    store, api = Store.open(address), StandInApi()
    batch = load(store, jobs, concurrency)
    begun, cpu = time.perf_counter(), time.process_time()
    anyio.run(run_batch, store, batch, api, offload)
    cpu, wall = time.process_time() - cpu - api.cpu, time.perf_counter() - begun
    succeeded = store.read(batch_counts, batch.id).jobs[JobState.SUCCEEDED]
    store.close()
    return Figures(jobs=jobs, succeeded=succeeded, cpu=cpu, wall=wall, requests=api.requests)


def main() -> None:
    """Print the figures, or a profile of all our functions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--concurrency", type=int, default=1000)
    parser.add_argument("--database", help="default: a new SQLite file")
    parser.add_argument("--profile", help="sort a profile by this: tottime or cumtime")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        address = args.database or str(Path(folder) / "batchrunner.db")
        profile = cProfile.Profile() if args.profile else None
        with profile or nullcontext():
            figures = measure(address, args.jobs, args.concurrency, inline if profile else None)
        print(json.dumps(figures.as_json()))
        if profile:
            pstats.Stats(profile).sort_stats(args.profile).print_stats(80)


if __name__ == "__main__":
    main()
