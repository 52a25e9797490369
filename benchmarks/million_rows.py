"""Loads, plans and exports a large table, and prints the time and the peak memory of each step.

python -m benchmarks.million_rows [--rows 1000000] [--run 20000] [--folder DIR]

Results are put in by a stand-in: only the rows of `--run` are run, in an own batch, against the
sandbox. Each step is a process of its own. Its memory is its peak less that of a process that only
imports the package. `read` reads the CSV alone, and `insert` inserts its rows alone: loading is
compared with the sum of both.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy import Connection
from sqlalchemy import insert as insert_into

import batchrunner as br
from batchrunner.app.clock import now
from batchrunner.app.open_database import open_store
from batchrunner.inputs.yaml.parser_events import LOADER
from batchrunner.model import JobFile, JobState, Settings
from batchrunner.store import batches
from batchrunner.store.batch_reads import list_batches
from batchrunner.store.schema import jobs
from benchmarks.figures import Figure
from benchmarks.finished_jobs import Job, finish_jobs

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_EMPTY = JobFile(name="alone", settings=Settings(), specs=())
_CHUNK = 5_000
_URL = "https://shop.example/p/{}"
GOAL = "Read the name and the price of {product}"


def _table(folder: Path) -> Path:
    return folder / "pairs.csv"


def make(folder: Path, rows: int) -> None:
    """Write the table."""
    with open(_table(folder), "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["link", "product", "sku", "supplier", "note"])
        for n in range(rows):
            name = f"Lamp {n % 977} with a shade, {n}"
            writer.writerow([_URL.format(n), name, f"{n:09}", f"ACME {n % 31}", "in stock"])


def start(folder: Path, rows: int) -> None:
    """Import the package and open the database: what every step does first."""
    with br.open(folder / "start.db"):
        pass


def read(folder: Path, rows: int) -> None:
    """Read the CSV alone."""
    with open(_table(folder), encoding="utf-8", newline="") as file:
        for _ in csv.reader(file):
            pass


def insert(folder: Path, rows: int) -> None:
    """Insert rows of the same size alone, into the same table."""
    store = open_store(str(folder / "insert.db"), lambda _: None)
    batch = store.write(batches.load_jobs, _EMPTY, now()).batch
    with open(_table(folder), encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        position = 0
        while some := list(islice(reader, _CHUNK)):
            made = [_job_row(batch.id, position + n, cells) for n, cells in enumerate(some)]
            position += len(some)
            store.write(_insert, made)
    store.close()


def _job_row(batch_id: int, position: int, cells: dict[str, str]) -> dict[str, Any]:
    goal = GOAL.format(product=cells["product"])
    digest = hashlib.sha256(goal.encode()).hexdigest()[:32]
    return {
        "batch_id": batch_id,
        "position": position,
        "key": hashlib.sha256(cells["link"].encode()).hexdigest()[:32],
        "url": cells["link"],
        "host": "shop.example",
        "goal": goal,
        "options": "{}",
        "output_schema_digest": "",
        "state": JobState.AVAILABLE,
        "available_at": _EPOCH,
        "loaded_at": _EPOCH,
        "digest": digest,
        "columns": json.dumps(cells),
    }


def _insert(tx: Connection, made: list[dict[str, Any]]) -> None:
    tx.execute(insert_into(jobs), made)


def load(folder: Path, rows: int) -> None:
    """Load the table into a new batch."""
    with br.open(folder / "work.db") as db:
        batch = db.load(_table(folder), url_column="link", goal=GOAL)
        assert batch.loaded is not None
        assert batch.loaded.added == rows


def load_again(folder: Path, rows: int) -> None:
    """Load the same table again: nothing changes."""
    with br.open(folder / "work.db") as db:
        batch = db.load(_table(folder), url_column="link", goal=GOAL)
        assert batch.loaded is not None
        assert batch.loaded.added == 0


def plan(folder: Path, rows: int) -> None:
    """Plan the load of the table with a line changed, and of a new row."""
    with br.open(folder / "work.db") as db:
        found = db.plan(_table(folder), url_column="link", goal=GOAL)
        assert found.comparison.rows == rows


def finish(folder: Path, rows: int) -> None:
    """Put results in; a tenth of the jobs fail."""
    store = open_store(str(folder / "work.db"), lambda _: None)
    (batch,) = store.read(list_batches)
    finish_jobs(store, batch.id, _result, now())
    store.close()


def _result(job: Job) -> str | None:
    if job.position % 10 == 9:
        return None
    offers = [{"seller": f"Shop {n}", "price": job.position / 100 + n} for n in range(2)]
    price = round(job.position * 0.37, 2)
    return json.dumps({"name": f"Lamp {job.position}", "price": price, "offers": offers})


def plan_finished(folder: Path, rows: int) -> None:
    """Plan the load of the table whose jobs are done."""
    plan(folder, rows)


def export(folder: Path, rows: int, suffix: str) -> None:
    """Export all jobs."""
    with br.open(folder / "work.db") as db:
        done = db.batch().export(folder / f"results{suffix}", overwrite=True)
        assert done.jobs == rows


def status(folder: Path, rows: int) -> None:
    """Count the jobs."""
    with br.open(folder / "work.db") as db:
        assert db.batch().status().counts.total == rows


def run(folder: Path, rows: int) -> None:
    """Run jobs against the sandbox, which is in the same process."""
    given = [
        {"url": f"http://shop.test/products/{n % 20 + 1}?n={n}", "goal": "Read the price"}
        for n in range(rows)
    ]
    sandbox = br.sandbox(folder / "journal.jsonl", durations=(0.05, 0.2))
    with sandbox as api, br.open(folder / "run.db") as db:
        ended = db.load(rows=given, name="run").run_all(api=api, concurrency=200)
        assert ended.counts.done == rows, ended


def _yaml(folder: Path) -> Path:
    return folder / "jobs.yaml"


def make_yaml(folder: Path, rows: int) -> None:
    """Write a job file of as many jobs."""
    with open(_yaml(folder), "w", encoding="utf-8") as file:
        file.write("name: from-yaml\njobs:\n")
        for n in range(rows):
            # A million of these are just below the size that a job file may have.
            file.write(f"- {{url: '{_URL.format(n)}', goal: 'Price of {n}'}}\n")


def read_yaml(folder: Path, rows: int) -> None:
    """Read the job file's events alone."""
    with open(_yaml(folder), "rb") as file:
        for _ in yaml.parse(file, Loader=LOADER):
            pass


def load_yaml(folder: Path, rows: int) -> None:
    """Load the job file into a new batch."""
    with br.open(folder / "yaml.db") as db:
        batch = db.load(_yaml(folder))
        assert batch.loaded is not None
        assert batch.loaded.added == rows


def copy_rows(folder: Path, rows: int) -> None:
    """Write the rows of the CSV export again, by the module csv alone."""
    with (
        open(folder / "results.csv", encoding="utf-8-sig", newline="") as file,
        open(folder / "copy.csv", "w", encoding="utf-8", newline="") as copy,
    ):
        csv.writer(copy).writerows(list(csv.reader(file)))


STEPS: dict[str, Callable[[Path, int], None]] = {
    "start": start,
    "make": make,
    "read": read,
    "insert": insert,
    "load": load,
    "make YAML": make_yaml,
    "read YAML": read_yaml,
    "load YAML": load_yaml,
    "load again": load_again,
    "plan": plan,
    "finish": finish,
    "plan, all done": plan_finished,
    "status": status,
    **{
        f"export {suffix}": lambda folder, rows, suffix=suffix: export(folder, rows, suffix)
        for suffix in (".csv", ".jsonl", ".parquet", ".sqlite")
    },
    "copy rows": copy_rows,
    "run": run,
}


def step(name: str, folder: Path, rows: int) -> None:
    """Do one step in this process, and print its seconds and the peak of its memory in MB."""
    began = time.perf_counter()
    STEPS[name](folder, rows)
    seconds = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps([seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))


def figures(*, small: bool) -> Iterator[Figure]:
    """Yield the CPU time of loading and exporting rows, beside what only reads and writes them."""
    rows = 3_000 if small else 100_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for prepare in (make, make_yaml, start):
            prepare(folder, rows)
        taken = {what: _cpu(what, folder, rows) for what in _COMPARED}
    inserted = taken["insert"]
    for what, floor, floor_name in (
        ("load", taken["read"] + inserted, "csv and the bulk insert"),
        ("load YAML", taken["read YAML"] + inserted, "libyaml and the bulk insert"),
        ("load again", taken["read"] + inserted, "csv and the bulk insert"),
        ("plan", taken["read"] + inserted, "csv and the bulk insert"),
        ("export .csv", taken["copy rows"], "csv, read and written"),
        ("export .jsonl", taken["copy rows"], "csv, read and written"),
    ):
        yield Figure(
            part="rows",
            name=f"{what} of {rows:,}",
            unit="CPU s",
            ours=taken[what],
            floor=floor,
            floor_name=floor_name,
        )


#: In this order: an export needs finished jobs.
_COMPARED = (
    *("read", "insert", "read YAML", "load YAML", "load", "load again", "plan"),
    *("finish", "export .csv", "export .jsonl", "copy rows"),
)


def _cpu(name: str, folder: Path, rows: int) -> float:
    begun = time.process_time()
    STEPS[name](folder, rows)
    return time.process_time() - begun


def measure(name: str, folder: Path, rows: int) -> tuple[float, float, float]:
    """Do a step in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.million_rows", "--step", name]
    done = subprocess.run(
        [*command, "--folder", str(folder), "--rows", str(rows)], stdout=subprocess.PIPE, check=True
    )
    seconds, cpu, peak = json.loads(done.stdout.splitlines()[-1])
    return seconds, cpu, peak


def main() -> None:
    """Measure all steps, or do one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--run", type=int, default=20_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--step", choices=STEPS)
    parser.add_argument("--only", nargs="*", default=list(STEPS))
    given = parser.parse_args()
    if given.step:
        step(given.step, given.folder, given.rows)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch)
        _, started, base = measure("start", folder, 0)
        print(f"start: {started:.1f} s of CPU, {base:.0f} MB; what a step takes over that:")
        print(f"{'step':16}{'rows':>10}{'seconds':>10}{'of CPU':>10}{'MB':>8}")
        for name in given.only:
            if name == "start":
                continue
            rows = given.run if name == "run" else given.rows
            seconds, cpu, peak = measure(name, folder, rows)
            print(
                f"{name:16}{rows:>10,}{seconds:>10.1f}{cpu - started:>10.1f}{peak - base:>8.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
