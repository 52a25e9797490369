"""The reference in a goal by which a lost run is found."""

from __future__ import annotations

import re

_MARKER = re.compile(r"\[ref br-[0-9a-z]+-[0-9]+\]")


def marker(token: str, place: int) -> str:
    """Return the text that a submission appends to a goal, by which the run is found again."""
    return f"[ref br-{token}-{place}]"


def marker_in(goal: str | None) -> str | None:
    """
    Return the marker in a goal that the API echoed; None if there is none.

    Of several it is the last: a user's own text may hold one that was copied from somewhere.
    """
    found = [match.group() for match in _MARKER.finditer(goal or "")]
    return found[-1] if found else None


def marker_prefix(token: str) -> str:
    """Return the part of the marker that all runs of a submission share; what to search for."""
    return f"br-{token}-"
