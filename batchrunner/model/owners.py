"""The processes that run jobs of a database."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Owner:
    """A process that runs jobs of a database."""

    id: str
    machine: str  #: the machine that its pid is valid on
    pid: int
    process_started_at: str  #: distinguishes processes with the same pid
