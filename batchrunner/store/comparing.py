"""Compares a job file with its batch, and changes the batch accordingly."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection, func, not_, select

from batchrunner.model import JobFile
from batchrunner.model.comparison import Comparison
from batchrunner.model.question import question_digest
from batchrunner.store.batches import LOAD_CHUNK, chunks, rate_of
from batchrunner.store.conditions import FINAL_STATES
from batchrunner.store.schema import batches, jobs


def compare(tx: Connection, file: JobFile) -> Comparison:
    """Return what loading *file* would change; nothing in the database changes."""
    found = Comparison(batch=file.name, rows=len(file.specs))
    batch = tx.execute(select(batches).where(batches.c.name == file.name)).first()
    if batch is None:
        return replace(found, new=len(file.specs))
    current = (
        jobs.c.batch_id == batch.id,
        not_(jobs.c.superseded),
        not_(jobs.c.withdrawn),
    )
    total = tx.execute(select(func.count()).select_from(jobs).where(*current)).scalar_one()
    same = changed = changed_final = 0
    for chunk in chunks(file.specs, LOAD_CHUNK):
        rows = tx.execute(
            select(jobs.c.key, jobs.c.state, jobs.c.digest).where(
                *current, jobs.c.key.in_([spec.key for spec in chunk])
            )
        )
        stored = {row.key: row for row in rows}
        for spec in chunk:
            if row := stored.get(spec.key):
                is_same = row.digest == question_digest(spec.url, spec.goal, spec.options)
                same += is_same
                changed += not is_same
                changed_final += not is_same and row.state in FINAL_STATES
    return replace(
        found,
        total=total,
        new=len(file.specs) - same - changed,
        same=same,
        changed=changed,
        changed_final=changed_final,
        rate=rate_of(batch),
        withdrawn=total - same - changed if file.from_file else 0,
    )
