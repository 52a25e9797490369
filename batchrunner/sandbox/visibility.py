"""What the API does not show although it exists: in lists, in searches and in polls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from batchrunner.sandbox.faults import Status
from batchrunner.sandbox.journal import SandboxRun
from batchrunner.sandbox.seeded_random import seeded_share

#: From and until when something lasts, in seconds since the account was opened.
Span = tuple[float, float]

#: How long a cache between client and API keeps the list that an address had.
CACHE_SECONDS = 3600.0

#: Every fault of visibility, and what it hides; `Visibility` says when.
VISIBILITY_FAULTS: Mapping[str, str] = {
    "listed_late": "the list shows a run later than others",
    "cached": "a cache answers a list with an older one for the same address",
    "cached_stubbornly": "the same, although the request says no-cache",
    "searched_in_part": "a search sees only the beginning of a goal",
    "status_hidden": "the list leaves out the runs of a status",
    "polls_blind": "reads of runs by id say not found, and the list shows them",
    "lists_blind": "the list shows nothing, and reads of runs by id show them",
}


@dataclass(frozen=True, kw_only=True)
class Visibility:
    """
    What is hidden, and when.

    With `late_spread`, each run is missing from the list for up to so many seconds more than the
    config's `late`. `searched` is the number of characters of a goal that a search sees. `hidden`
    are statuses that the list leaves out.
    """

    late_spread: float = 0.0
    cache: str | None = None  #: None, "cached" or "cached_stubbornly"
    searched: int | None = None
    hidden: frozenset[str] = frozenset()
    polls_blind: tuple[Span, ...] = ()
    lists_blind: tuple[Span, ...] = ()

    def __post_init__(self) -> None:
        if self.cache not in (None, "cached", "cached_stubbornly"):
            raise ValueError(f"no such cache: {self.cache!r}")
        if unknown := self.hidden - set(Status):
            raise ValueError(f"no such status: {', '.join(sorted(unknown))}")
        if self.late_spread < 0 or (self.searched is not None and self.searched < 1):
            raise ValueError("late_spread must be 0 or more, and searched 1 or more")


@dataclass
class VisibilityFilter:
    """
    Hides runs as a `Visibility` says, and counts how often each fault hid one.

    A cache counts every request that it could have answered.
    """

    visibility: Visibility
    seed: int
    late: float
    opened: datetime
    fired: Counter[str] = field(default_factory=Counter)
    _pages: dict[str, tuple[datetime, bytes]] = field(default_factory=dict)

    def listed(self, runs: Iterable[SandboxRun], now: datetime) -> list[SandboxRun]:
        """Return those of the runs that the list shows."""
        if self._is_in(self.visibility.lists_blind, now):
            self.fired["lists_blind"] += 1
            return []
        return [run for run in runs if self._is_listed(run, now)]

    def is_polled(self, now: datetime) -> bool:
        """Return whether reads by id find runs."""
        blind = self._is_in(self.visibility.polls_blind, now)
        self.fired["polls_blind"] += blind
        return not blind

    def searched(self, goal: str, text: str) -> str:
        """Return the part of a goal in which a search looks for a text."""
        if self.visibility.searched is None:
            return goal
        part = goal[: self.visibility.searched]
        self.fired["searched_in_part"] += text in goal.lower() and text not in part.lower()
        return part

    def cached(self, address: str, headers: Mapping[str, str], now: datetime) -> bytes | None:
        """Return the page that a cache has for an address; None if the API answers."""
        cache = self.visibility.cache
        if cache is not None:
            self.fired[cache] += 1  # the request passes through it
        obeyed = cache == "cached" and "no-cache" in headers.get("cache-control", "").lower()
        kept_at, page = self._pages.get(address, (None, b""))
        if cache is None or obeyed or kept_at is None:
            return None
        if now - kept_at > timedelta(seconds=CACHE_SECONDS):
            return None
        return page

    def keep(self, address: str, page: bytes, now: datetime) -> None:
        """Let the cache keep a page."""
        if self.visibility.cache is not None:
            self._pages[address] = now, page

    def _is_listed(self, run: SandboxRun, now: datetime) -> bool:
        spread = self.visibility.late_spread
        share = seeded_share(self.seed, "listed", run.run_id) if spread else 0.0
        age = now - run.created_at
        late = timedelta(seconds=self.late)
        if age < late:
            return False
        if age < late + timedelta(seconds=spread * share):
            self.fired["listed_late"] += 1
            return False
        hidden = run.status in self.visibility.hidden
        self.fired["status_hidden"] += hidden
        return not hidden

    def _is_in(self, spans: Iterable[Span], now: datetime) -> bool:
        since = (now - self.opened).total_seconds()
        return any(begins <= since < ends for begins, ends in spans)
