"""No statement of a running batch reads a whole large table, whoever adds the statement."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import Engine, event

from batchrunner.model import Canary, HostRule, Settings
from batchrunner.runner.runner import ExitReason
from batchrunner.sandbox import SandboxConfig
from tests.simulator.simulated_batch import SimulatedBatch, pages, simulate

#: Tables that grow with a batch.
LARGE = {"jobs", "attempts", "submissions", "results", "artifacts"}
FAULTS = ("system_failure", "throttled_after", "rejected_after", "lost", "goal_failure")
SETTINGS = Settings(
    concurrency=10,
    backoff=timedelta(seconds=4),
    canary=Canary(jobs=3),
    hosts={"*": HostRule(concurrency=8)},
)


@contextmanager
def statements() -> Iterator[dict[str, Any]]:
    """Collect the statements that are executed, each with parameters."""
    seen: dict[str, Any] = {}

    def note(_: object, __: object, statement: str, values: Any, *rest: object) -> None:
        seen.setdefault(statement, values[0] if rest[-1] else values)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


#: Statements that read all rows of a batch, at its start or end, or when it is audited: what they
#: contain → why.
WHOLE = {
    "AS unmarked": "an audit's totals, at the start and the end",
    "AS lost": "an audit's totals, at the start and the end",
    "attempts.id DESC LIMIT": "the newest attempts, read by their ids: durations of runs",
    "SELECT submissions.marker_token FROM submissions": "an audit's tokens of all submissions",
}


def reads_whole_table(step: str) -> bool:
    """Return whether a step of a plan reads every row of a large table."""
    words = step.split()
    return words[0] == "SCAN" and words[1] in LARGE


def test_no_statement_of_a_running_batch_reads_a_whole_table() -> None:
    """It also runs those of retries, refusals, late and lost runs, the canary and hosts' limits."""

    async def scenario() -> None:
        urls = [*pages(4), *(f"http://faults.test/{fault}/1" for fault in FAULTS)]
        batch = SimulatedBatch.of(urls, SandboxConfig(durations=(5.0, 20.0)), SETTINGS)
        with statements() as seen:
            assert await batch.run() is ExitReason.FINISHED
        checked, whole = 0, []
        with batch.store._database.read() as tx:
            for statement, values in seen.items():
                if statement.split()[0] in ("SELECT", "UPDATE", "WITH", "DELETE"):
                    plan = tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
                    checked += 1
                    if any(reads_whole_table(row.detail) for row in plan):
                        words = " ".join(statement.split())
                        whole += [words] * (not any(known in words for known in WHOLE))
        assert checked > 80
        assert whole == []

    simulate(scenario)
