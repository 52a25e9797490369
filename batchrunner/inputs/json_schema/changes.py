"""What a schema says differently, or no longer, after it was rewritten."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

#: Places that are named of one kind of change; the others are counted.
_MAX_PLACES = 3


class Change(Enum):
    """A kind of change, by what it means for the results."""

    REWRITTEN = "rewritten"  #: the same in other words
    LEFT_OUT = "left out"  #: excludes no value
    UNCHECKED = "unchecked"  #: excludes values, which are accepted now
    GUIDANCE = "guidance"  #: tells the agent what is meant


class Changes:
    """Collects the changes of one schema; a place that several `$ref` name counts once."""

    def __init__(self) -> None:
        self._places: dict[tuple[Change, str], dict[str, None]] = {}

    def add(self, kind: Change, what: str, path: str) -> None:
        """Note a change at a path."""
        self._places.setdefault((kind, what), {})[path] = None

    def lines(self) -> Iterator[str]:
        """Give a sentence for each meaning that changes have; its subject is the schema."""
        rewritten = [_counted(what, places) for what, places in self._of(Change.REWRITTEN)]
        left_out = [_counted(what, places) for what, places in self._of(Change.LEFT_OUT)]
        parts = [", ".join(rewritten)] if rewritten else []
        parts += [f"left out: {', '.join(left_out)}"] if left_out else []
        if parts:
            yield f"is written as the API takes it: {'; '.join(parts)}"
        unchecked = [_placed(what, places) for what, places in self._of(Change.UNCHECKED)]
        if unchecked:
            shown = ", ".join(unchecked)
            yield f"is sent without what the API does not check: {shown}; `expect` can check it"
        guidance = [_placed(what, places) for what, places in self._of(Change.GUIDANCE)]
        if guidance:
            shown = ", ".join(guidance)
            yield f"is sent without what the API does not take: {shown}; say it in the goal"

    def _of(self, kind: Change) -> list[tuple[str, list[str]]]:
        return [(what, list(at)) for (each, what), at in self._places.items() if each is kind]


def _counted(what: str, places: list[str]) -> str:
    return what if len(places) == 1 else f"{what} ({len(places)})"


def _placed(what: str, places: list[str]) -> str:
    shown = ", ".join(places[:_MAX_PLACES])
    more = len(places) - _MAX_PLACES
    return f"{what} at {shown}" + (f" and {more} more" if more > 0 else "")
