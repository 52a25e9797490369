"""A display that fails shows nothing more, and the runner that reports to it never learns of it."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from batchrunner.app.run_observer import Notice
from batchrunner.cli.output.progress import Display, LiveDisplay


class Broken(io.StringIO):
    """A terminal on which nothing can be written."""

    writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        raise ValueError(text)

    def isatty(self) -> bool:
        return True


def lines(file: io.StringIO, **options: Any) -> Console:
    return Console(file=file, force_terminal=True, width=80, **options)


@pytest.mark.parametrize("kind", [Display, lambda console: LiveDisplay(console, "jobs")])
def test_a_display_that_fails_reaches_nobody(kind: Any) -> None:
    broken = Broken()
    display = kind(lines(broken))
    with display.shown():
        for _ in range(3):
            display.notify(Notice(text="a sentence"))
    assert broken.writes, "nothing was written"


def test_a_display_that_has_failed_is_left_alone() -> None:
    broken = Broken()
    display = Display(lines(broken))
    display.notify(Notice(text="a sentence"))
    before = broken.writes
    display.notify(Notice(text="another"))
    assert broken.writes == before


def test_an_error_of_the_work_passes_through_the_display() -> None:
    display = LiveDisplay(lines(io.StringIO()), "jobs")
    with pytest.raises(KeyError), display.shown():
        raise KeyError
