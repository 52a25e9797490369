"""A refusal of a goal that is too long → what made it too long, and what to do; pure."""

from __future__ import annotations

import re

from batchrunner.model import SubmittedAttempt, marked_goal

_ABOUT_GOAL = re.compile(r"\bgoals?\b|\bprompt\b", re.IGNORECASE)
_ABOUT_LENGTH = re.compile(
    r"too (long|big|large|many)|at most|max|length|character|exceed|longer|limit|<=|≤",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(?<![\w.-])\d{1,3}(?:[,_]\d{3})+(?![\w])|(?<![\w.-])\d+(?!\w)")
#: Numbers below are no limit of a goal, but an index or a status.
_LEAST_LIMIT = 20


def explain_too_long(message: str, attempt: SubmittedAttempt) -> str:
    """Return the API's message; if it finds the goal too long, with the cause and the remedy."""
    if not (_ABOUT_GOAL.search(message) and _ABOUT_LENGTH.search(message)):
        return message
    own, sent = len(attempt.goal), len(marked_goal(attempt.goal, attempt.marker))
    limit = _limit(message, sent)
    if attempt.marker is None:
        return f"{message} (the goal has {own:,} characters: shorten it)"
    added = sent - own
    if limit is None:
        return (
            f"{message} (the goal has {own:,} characters, and the marker that finds its run again "
            f"adds {added}: shorten the goal, or set `marker: false` below `settings`)"
        )
    if own > limit:
        return (
            f"{message} (the goal has {own:,} characters without its marker: shorten it "
            f"to {max(limit - added, 0):,})"
        )
    return (
        f"{message} (only the marker makes the goal too long: {own:,} + {added} characters, "
        f"against {limit:,}. Shorten the goal to {max(limit - added, 0):,}, or set "
        "`marker: false` below `settings`; then a run whose answer is lost cannot be found again)"
    )


def _limit(message: str, sent: int) -> int | None:
    """Return the limit that a message names for a goal of *sent* characters."""
    numbers = [int(re.sub(r"\D", "", each)) for each in _NUMBER.findall(message)]
    return min((each for each in numbers if _LEAST_LIMIT <= each < sent), default=None)
