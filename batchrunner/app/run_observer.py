"""What an observer receives while a batch runs: events in, nothing out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from batchrunner.model import BatchCounts, ParkedHost
from batchrunner.runner.events import Event

#: Takes a sentence for people; a terminal prints it.
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """A sentence for people, such as that webhooks are received."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StopRequested:
    """The runner drains: it submits nothing more and waits for runs in flight."""

    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class CountsRead:
    """The batch in numbers, and the hosts that are held back."""

    counts: BatchCounts
    at: datetime
    parked: Sequence[ParkedHost]


RunEvent = Event | Notice | StopRequested | CountsRead


class RunObserver(Protocol):
    """Receives what happens while a batch runs, in the runner's thread."""

    @property
    def count_seconds(self) -> float | None:
        """Seconds between two counts of the batch; None: no counts."""

    def notify(self, event: RunEvent) -> None:
        """Take an event; return soon, because the runner waits."""


def say_nothing(line: str) -> None:
    """Drop a sentence."""
