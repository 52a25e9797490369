"""Compares a job file with its batch."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, func, not_, select, update

from batchrunner.model import JobFile
from batchrunner.model.comparison import (
    UNDECIDED,
    Comparison,
    EditDecision,
    FieldChange,
    JobChange,
)
from batchrunner.model.question import Question, changed_fields, text_of
from batchrunner.store.batch_rows import rate_of
from batchrunner.store.conditions import count_where
from batchrunner.store.database import MIGRATED_ON_TRIAL
from batchrunner.store.schema import attempts, batches, jobs
from batchrunner.store.serialization import options_of
from batchrunner.store.staging import (
    MatchKind,
    in_batch,
    in_file,
    is_gone,
    is_new,
    matches,
    pages,
    staged,
)

#: Most jobs that a comparison names as examples.
MAX_EXAMPLES = 100
#: Longest text of an example.
MAX_TEXT = 200
#: Any moment will do where nothing is stored.
_NO_TIME = datetime(2000, 1, 1, tzinfo=UTC)


def compare(tx: Connection, file: JobFile, decision: EditDecision = UNDECIDED) -> Comparison:
    """
    Return what loading *file* would change after this decision; nothing in the database changes.

    Where it reads without a lock, other processes go on: the temporary tables are its own.
    """
    batch = peek_batch(tx, file.name)
    if batch is None:
        return Comparison(batch=file.name, rows=len(file.specs), new=len(file.specs))
    with staged(tx, file, batch.id, _NO_TIME, lists_all=lists_all_jobs(file, decision)):
        return compare_staged(tx, file, batch, decision)


def peek_batch(tx: Connection, name: str) -> Any:
    """
    Return the row of a batch, and end the transaction that read it; None if there is none.

    On SQLite, a transaction that has read holds up writers until it ends. Putting a large file into
    temporary tables takes long, so it must not come after the first read.
    """
    row = tx.execute(select(batches).where(batches.c.name == name)).first()
    if not tx.get_execution_options().get(MIGRATED_ON_TRIAL):
        tx.rollback()
    return row


def lists_all_jobs(file: JobFile, decision: EditDecision) -> bool:
    """
    Return whether a file has all jobs of its batch, so that others are withdrawn.

    Rows from Python are all only if the user says so, and so is a file of which rows were left out.
    A file without jobs never is.
    """
    if not len(file.specs):
        return False
    if decision.withdraw is not None:
        return decision.withdraw
    return file.from_file and file.is_complete


def compare_staged(tx: Connection, file: JobFile, batch: Any, decision: EditDecision) -> Comparison:
    """Return what the staged jobs of a file would change in a batch."""
    if decision.run_changed:
        # What was kept before is run now.
        tx.execute(
            update(matches).where(matches.c.kind == MatchKind.KEPT).values(kind=MatchKind.CHANGED)
        )
    changes = _changes(tx)
    found = replace(
        Comparison(batch=file.name, rows=len(file.specs), rate=rate_of(batch)),
        total=_count(tx, not_(in_batch.c.withdrawn)),
        new=tx.execute(select(func.count()).select_from(in_file).where(is_new)).scalar_one(),
        fields={
            name: FieldChange(jobs=count, final=changes.final[name])
            for name, count in changes.jobs.most_common()
        },
        examples=tuple(changes.examples),
    )
    return replace(found, **_of_matches(tx), **_of_gone(tx))


def _count(tx: Connection, *conditions: Any) -> int:
    count: int = tx.execute(
        select(func.count()).select_from(in_batch).where(*conditions)
    ).scalar_one()
    return count


def _of_matches(tx: Connection) -> dict[str, Any]:
    rows = tx.execute(
        select(
            matches.c.kind,
            func.count().label("jobs"),
            count_where(in_batch.c.withdrawn).label("withdrawn"),
            count_where(in_batch.c.is_final).label("final"),
            count_where(in_batch.c.in_flight).label("in_flight"),
        )
        .join(in_batch, in_batch.c.id == matches.c.job_id)
        .group_by(matches.c.kind)
    )
    by_kind = {row.kind: row for row in rows}
    changed, restored = by_kind.get(MatchKind.CHANGED), by_kind.get(MatchKind.RESTORED)
    same = [row for kind, row in by_kind.items() if kind in (MatchKind.SAME, MatchKind.KEPT)]
    restorable = restored.jobs if restored else 0
    return {
        "same": sum(row.jobs for row in same) + restorable,
        "returning": sum(int(row.withdrawn) for row in same) + restorable,
        "kept": by_kind[MatchKind.KEPT].jobs if MatchKind.KEPT in by_kind else 0,
        "changed": changed.jobs if changed else 0,
        "changed_final": int(changed.final) if changed else 0,
        "changed_in_flight": int(changed.in_flight) if changed else 0,
        "steps_before": _steps_before(tx),
    }


def _steps_before(tx: Connection) -> int:
    """Return what the changed jobs in a final state were billed, in steps."""
    steps: int = tx.execute(
        select(func.coalesce(func.sum(attempts.c.steps), 0))
        .join(matches, matches.c.job_id == attempts.c.job_id)
        .join(in_batch, in_batch.c.id == matches.c.job_id)
        .where(matches.c.kind == MatchKind.CHANGED, in_batch.c.is_final)
    ).scalar_one()
    return int(steps)


def _of_gone(tx: Connection) -> dict[str, Any]:
    first = select(in_batch.c.key).where(is_gone).order_by(in_batch.c.position, in_batch.c.id)
    return {
        "withdrawn": _count(tx, is_gone),
        "withdrawn_final": _count(tx, is_gone, in_batch.c.is_final),
        "withdrawn_in_flight": _count(tx, is_gone, in_batch.c.in_flight),
        "first_withdrawn": tuple(tx.execute(first.limit(MAX_EXAMPLES)).scalars()),
    }


# ---- in which fields jobs changed ----


@dataclass
class _Changes:
    jobs: Counter[str] = field(default_factory=Counter)  #: by field
    final: Counter[str] = field(default_factory=Counter)
    examples: list[JobChange] = field(default_factory=list)

    def add(self, row: Any, before: Question, after: Question) -> None:
        fields = changed_fields(before, after)
        self.jobs.update(fields)
        if row.is_final:
            self.final.update(fields)
        if fields and len(self.examples) < MAX_EXAMPLES:
            first = fields[0]
            self.examples.append(
                JobChange(
                    key=row.key,
                    fields=fields,
                    before=text_of(before, first)[:MAX_TEXT],
                    after=text_of(after, first)[:MAX_TEXT],
                )
            )


def _changes(tx: Connection) -> _Changes:
    """Return in which fields jobs changed, reading them page by page."""
    query = (
        select(
            matches.c.position,
            in_batch.c.key,
            in_batch.c.is_final,
            jobs.c.url,
            jobs.c.goal,
            jobs.c.options,
            in_file.c.url.label("new_url"),
            in_file.c.goal.label("new_goal"),
            in_file.c.options.label("new_options"),
        )
        .join(in_batch, in_batch.c.id == matches.c.job_id)
        .join(jobs, jobs.c.id == matches.c.job_id)
        .join(in_file, in_file.c.position == matches.c.position)
        .where(matches.c.kind == MatchKind.CHANGED)
    )
    found = _Changes()
    for page in pages(tx, query, matches.c.position):
        for row in page:
            before = Question(row.url, row.goal, options_of(row.options, None))
            after = Question(row.new_url, row.new_goal, options_of(row.new_options, None))
            found.add(row, before, after)
    return found
