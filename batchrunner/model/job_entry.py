"""A job as a job file would give it, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from batchrunner.model.states import JobState


@dataclass(frozen=True, kw_only=True, slots=True)
class JobEntry:
    """One entry for a job file; its values are those that JSON has."""

    key: str
    url: str
    goal: str
    state: JobState
    options: Mapping[str, Any] = field(default_factory=dict)
    expect: Mapping[str, Any] = field(default_factory=dict)
    policy: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)  #: `queued`, `running` in seconds
    columns: Mapping[str, Any] = field(default_factory=dict)  #: its carried cells
    attempts: int = 0
    category: str | None = None  #: why it failed
    message: str | None = None
    run_id: str | None = None
