"""A part of a batch that is run first."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """How many jobs a partial run takes, and which."""

    jobs: int
    spread: bool  #: over the hosts; else the first of the file

    def __str__(self) -> str:
        """Return the option that asks for it."""
        return f"--{'sample' if self.spread else 'limit'} {self.jobs}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ChosenPart:
    """The part of a batch that was chosen."""

    jobs: int
    open: int  #: of these, jobs that are not final
