"""The examples of docs/python.md and the notebook run as they stand there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from batchrunner.selftest.subprocesses import PROCESS_SECONDS, environment

DOCS = Path(__file__).parents[2] / "docs"
_PYTHON = re.compile(r"^```python\n(.*?)^```$", re.M | re.DOTALL)


def examples_of_the_page() -> list[str]:
    return _PYTHON.findall((DOCS / "python.md").read_text(encoding="utf-8"))


def cells_of_the_notebook() -> list[str]:
    cells = json.loads((DOCS / "example.ipynb").read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def interpreted(code: list[str], folder: Path) -> str:
    """Run pieces of code one after the other in a fresh interpreter; return what they print."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n\n".join(code)],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PROCESS_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


def test_the_examples_of_the_page_run_and_print_what_it_says(tmp_path: Path) -> None:
    said = interpreted(examples_of_the_page(), tmp_path)
    assert "lamp Aurora Desk Lamp\n" in said
    assert "wall blocked" in said
    assert "0 added, 1 known, kept as they were: ('lamp',)\n" in said
    assert "1 job put back\n" in said
    assert "finished 3 jobs done\n" in said
    assert "problems:" in said
    assert len((tmp_path / "prices.csv").read_text().splitlines()) == 4


def test_the_notebook_runs_and_runs_again(tmp_path: Path) -> None:
    first = interpreted(cells_of_the_notebook(), tmp_path)
    again = interpreted(cells_of_the_notebook(), tmp_path)
    assert "6 jobs became final" in first
    assert "0 jobs became final" in again, "a job was run twice"
    assert first.splitlines()[-1] == again.splitlines()[-1]


@pytest.mark.parametrize("cell", range(4))
def test_the_notebook_is_stored_without_outputs(cell: int) -> None:
    cells = json.loads((DOCS / "example.ipynb").read_text(encoding="utf-8"))["cells"]
    code = [each for each in cells if each["cell_type"] == "code"]
    assert code[cell]["outputs"] == []
    assert code[cell]["execution_count"] is None
