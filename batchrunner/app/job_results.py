"""Jobs in a final state as Python values: their outcome, their cost and their result."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from io import BytesIO
from typing import Any

from batchrunner.model import FailureCategory, Finding, FinishedJob, JobState, RunHelp, Verdict
from batchrunner.outputs.jsonl import write_jsonl
from batchrunner.outputs.table import ExportTable, View


@dataclass(frozen=True, kw_only=True)
class JobResult:
    """A job in a final state."""

    id: str  #: the id that the user gave it, else a digest
    url: str
    goal: str
    state: JobState
    category: FailureCategory | None  #: why it failed
    code: str | None
    message: str | None
    result: Any  #: the JSON value that the run returned; None where there is none
    attempts: int
    steps: int | None  #: billed for all its attempts
    cost: Decimal | None  #: the same in dollars; None where the price of a step is unknown
    run_id: str | None
    started_at: datetime | None
    finished_at: datetime | None
    verdict: Verdict | None  #: on the result; None: there is none, or an older version ran it
    finding: Finding | None  #: what decided the verdict: its rule, where it is, and what is there
    artifacts: tuple[str, ...]  #: paths of what was captured of its last run
    help: RunHelp | None  #: the API's advice about its last run
    run_error: Mapping[str, str] | None  #: the error that its last run reported beside its result
    #: the columns of an export, as `BatchHandle.rows` gives them
    row: Mapping[str, Any] = field(repr=False)

    @property
    def succeeded(self) -> bool:
        """Whether the job got what it asked for."""
        return self.state is JobState.SUCCEEDED


def result_rows(jobs: Iterable[FinishedJob]) -> Iterator[dict[str, Any]]:
    """Give each job as a row with the columns of a JSONL export, its result as Python values."""
    for job in jobs:
        line = BytesIO()
        write_jsonl(ExportTable(jobs=lambda job=job: [job]), line)  # type: ignore[misc]
        text = line.getbuffer()
        yield json.loads(str(text, "ascii"), parse_int=_integer)


def export_rows(
    jobs: Iterable[FinishedJob], carried: tuple[str, ...], view: View
) -> Iterator[dict[str, Any]]:
    """Give the rows that a JSONL export of these jobs has, with their results as Python values."""
    for job in jobs:
        lines = BytesIO()
        table = ExportTable(jobs=lambda job=job: [job], columns=carried, view=view)  # type: ignore[misc]
        write_jsonl(table, lines)
        for line in lines.getvalue().splitlines():
            yield json.loads(line, parse_int=_integer)


def job_results(jobs: Iterable[FinishedJob]) -> Iterator[JobResult]:
    """Give each job with its result as Python values."""
    for job in jobs:
        (row,) = result_rows([job])
        yield JobResult(
            id=job.key,
            url=job.url,
            goal=job.goal,
            state=job.state,
            category=job.category,
            code=job.code,
            message=job.message,
            result=row["result"],
            attempts=job.attempts,
            steps=job.steps,
            cost=None if job.cost is None else Decimal(job.cost),
            run_id=job.run_id,
            started_at=job.started_at,
            finished_at=job.finished_at,
            verdict=job.verdict,
            finding=job.finding,
            artifacts=job.artifacts,
            help=job.help,
            run_error=json.loads(job.run_error) if job.run_error else None,
            row=row,
        )


def _integer(digits: str) -> int | str:
    """Return a number; one with more digits than Python reads stays text."""
    try:
        return int(digits)
    except ValueError:
        return digits
