"""The examples of docs/python.md and the notebook run as they stand there."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from batchrunner.selftest.subprocesses import environment

DOCS = Path(__file__).parents[2] / "docs"
_PYTHON = re.compile(r"^```python\n(.*?)^```$", re.M | re.DOTALL)


def examples_of_the_page() -> list[str]:
    return _PYTHON.findall((DOCS / "python.md").read_text(encoding="utf-8"))


def cells_of_the_notebook() -> list[str]:
    cells = json.loads((DOCS / "example.ipynb").read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


class Interpreter:
    """What a user's interpreter does with code: in a folder, without settings of this session."""

    def __init__(
        self, folder: Path, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for name in os.environ.keys() - environment().keys():
            patch.delenv(name)
        patch.chdir(folder)
        self._capsys = capsys

    def said(self, code: list[str]) -> str:
        """Run pieces of code, one after the other, among names of their own."""
        names: dict[str, Any] = {"__name__": "__main__"}
        for piece in code:
            exec(compile(piece, "<example>", "exec"), names)
        out, err = self._capsys.readouterr()
        assert not err
        return out


@pytest.fixture
def interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Interpreter:
    return Interpreter(tmp_path, monkeypatch, capsys)


@pytest.mark.sweep
def test_the_examples_of_the_page_run_and_print_what_it_says(
    interpreter: Interpreter, tmp_path: Path
) -> None:
    said = interpreter.said(examples_of_the_page())
    assert "lamp Aurora Desk Lamp\n" in said
    assert "wall blocked" in said
    assert "0 added, 1 known, kept as they were: ('lamp',)\n" in said
    assert "1 job put back\n" in said
    assert "finished 3 jobs done\n" in said
    assert "problems:" in said
    assert len((tmp_path / "prices.csv").read_text().splitlines()) == 4


def test_the_notebook_runs_and_runs_again(interpreter: Interpreter) -> None:
    first = interpreter.said(cells_of_the_notebook())
    again = interpreter.said(cells_of_the_notebook())
    assert "6 jobs became final" in first
    assert "0 jobs became final" in again, "a job was run twice"
    assert first.splitlines()[-1] == again.splitlines()[-1]


@pytest.mark.parametrize("cell", range(4))
def test_the_notebook_is_stored_without_outputs(cell: int) -> None:
    cells = json.loads((DOCS / "example.ipynb").read_text(encoding="utf-8"))["cells"]
    code = [each for each in cells if each["cell_type"] == "code"]
    assert code[cell]["outputs"] == []
    assert code[cell]["execution_count"] is None
