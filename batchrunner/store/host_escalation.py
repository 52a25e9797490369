"""Records how often each escalation step got past the failures of a host."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, case, select

from batchrunner.model import AttemptDecision, EscalationResult
from batchrunner.policy.escalation import StepHistory
from batchrunner.store.dialect import insert_or_ignore
from batchrunner.store.schema import host_escalations

_SEEN = select(host_escalations).where(
    host_escalations.c.batch_id == bindparam("batch"),
    host_escalations.c.host.in_(bindparam("names", expanding=True)),
)


def step_history(
    tx: Connection, batch_id: int, names: Collection[str]
) -> Mapping[tuple[str, str], list[StepHistory]]:
    """Return the histories of these hosts' escalation steps, by host and escalation id."""
    found: dict[tuple[str, str], list[StepHistory]] = defaultdict(list)
    for row in tx.execute(_SEEN, {"batch": batch_id, "names": sorted(set(names))}):
        known = StepHistory(
            step=row.step, passed=row.passed, consecutive_failures=row.consecutive_failures
        )
        found[row.host, row.escalation_id].append(known)
    return found


@dataclass(slots=True)
class _Sum:
    """The results of several attempts on one step."""

    passed: int = 0
    failed: int = 0


def record_escalation_results(
    tx: Connection, batch_id: int, applied: Iterable[AttemptDecision]
) -> None:
    """
    Add the results of attempts to their hosts' escalation steps.

    Concurrent runners add sums, in the same order of rows. A host that never needed an escalation
    is not stored.
    """
    sums: dict[tuple[str, str, int], _Sum] = defaultdict(_Sum)
    for result in (each for decision in applied for each in decision.escalation_results):
        _add(sums, result)
    if not sums:
        return
    known = step_history(tx, batch_id, {host for host, _, _ in sums})
    rows = [
        _row(batch_id, *key, total)
        for key, total in sorted(sums.items())
        if total.failed or key[2] or key[:2] in known
    ]
    if rows:
        _add_up(tx, rows)


def _add_up(tx: Connection, rows: list[dict[str, Any]]) -> None:
    insert = insert_or_ignore(tx, host_escalations)
    new = insert.excluded
    tx.execute(
        insert.on_conflict_do_update(
            index_elements=["batch_id", "host", "escalation_id", "step"],
            set_={
                "passed": host_escalations.c.passed + new.passed,
                "failed": host_escalations.c.failed + new.failed,
                "consecutive_failures": case(
                    (new.passed > 0, 0),
                    else_=host_escalations.c.consecutive_failures + new.consecutive_failures,
                ),
            },
        ),
        rows,
    )


def _add(sums: dict[tuple[str, str, int], _Sum], result: EscalationResult) -> None:
    total = sums[result.host, result.escalation_id, result.step]
    total.passed += result.passed
    total.failed += not result.passed


def _row(batch_id: int, host: str, escalation_id: str, step: int, total: _Sum) -> dict[str, Any]:
    return {
        "batch_id": batch_id,
        "host": host,
        "escalation_id": escalation_id,
        "step": step,
        "passed": total.passed,
        "failed": total.failed,
        "consecutive_failures": 0 if total.passed else total.failed,
    }
