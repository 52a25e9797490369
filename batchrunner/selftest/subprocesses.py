"""Commands of the program in processes of their own: start them, read their output, end them."""

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
#: The same, as a child that ends with this process; its standard input is the lifeline.
CHILD_PROGRAM = (sys.executable, "-m", "batchrunner.selftest.child_main")
#: Seconds after which a command counts as hung.
PROCESS_SECONDS = 180.0

T = TypeVar("T")


def environment(**more: str) -> dict[str, str]:
    """Return an environment without the user's keys and settings of the program, with *more*."""
    ours = ("TINYFISH_", "BATCHRUNNER_", "NO_COLOR", "FORCE_COLOR", "COLUMNS")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    # Children run this very installation, wherever it was started from.
    modules = os.pathsep.join(filter(None, sys.path))
    return {**inherited, "PYTHONUNBUFFERED": "1", "PYTHONPATH": modules, **more}


def wait_until(check: Callable[[], T], what: str, within: float = PROCESS_SECONDS) -> T:
    """
    Return the first true value of *check*.

    Raises:
        InvariantViolated: There was none in time.
    """
    pause = threading.Event()
    for _ in range(int(within / 0.05)):
        if found := check():
            return found
        pause.wait(0.05)
    raise InvariantViolated(f"this did not happen within {within:g} s: {what}")


@dataclass(frozen=True)
class Ended:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Its whole output."""
        return self.out + self.err

    def json(self) -> Any:
        """Return its standard output, which must be one JSON value."""
        return json.loads(self.out)


@dataclass
class Program:
    """A running command, whose output can be waited for."""

    process: subprocess.Popen[str]
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Read both of its outputs."""
        self._new_line = threading.Condition()
        pipes = ((self.process.stdout, self.out), (self.process.stderr, self.err))
        self._readers = [threading.Thread(target=self._read, args=pipe) for pipe in pipes]
        for reader in self._readers:
            reader.start()

    def _read(self, pipe: IO[str], lines: list[str]) -> None:
        with pipe:
            for line in pipe:
                with self._new_line:
                    lines.append(line)
                    self._new_line.notify_all()
        with self._new_line:
            self._new_line.notify_all()

    def says(self, text: str, times: int = 1) -> None:
        """
        Wait until *times* lines contain *text*.

        Raises:
            InvariantViolated: The command ended or hung before.
        """

        def found() -> bool:
            return sum(text in line for line in [*self.out, *self.err]) >= times

        def ended() -> bool:
            return not any(reader.is_alive() for reader in self._readers)

        with self._new_line:
            self._new_line.wait_for(lambda: found() or ended(), PROCESS_SECONDS)
            invariant(
                found(), f"the command never printed {text!r}:\n{''.join([*self.out, *self.err])}"
            )

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self) -> Ended:
        """
        Wait for its end.

        Raises:
            InvariantViolated: It crashed.
        """
        code = self.process.wait(PROCESS_SECONDS)
        for reader in self._readers:
            reader.join(PROCESS_SECONDS)
        done = Ended(code, "".join(self.out), "".join(self.err))
        invariant("Traceback" not in done.said, f"the command crashed:\n{done.said}")
        return done

    def kill(self) -> None:
        """Kill it, if it has not ended."""
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
    """Start a command; it ends with the block."""
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
