"""What a batch may come to before it is run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpectedRun:
    """A job that is still to be run, as an estimate needs it."""

    host: str
    once: int  #: most steps of one run
    worst: int  #: most steps of all its attempts together


@dataclass(frozen=True, kw_only=True, slots=True)
class PastRun:
    """What a job took from its first attempt to its last."""

    host: str
    steps: int
    time: timedelta  #: in which it held a slot


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A range in which most such nights end, by what like jobs have taken."""

    steps: tuple[int, int]
    time: tuple[timedelta, timedelta]
    past: int  #: jobs by which it was judged
    own: int  #: of the jobs, those judged by their own host's past
