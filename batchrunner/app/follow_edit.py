"""Loads a job file into its batch after the user's decision on a large edit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeAlias

from sqlalchemy import Connection

from batchrunner.app.clock import store_now
from batchrunner.app.load_in_parts import prepared
from batchrunner.app.open_database import retry_while_away
from batchrunner.app.run_observer import Say
from batchrunner.errors import EditNeedsDecision, UsageError
from batchrunner.model import Batch, JobFile, LoadResult
from batchrunner.model.comparison import (
    GUARDED_JOBS,
    UNDECIDED,
    Comparison,
    EditDecision,
    Guard,
)
from batchrunner.store import batches
from batchrunner.store.edits import EditUndecided
from batchrunner.store.store import Store
from batchrunner.store.unseen_batch import UnseenBatch
from batchrunner.text.format import counted
from batchrunner.text.terminal import term_safe

#: Refuses a batch as it is after a load, in its transaction.
Check: TypeAlias = Callable[[Connection, Batch], None]
#: A load that adds jobs and leaves all others as they are.
ADDS_ONLY = EditDecision(run_changed=False, withdraw=False)
#: Values of `on_change` and `on_missing` → what was decided.
ON_CHANGE = {"rerun": True, "keep": False}
ON_MISSING = {"withdraw": True, "append": False}
#: What continues after a guard, for callers of the Python interface.
_NEXT = {
    Guard.CHANGED: 'on_change="rerun" runs them again, on_change="keep" keeps what there is',
    Guard.WITHDRAWN: 'on_missing="withdraw" withdraws them, on_missing="append" only adds jobs',
}


def load_jobs(
    store: Store,
    job_file: JobFile,
    say: Say,
    decision: EditDecision = UNDECIDED,
    check: Check | None = None,
) -> LoadResult:
    """
    Load a job file's jobs, and let the jobs of its batch follow it.

    If *check* refuses the batch as it is then, nothing changes.

    Raises:
        EditNeedsDecision: The edit is so large that *decision* must say what to do; nothing
            changed.
    """

    def load(tx: Connection, now: datetime, unseen: UnseenBatch | None) -> LoadResult:
        loaded = batches.load_jobs(tx, job_file, now, decision, unseen)
        if check is not None:
            check(tx, loaded.batch)
        return loaded

    try:
        with prepared(store, job_file, say) as unseen:
            return retry_while_away(lambda: store.write(load, store_now(store), unseen), say)
    except EditUndecided as undecided:
        raise _needs_decision(undecided.comparison, undecided.guards) from undecided


def _needs_decision(comparison: Comparison, guards: tuple[Guard, ...]) -> EditNeedsDecision:
    return EditNeedsDecision(
        "; ".join(guard_line(comparison, guard) for guard in guards),
        comparison=comparison,
        guards=guards,
        why=f"this is more than {GUARDED_JOBS} jobs and a tenth of the batch",
        next="; ".join(_NEXT[guard] for guard in guards),
    )


def decision_of(on_change: str | None, on_missing: str | None) -> EditDecision:
    """
    Return the decision that the arguments of `load` make.

    Raises:
        UsageError: One of them is no such decision.
    """
    return EditDecision(
        run_changed=_chosen("on_change", on_change, ON_CHANGE),
        withdraw=_chosen("on_missing", on_missing, ON_MISSING),
    )


def _chosen(name: str, value: str | None, choices: dict[str, bool]) -> bool | None:
    if value is None:
        return None
    if value not in choices:
        raise UsageError(
            f"{name} is {value!r}", next=f"use {' or '.join(map(repr, choices))}, or leave it out"
        )
    return choices[value]


# ---- in words ----


def guard_line(comparison: Comparison, guard: Guard) -> str:
    """Return what an edit would do that needs a decision."""
    if guard is Guard.CHANGED:
        jobs = counted(comparison.changed_final, "finished job")
        return f"this edit would buy {jobs} again{_fields(comparison)}; {cost_line(comparison)}"
    return (
        f"this edit would withdraw {comparison.withdrawn} of {counted(comparison.total, 'job')}: "
        "the file has them no longer"
    )


def edit_lines(comparison: Comparison, decision: EditDecision = UNDECIDED) -> Sequence[str]:
    """Return what a load changes, a line for each kind of change."""
    found = comparison
    lines = []
    if found.changed and decision.withdraw is False and not decision.run_changed:
        lines.append(f"{found.changed} changed{_fields(found)}: left as they are, as only added")
    elif found.changed:
        lines.append(f"{found.changed} changed{_fields(found)}{_of_changed(found, decision)}")
    if found.withdrawn:
        lines.append(f"{found.withdrawn} withdrawn, no longer in the file{_of_withdrawn(found)}")
    if found.returning:
        lines.append(f"{found.returning} back: what was done for them before counts again")
    return lines


def cost_line(comparison: Comparison) -> str:
    """Return what the changed jobs in a final state have cost."""
    dollars = f" (${comparison.cost_before})" if comparison.cost_before else ""
    return f"they cost {counted(comparison.steps_before, 'step')}{dollars} before"


def _fields(comparison: Comparison) -> str:
    names = [
        name if change.jobs == comparison.changed else f"{name} of {change.jobs}"
        for name, change in comparison.fields.items()
    ]
    return f" ({', '.join(map(term_safe, names))})" if names else ""


def _of_changed(comparison: Comparison, decision: EditDecision) -> str:
    if not comparison.changed_final:
        return ": they run in their new form"
    final = f"{comparison.changed_final} of them finished"
    if decision.run_changed is False:
        return f": {final}, which are kept as they are"
    return f": {final}, which run again; {cost_line(comparison)}"


def _of_withdrawn(comparison: Comparison) -> str:
    parts = [
        (comparison.withdrawn_final, "finished, out of the export"),
        (comparison.withdrawn_in_flight, "in flight, whose runs end and are kept"),
        (comparison.withdrawn_open, "cancelled"),
    ]
    return ": " + ", ".join(f"{count} {what}" for count, what in parts if count)
