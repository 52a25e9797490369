"""Runs succeeded jobs of a batch again on request."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from batchrunner.app.clock import store_now
from batchrunner.errors import UsageError
from batchrunner.inputs.field_types import duration_of
from batchrunner.model import Batch, JobState
from batchrunner.store.edits import kept_among, rerun_jobs, states_of
from batchrunner.store.planning import Again
from batchrunner.store.store import Store
from batchrunner.text.terminal import term_safe

CHANGED = "changed"
SUSPECT = "suspect"
ALL = "all"
OLDER_THAN = "older-than"
#: Ids that a message names.
_MAX_NAMED = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class RerunChoice:
    """Which succeeded jobs are run again."""

    changed: bool = False  #: those that the file changed since
    all: bool = False
    suspect: bool = False  #: those whose results look wrong
    older_than: timedelta | None = None  #: those that finished longer ago
    keys: tuple[str, ...] = ()

    @property
    def chooses(self) -> bool:
        """Whether it chooses jobs beside those that changed."""
        return self.all or self.suspect or self.older_than is not None or bool(self.keys)

    def at(self, now: datetime) -> Again | None:
        """Return the jobs that it chooses beside those that changed; None: no others."""
        if not self.chooses:
            return None
        if self.all:
            return Again()
        before = None if self.older_than is None else now - self.older_than
        return Again(keys=self.keys, finished_before=before, suspect=self.suspect)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rerun:
    """What is run again."""

    jobs: int
    steps: int  #: what these jobs have cost before
    cost: str | None  #: the same in dollars; None if the rate is unknown
    kept: int = 0  #: jobs that are asked as before, although the file asks something else


def rerun_choice(words: tuple[str, ...]) -> RerunChoice:
    """
    Return what the values of `--rerun` choose.

    They are `changed`, `all`, `suspect`, `older-than 7d`, and ids. A job must meet all that are
    given of `suspect`, an age and ids.

    Raises:
        UsageError: One of them is none of these.
    """
    keys, older_than = [], None
    for word in words:
        name, _, value = word.partition(" ")
        if name == OLDER_THAN:
            older_than = _age(value.strip())
        elif word not in (CHANGED, ALL, SUSPECT):
            keys.append(word)
    return RerunChoice(
        changed=CHANGED in words,
        all=ALL in words,
        suspect=SUSPECT in words,
        older_than=older_than,
        keys=tuple(keys),
    )


def _age(text: str) -> timedelta:
    age = duration_of(text)
    if age is None:
        raise UsageError(
            f"--rerun {OLDER_THAN} {text}: this is no age".replace(" :", ":"),
            next=f"write both in one: --rerun '{OLDER_THAN} 7d' (or 12h, 30m)",
        )
    return age


def rerun(store: Store, batch: Batch, choice: RerunChoice) -> Rerun:
    """
    Run the chosen succeeded jobs again, each as a new revision; failed jobs are left to `retry`.

    Raises:
        UsageError: An id is unknown, or its job has not succeeded.
    """
    store.read(check_chosen, batch, choice)
    now = store_now(store)
    again = choice.at(now) or Again()
    keys, before, suspect = again.keys, again.finished_before, again.suspect
    chosen: dict[str, Any] = {"keys": keys, "finished_before": before, "suspect": suspect}
    kept = store.read(kept_among, batch.id, **chosen)
    jobs, steps = store.write(rerun_jobs, batch.id, now, **chosen)
    rate = batch.step_price
    cost = f"{steps * rate.amount:f}" if rate else None
    return Rerun(jobs=jobs, steps=steps, cost=cost, kept=kept)


def check_chosen(tx: Connection, batch: Batch, choice: RerunChoice) -> None:
    """
    Check the ids of a choice; in the transaction of a load, a mistake takes back the load.

    Raises:
        UsageError: An id is unknown, or its job has not succeeded.
    """
    keys = choice.keys
    if not keys:
        return
    states = states_of(tx, batch.id, keys)
    missing = [key for key in keys if key not in states]
    if missing == ["bad"]:
        raise UsageError(
            "jobs with a bad result have failed, so there is nothing to run again",
            next=f"batchrunner retry {batch.name}",
        )
    if missing:
        raise UsageError(
            f"batch {batch.name!r} has no job {_named(missing)}",
            next="the `id` column of the export names the jobs",
        )
    other = [key for key in keys if states[key] in (JobState.FAILED, JobState.CANCELLED)]
    if other:
        raise UsageError(
            f"job {_named(other)} has not succeeded, so there is nothing to run again",
            next=f"batchrunner retry {batch.name} {' '.join(f'--job {key}' for key in other[:9])}",
        )


def _named(keys: list[str]) -> str:
    more = f" and {len(keys) - _MAX_NAMED} more" if len(keys) > _MAX_NAMED else ""
    return ", ".join(term_safe(key) for key in keys[:_MAX_NAMED]) + more
