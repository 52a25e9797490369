"""Estimates of a batch's cost and time before it runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpectedRun:
    """What an estimate needs to know about a job that has not run yet."""

    host: str
    once: int  #: maximum steps of one run
    worst: int  #: maximum steps of all its attempts together


@dataclass(frozen=True, kw_only=True, slots=True)
class PastRun:
    """What a finished job took, over all its attempts."""

    host: str
    steps: int
    time: timedelta  #: how long it used a slot


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """The range that most batch runs like this one end in."""

    steps: tuple[int, int]
    time: tuple[timedelta, timedelta]
    past: int  #: past jobs that it is based on
    own: int  #: jobs that are estimated from their own host's past
