"""What a check found: how good that is, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

#: Clocks may differ by this much before it is worth a word.
CLOCKS_APART = timedelta(seconds=5)
#: What sets a Linux machine's clock right.
SET_CLOCK = "sudo timedatectl set-ntp true"


class Mark(StrEnum):
    """How good it is."""

    OK = "ok"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What one check found; whatever is not ok has a command that helps."""

    about: str  #: name of the check, for programs
    mark: Mark
    found: str
    fix: str | None = None


def ok(about: str, found: str) -> Finding:
    """Find something as it should be."""
    return Finding(about=about, mark=Mark.OK, found=found)


def warning(about: str, found: str, fix: str) -> Finding:
    """Find something that may spoil a night."""
    return Finding(about=about, mark=Mark.WARNING, found=found, fix=fix)


def bad(about: str, found: str, fix: str) -> Finding:
    """Find something with which no night should begin."""
    return Finding(about=about, mark=Mark.BAD, found=found, fix=fix)


def size(count: float) -> str:
    """Return so many bytes as a person says it."""
    for unit in ("bytes", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def apart(ahead: timedelta, whose: str) -> str:
    """Say how far another clock is from this machine's."""
    direction = "ahead of" if ahead > timedelta(0) else "behind"
    return f"{whose} clock is {abs(ahead.total_seconds()):.0f} s {direction} this machine's"
