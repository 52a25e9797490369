"""The marker in a goal, which identifies a run that the API did not report."""

from __future__ import annotations

import re

_MARKER = re.compile(r"\[ref br-[0-9a-z]+-[0-9]+\]")


def marker(token: str, batch_index: int) -> str:
    """Return the text that a submission appends to a goal to find the run again."""
    return f"[ref br-{token}-{batch_index}]"


def marker_in(goal: str | None) -> str | None:
    """
    Return the marker in a goal that the API returned; None if there is none.

    The last one counts: the user's own text may contain another, copied from somewhere.
    """
    found = [match.group() for match in _MARKER.finditer(goal or "")]
    return found[-1] if found else None


def marker_prefix(token: str) -> str:
    """Return the part of the marker that all runs of a submission share, to search for."""
    return f"br-{token}-"
