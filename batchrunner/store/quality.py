"""Remembers how good the rows of batches are, and finds the edition to compare a batch with."""

from __future__ import annotations

from sqlalchemy import Connection, case, exists, or_, select, update

from batchrunner.model import Batch, JobState
from batchrunner.model.quality import QualityWord
from batchrunner.store.batch_rows import batch_of
from batchrunner.store.conditions import FINAL_STATES
from batchrunner.store.schema import batches, jobs


def last_good_edition(tx: Connection, batch: Batch) -> Batch | None:
    """
    Return the edition that a batch is compared with; None where it has none.

    It is older and finished, and some of its jobs succeeded. The newest good one is taken, else the
    newest of which nothing is known, else the newest that asked for a look; never one that was bad.
    """
    if batch.series is None:
        return None
    of_batch = jobs.c.batch_id == batches.c.id
    word = batches.c.quality_word
    rank = case((word == QualityWord.GOOD, 0), (word.is_(None), 1), else_=2)
    found = (
        select(batches)
        .where(
            batches.c.series == batch.series,
            batches.c.id < batch.id,
            batches.c.pruned_at.is_(None),
            batches.c.quality_stop.is_(None),
            or_(word.is_(None), word != QualityWord.BAD),
            exists().where(of_batch, jobs.c.state == JobState.SUCCEEDED),
            ~exists().where(of_batch, jobs.c.state.not_in(FINAL_STATES)),
        )
        .order_by(rank, batches.c.id.desc())
        .limit(1)
    )
    row = tx.execute(found).first()
    return batch_of(row) if row else None


def record_quality(tx: Connection, batch_id: int, word: QualityWord) -> None:
    """Remember how good the rows of a batch are."""
    tx.execute(update(batches).where(batches.c.id == batch_id).values(quality_word=word))
