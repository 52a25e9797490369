"""Chooses the part of a batch that `run --limit` and `run --sample` may run."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, and_, bindparam, func, not_, select, update

from batchrunner.model.part import ChosenPart, Part
from batchrunner.policy.sample import choose_sample
from batchrunner.store.conditions import FINAL_STATES, count_where, is_current
from batchrunner.store.schema import batches, jobs

#: Ids in one statement.
_CHUNK = 500

_current = and_(jobs.c.batch_id == bindparam("batch"), is_current)
_is_open = jobs.c.state.not_in(FINAL_STATES)
_CHOSEN = select(func.count().label("jobs"), count_where(_is_open).label("open")).where(
    _current, jobs.c.part
)
_OTHERS = select(jobs.c.id, jobs.c.host, jobs.c.key).where(_current, _is_open, not_(jobs.c.part))
#: The canary decides about the whole batch, so it comes first.
_CANARY = _OTHERS.where(jobs.c.canary).order_by(jobs.c.position, jobs.c.id).limit(bindparam("most"))
_FIRST = _OTHERS.order_by(jobs.c.position, jobs.c.id).limit(bindparam("most"))
_MARK = update(jobs).where(jobs.c.id.in_(bindparam("ids", expanding=True))).values(part=True)


def choose_part(tx: Connection, batch_id: int, part: Part) -> ChosenPart:
    """
    Choose the jobs that a partial run may take, and return their numbers.

    A part stays chosen: the same part again adds nothing, however many processes ask and however
    often they are killed, and a larger one adds only the difference.
    """
    # Of two processes that choose at once, the second one sees what the first has chosen.
    tx.execute(select(batches.c.id).where(batches.c.id == batch_id).with_for_update())
    found = _chosen(tx, batch_id)
    if (missing := part.jobs - found.jobs) > 0:
        _mark(tx, [row.id for row in tx.execute(_CANARY, {"batch": batch_id, "most": missing})])
        missing = part.jobs - _chosen(tx, batch_id).jobs
    if missing > 0:
        _mark(tx, _next(tx, batch_id, missing, spread=part.spread))
    return _chosen(tx, batch_id)


def _next(tx: Connection, batch_id: int, count: int, *, spread: bool) -> list[int]:
    if not spread:
        return [row.id for row in tx.execute(_FIRST, {"batch": batch_id, "most": count})]
    rows = tx.execute(_OTHERS, {"batch": batch_id}).yield_per(_CHUNK)
    return choose_sample(((row.id, row.host, row.key) for row in rows), count)


def _mark(tx: Connection, ids: Sequence[int]) -> None:
    for start in range(0, len(ids), _CHUNK):
        tx.execute(_MARK, {"ids": list(ids[start : start + _CHUNK])})


def _chosen(tx: Connection, batch_id: int) -> ChosenPart:
    row = tx.execute(_CHOSEN, {"batch": batch_id}).one()
    return ChosenPart(jobs=row.jobs, open=int(row.open))
