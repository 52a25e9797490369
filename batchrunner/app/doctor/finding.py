"""The finding of a check: how good it is, and a command that helps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

#: Clocks that differ by more are reported.
MAX_CLOCK_DIFFERENCE = timedelta(seconds=5)
#: The command that sets the clock of a Linux machine.
SET_CLOCK = "sudo timedatectl set-ntp true"


class Mark(StrEnum):
    """How good a finding is."""

    OK = "ok"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What one check found; each warning and each bad finding has a command that helps."""

    about: str  #: name of the check, for programs
    mark: Mark
    found: str
    fix: str | None = None


def ok(about: str, found: str) -> Finding:
    """Return a finding that something is as it should be."""
    return Finding(about=about, mark=Mark.OK, found=found)


def warning(about: str, found: str, fix: str) -> Finding:
    """Return a finding that may disturb a run."""
    return Finding(about=about, mark=Mark.WARNING, found=found, fix=fix)


def bad(about: str, found: str, fix: str) -> Finding:
    """Return a finding with which no run should start."""
    return Finding(about=about, mark=Mark.BAD, found=found, fix=fix)


def apart(ahead: timedelta, whose: str) -> str:
    """Say how far another clock is from this machine's."""
    direction = "ahead of" if ahead > timedelta(0) else "behind"
    return f"{whose} clock is {abs(ahead.total_seconds()):.0f} s {direction} this machine's"
