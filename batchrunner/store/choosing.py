"""Statements that choose which due jobs may go: in file order, as far as their hosts have room."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, bindparam, or_, select

from batchrunner.model import HostRule, JobState
from batchrunner.schema import jobs
from batchrunner.store import parking

#: Jobs that are looked at together, at least: some of them may be on hosts that have no room.
PAGE = 50

_ALL_DUE = (
    select(
        jobs.c.id,
        jobs.c.position,
        jobs.c.key,
        jobs.c.url,
        jobs.c.host,
        jobs.c.goal,
        jobs.c.options,
        jobs.c.shape,
        jobs.c.together,
        jobs.c.attempt,
        jobs.c.failures,
        jobs.c.met,
        jobs.c.policy,
        jobs.c.rungs,
    )
    .where(
        jobs.c.batch_id == bindparam("batch"),
        jobs.c.state == JobState.AVAILABLE,
        jobs.c.available_at <= bindparam("now"),
    )
    .order_by(jobs.c.position, jobs.c.id)
)
_behind = or_(
    jobs.c.position > bindparam("position"),
    and_(jobs.c.position == bindparam("position"), jobs.c.id > bindparam("id")),
)
_PAGE = (
    _ALL_DUE.where(_behind, jobs.c.host.not_in(bindparam("full", expanding=True)))
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_CANARY = _PAGE.where(jobs.c.canary)
_FIRST = _ALL_DUE.limit(1)


def due(
    tx: Connection,
    batch_id: int,
    room: int,
    rules: Mapping[str, HostRule],
    now: datetime,
    *,
    canary: bool,
) -> list[Row[Any]]:
    """
    Return due jobs, at most *room* in all, and of each host no more than it has room for.

    Of a *canary* only, where it has not passed yet.
    """
    chosen: list[Row[Any]] = []
    if room <= 0:
        return chosen
    rooms = parking.rooms(tx, batch_id, rules, now)
    page: Select[Any] = _CANARY if canary else _PAGE
    last = {"position": 0, "id": 0}
    while len(chosen) < room:
        most = max(room - len(chosen), PAGE)
        asked = {"batch": batch_id, "now": now, "full": rooms.full, "most": most, **last}
        rows = tx.execute(page, asked).all()
        for row in rows:
            if len(chosen) < room and rooms.take(row.host):
                chosen.append(row)
        if len(rows) < most:
            break
        last = {"position": rows[-1].position, "id": rows[-1].id}
    return chosen


def first_due(tx: Connection, batch_id: int, now: datetime) -> list[Row[Any]]:
    """Return the first job that is due, whatever its host has room for; none where none is."""
    return list(tx.execute(_FIRST, {"batch": batch_id, "now": now}))
