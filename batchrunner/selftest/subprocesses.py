"""The program's own commands in processes of their own: started, listened to, ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeVar

from batchrunner.selftest.child_main import lifeline
from batchrunner.selftest.invariants import InvariantViolated, invariant

PROGRAM = (sys.executable, "-m", "batchrunner")
#: The same, ending with us however we end; its standard input is then the lifeline.
CHILD_PROGRAM = (sys.executable, "-m", "batchrunner.selftest.child_main")
#: Longest time in seconds that anything may take before it counts as hung.
PROCESS_SECONDS = 180.0

T = TypeVar("T")


def environment(**more: str) -> dict[str, str]:
    """Return an environment in which nothing but *more* is set for us, nor any key of the user."""
    ours = ("TINYFISH_", "BATCHRUNNER_", "NO_COLOR", "FORCE_COLOR", "COLUMNS")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    # The very program that asks is the one that is proved, wherever it was started from.
    modules = os.pathsep.join(filter(None, sys.path))
    return {**inherited, "PYTHONUNBUFFERED": "1", "PYTHONPATH": modules, **more}


def wait_until(check: Callable[[], T], what: str, within: float = PROCESS_SECONDS) -> T:
    """Return the first truth that *check* gives; raises Broken if it gives none in time."""
    pause = threading.Event()
    for _ in range(int(within / 0.05)):
        if found := check():
            return found
        pause.wait(0.05)
    raise InvariantViolated(f"never happened: {what}")


@dataclass(frozen=True)
class Ended:
    """How a command ended, and all that it said."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Everything it printed, wherever to."""
        return self.out + self.err

    def json(self) -> Any:
        """Read its standard output, which must be one JSON value."""
        return json.loads(self.out)


@dataclass
class Program:
    """A command at work, whose output can be waited for."""

    process: subprocess.Popen[str]
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Listen to both of its outputs."""
        self._news = threading.Condition()
        pipes = ((self.process.stdout, self.out), (self.process.stderr, self.err))
        self._readers = [threading.Thread(target=self._read, args=pipe) for pipe in pipes]
        for reader in self._readers:
            reader.start()

    def _read(self, pipe: IO[str], lines: list[str]) -> None:
        with pipe:
            for line in pipe:
                with self._news:
                    lines.append(line)
                    self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def says(self, text: str, times: int = 1) -> None:
        """Wait until *times* lines hold *text*; raises Broken if it ends or hangs before."""

        def heard() -> bool:
            return sum(text in line for line in [*self.out, *self.err]) >= times

        def silent() -> bool:
            return not any(reader.is_alive() for reader in self._readers)

        with self._news:
            self._news.wait_for(lambda: heard() or silent(), PROCESS_SECONDS)
            invariant(heard(), f"never said {text!r}:\n{''.join([*self.out, *self.err])}")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self) -> Ended:
        """Wait for its end; raises Broken if it crashed."""
        code = self.process.wait(PROCESS_SECONDS)
        for reader in self._readers:
            reader.join(PROCESS_SECONDS)
        ended = Ended(code, "".join(self.out), "".join(self.err))
        invariant("Traceback" not in ended.said, ended.said)
        return ended

    def kill(self) -> None:
        """End it the hard way, if it has not ended."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait(PROCESS_SECONDS)
        for reader in self._readers:
            reader.join(PROCESS_SECONDS)


@contextmanager
def started(
    *args: str | Path, cwd: Path, env: Mapping[str, str] | None = None
) -> Iterator[Program]:
    """Start a command; it does not outlive the block."""
    program = Program(
        subprocess.Popen(
            [*CHILD_PROGRAM, *map(str, args)],
            cwd=cwd,
            env=environment(**(env or {})),
            stdin=lifeline(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    )
    try:
        yield program
    finally:
        program.kill()
