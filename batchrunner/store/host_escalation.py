"""Statements that keep what attempts have told of hosts, and by which rung to begin there."""

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
    """Return what is known of these hosts, by host and ladder."""
    found: dict[tuple[str, str], list[StepHistory]] = defaultdict(list)
    for row in tx.execute(_SEEN, {"batch": batch_id, "names": sorted(set(names))}):
        known = StepHistory(
            step=row.step, passed=row.passed, consecutive_failures=row.consecutive_failures
        )
        found[row.host, row.escalation_id].append(known)
    return found


@dataclass(slots=True)
class _Sum:
    """What several attempts have told of one rung."""

    passed: int = 0
    failed: int = 0


def record_escalation_results(
    tx: Connection, batch_id: int, applied: Iterable[AttemptDecision]
) -> None:
    """
    Add what attempts have told of their hosts.

    Only sums are added, so that those of concurrent runners add up, and all who add several do it
    in the same order. A host on which no ladder was ever needed is not written down.
    """
    sums: dict[tuple[str, str, int], _Sum] = defaultdict(_Sum)
    for lesson in (each for verdict in applied for each in verdict.escalation_results):
        _add(sums, lesson)
    if not sums:
        return
    known = step_history(tx, batch_id, {host for host, _, _ in sums})
    rows = [
        _row(batch_id, *place, told)
        for place, told in sorted(sums.items())
        if told.failed or place[2] or place[:2] in known
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


def _add(sums: dict[tuple[str, str, int], _Sum], lesson: EscalationResult) -> None:
    told = sums[lesson.host, lesson.escalation_id, lesson.step]
    told.passed += lesson.passed
    told.failed += not lesson.passed


def _row(batch_id: int, host: str, ladder: str, rung: int, told: _Sum) -> dict[str, Any]:
    return {
        "batch_id": batch_id,
        "host": host,
        "escalation_id": ladder,
        "step": rung,
        "passed": told.passed,
        "failed": told.failed,
        "consecutive_failures": 0 if told.passed else told.failed,
    }
