"""Measures the CPU time of commands that do nearly nothing, beside the import of click alone."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import batchrunner as br
from benchmarks.figures import Figure

_FLOOR = ["-c", "import click"]
COMMANDS = {
    "--help": ["--help"],
    "run --help": ["run", "--help"],
    "plan": ["plan", "jobs.csv"],
    "status": ["status"],
    "export": ["export", "-o", "out.csv"],
}


def figures(*, small: bool) -> Iterator[Figure]:
    """Yield the start of each command on a database of ten jobs."""
    repeats = 2 if small else 9
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _prepare(folder)
        floor = _milliseconds(_FLOOR, folder, repeats)
        for command, arguments in COMMANDS.items():
            ours = _milliseconds(["-m", "batchrunner", *arguments], folder, repeats)
            yield Figure(
                part="start",
                name=f"batchrunner {command}",
                unit="CPU ms",
                ours=ours,
                floor=floor,
                floor_name="import click",
            )


def _prepare(folder: Path) -> None:
    lines = [f"https://shop.example/{n},Read the price" for n in range(10)]
    (folder / "jobs.csv").write_text("\n".join(["url,goal", *lines, ""]), encoding="utf-8")
    with br.open(folder / "batchrunner.db") as db:
        db.load(folder / "jobs.csv")


def _milliseconds(arguments: Sequence[str], folder: Path, repeats: int) -> float:
    """Return the median CPU time of a Python program; its first run compiles and is not counted."""
    taken = [_cpu(arguments, folder) for _ in range(repeats + 1)][1:]
    return statistics.median(taken) * 1000


def _cpu(arguments: Sequence[str], folder: Path) -> float:
    before = os.times()
    here = str(Path(__file__).parents[1])
    subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": here},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    after = os.times()
    return (after.children_user - before.children_user) + (
        after.children_system - before.children_system
    )
