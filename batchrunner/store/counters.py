"""
Keeps the numbers of each batch: a transaction that changes jobs adds what it changed.

Reading a number takes the same time for ten jobs and for a million. Statements do it, not triggers:
a trigger makes SQLite prepare each row's statement for a rollback of its own, which doubles the
time of a load, and PostgreSQL runs a trigger once for each statement of a claim.

Each owner has rows of its own, so that no runner waits for another one's transaction. A number is
the sum over the owners. All changes are additions. So they may come in any order, and what one
transaction has not committed yet is missing in the jobs and in the numbers alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    BindParameter,
    ColumnElement,
    CompoundSelect,
    Connection,
    Text,
    bindparam,
    case,
    delete,
    exists,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    true,
    union_all,
    update,
)

from batchrunner.model import JobState, Verdict
from batchrunner.store.conditions import is_current, is_newest
from batchrunner.store.counter_names import Number, Numbers
from batchrunner.store.dialect import has_server, insert_or_ignore
from batchrunner.store.schema import attempts, batch_counters, batches, jobs, owners
from batchrunner.store.value_lists import is_one_of

#: Whose rows take changes that no runner makes.
NOBODY = ""
#: Most jobs whose numbers are compared before and after a change; of more, the batch is recounted.
MAX_COMPARED = 1000


_batch: BindParameter[int] = bindparam("batch")


# ---- read ----

_READ = (
    select(
        batch_counters.c.name,
        batch_counters.c.detail,
        func.sum(batch_counters.c.number).label("number"),
    )
    .where(batch_counters.c.batch_id == _batch)
    .group_by(batch_counters.c.name, batch_counters.c.detail)
)
_IS_COUNTED = select(batches.c.counted).where(batches.c.id == _batch)


def read_numbers(tx: Connection, batch_id: int) -> Numbers:
    """Return the numbers of a batch; those of a batch that is not counted yet take their time."""
    this = {"batch": batch_id}
    return _numbers(tx.execute(_READ if tx.execute(_IS_COUNTED, this).scalar() else _RECOUNT, this))


def _numbers(rows: Iterable[Any]) -> Numbers:
    return Counter({(row.name, row.detail): int(row.number) for row in rows if row.number})


#: The steps billed for attempts, in a statement about the batch with the id :batch.
billed_steps: ColumnElement[int] = case(
    (
        exists().where(batches.c.id == _batch, batches.c.counted),
        select(func.coalesce(func.sum(batch_counters.c.number), 0))
        .where(batch_counters.c.batch_id == _batch, batch_counters.c.name == Number.STEPS)
        .scalar_subquery(),
    ),
    else_=select(func.coalesce(func.sum(attempts.c.steps), 0))
    .where(attempts.c.batch_id == _batch)
    .scalar_subquery(),
)


# ---- count ----


def _counted(
    of_jobs: ColumnElement[bool], of_attempts: ColumnElement[bool], *more: Any
) -> CompoundSelect[Any]:
    """Return the statement that counts these jobs and attempts, row by row."""
    nothing: ColumnElement[str] = literal_column("''")
    one = func.count()
    current = (of_jobs, is_current)
    newest = select(literal(Number.FAILED), attempts.c.outcome, one).join(jobs, is_newest)
    return union_all(
        select(
            literal(Number.JOBS).label("name"),
            jobs.c.state.label("detail"),
            one.label("number"),
        )
        .where(*current)
        .group_by(jobs.c.state),
        select(literal(Number.RETRYING), nothing, one).where(
            of_jobs, jobs.c.state == JobState.AVAILABLE, jobs.c.attempt > 0
        ),
        select(literal(Number.LEAVING), nothing, one).where(
            of_jobs, jobs.c.state == JobState.RUNNING, not_(is_current)
        ),
        newest.where(*current, jobs.c.state == JobState.FAILED).group_by(attempts.c.outcome),
        select(literal(Number.SUSPECT), attempts.c.verdict_rule, one)
        .join(jobs, is_newest)
        .where(
            *current,
            jobs.c.state == JobState.SUCCEEDED,
            attempts.c.verdict == literal_column(f"'{Verdict.SUSPECT}'"),  # as in its index
        )
        .group_by(attempts.c.verdict_rule),
        select(literal(Number.RETRIED), attempts.c.outcome, one)
        .where(of_attempts, attempts.c.retry_at.is_not(None))
        .group_by(attempts.c.outcome),
        select(literal(Number.ATTEMPTS), nothing, one).where(of_attempts),
        select(literal(Number.STEPS), nothing, func.coalesce(func.sum(attempts.c.steps), 0)).where(
            of_attempts
        ),
        *more,
    )


_of_batch = (jobs.c.batch_id == _batch, attempts.c.batch_id == _batch)
_RECOUNT = _counted(*_of_batch)
#: In one statement, so that both sides are of the same moment on a server too.
_DRIFT = _counted(
    *_of_batch,
    select(batch_counters.c.name, batch_counters.c.detail, -batch_counters.c.number).where(
        batch_counters.c.batch_id == _batch
    ),
)
_COUNT_SOME = _counted(is_one_of(jobs.c.id, "jobs"), is_one_of(attempts.c.job_id, "jobs"))


def drift(tx: Connection, batch_id: int) -> Numbers:
    """Return by how much a recount of the jobs and attempts differs from the numbers kept."""
    found: Numbers = Counter()
    for row in tx.execute(_DRIFT, {"batch": batch_id}):
        found[row.name, row.detail] += int(row.number)
    return Counter({key: number for key, number in found.items() if number})


def count_jobs(tx: Connection, job_ids: Collection[int]) -> Numbers:
    """Return the numbers of these jobs alone."""
    return _numbers(tx.execute(_COUNT_SOME, {"jobs": [*job_ids]}))


# ---- change ----

_KEY = [*batch_counters.primary_key.columns]


#: The statement that adds, by whether there is a server: making it takes longer than running it.
_ADD: dict[bool, Any] = {}


def _adding(tx: Connection) -> Any:
    server = has_server(tx)
    if server not in _ADD:
        adding = insert_or_ignore(tx, batch_counters)
        if server:
            # One statement, whatever the number of rows: each is a round trip.
            rows = select(
                bindparam("batch_id", type_=BigInteger),
                func.unnest(bindparam("names", type_=ARRAY(Text))),
                func.unnest(bindparam("details", type_=ARRAY(Text))),
                bindparam("owner_id", type_=Text),
                func.unnest(bindparam("numbers", type_=ARRAY(BigInteger))),
            )
            adding = adding.from_select([column.name for column in batch_counters.columns], rows)
        more = batch_counters.c.number + adding.excluded.number
        _ADD[server] = adding.on_conflict_do_update(index_elements=_KEY, set_={"number": more})
    return _ADD[server]


def _adding_to_file(tx: Connection) -> str:
    """Return the text of the statement, which takes the columns of a row in their order."""
    if not _TEXT:
        compiled: Any = _adding(tx).compile(dialect=tx.dialect)
        assert compiled.positiontup == [column.name for column in batch_counters.columns]
        _TEXT.append(str(compiled))
    return _TEXT[0]


#: The text of the statement that adds to a file, once it is made.
_TEXT: list[str] = []


def add_numbers(tx: Connection, batch_id: int, owner_id: str, changes: Numbers) -> None:
    """Add what a transaction changed to the numbers of its owner; call it last."""
    keys = sorted(key for key, number in changes.items() if number)
    if not keys:
        return
    numbers = [changes[key] for key in keys]
    this = {"batch_id": batch_id, "owner_id": owner_id}
    if has_server(tx):
        names, details = ([str(key[place]) for key in keys] for place in (0, 1))
        lists = {"names": names, "details": details, "numbers": numbers}
        tx.execute(_adding(tx), {**this, **lists})
        return
    rows_of = zip(keys, numbers, strict=True)
    # As text, which takes half the time.
    tx.exec_driver_sql(
        _adding_to_file(tx),
        [(batch_id, str(name), str(detail), owner_id, n) for (name, detail), n in rows_of],
    )


@contextmanager
def changed_jobs(
    tx: Connection, job_ids: Collection[int], owner_id: str = NOBODY
) -> Iterator[Numbers]:
    """
    Keep the numbers of a batch true while the block changes these of its jobs, and their attempts.

    The block adds to what it is given what it changes of other jobs.
    """
    more: Numbers = Counter()
    batch_id = tx.execute(_BATCH_OF, {"job": next(iter(job_ids), None)}).scalar()
    if batch_id is None:
        yield more
    elif len(job_ids) > MAX_COMPARED:
        yield more
        recount_if_safe(tx, batch_id)
    else:
        more.subtract(_locked(tx, job_ids))
        yield more
        more.update(count_jobs(tx, job_ids))
        add_numbers(tx, batch_id, owner_id, more)


_BATCH_OF = select(jobs.c.batch_id).where(jobs.c.id == bindparam("job"))


def _locked(tx: Connection, job_ids: Collection[int]) -> Numbers:
    """Return the numbers of these jobs, which nobody else changes until the commit."""
    if has_server(tx):
        these = {"jobs": [*job_ids]}
        # Attempts are locked before jobs, by id, as where decisions are applied.
        tx.execute(_LOCK_ATTEMPTS, these)
        tx.execute(_LOCK_JOBS, these)
    return count_jobs(tx, job_ids)


_LOCK_ATTEMPTS = (
    select(attempts.c.id)
    .where(is_one_of(attempts.c.job_id, "jobs"))
    .order_by(attempts.c.id)
    .with_for_update()
)
_LOCK_JOBS = (
    select(jobs.c.id).where(is_one_of(jobs.c.id, "jobs")).order_by(jobs.c.id).with_for_update()
)
_LOCK_BATCH = select(batches.c.id).where(batches.c.id == _batch).with_for_update()


def recount(tx: Connection, batch_id: int) -> Numbers:
    """Count a batch anew, in a time that grows with it; return what was wrong."""
    tx.execute(_LOCK_BATCH, {"batch": batch_id})  # two recounts would both add what is missing
    wrong = drift(tx, batch_id)
    add_numbers(tx, batch_id, NOBODY, wrong)
    tx.execute(update(batches).where(batches.c.id == batch_id).values(counted=true()))
    return wrong


#: Whether a process may still work that was started before numbers were kept.
_OLD_OWNERS = exists().where(owners.c.ended_at.is_(None), not_(owners.c.counts))
_TO_COUNT = select(batches.c.id).where(
    batches.c.id == _batch, not_(batches.c.counted), ~_OLD_OWNERS
)


_SAFE = select(batches.c.id).where(batches.c.id == _batch, or_(batches.c.counted, ~_OLD_OWNERS))


def recount_if_safe(tx: Connection, batch_id: int) -> None:
    """
    Count a batch anew after many changes.

    Not if its numbers are not in use yet and a process of an older version works: that one would
    not keep them, and what it spends would be missing in the budget.
    """
    tx.execute(_LOCK_BATCH, {"batch": batch_id})  # nobody begins to count it meanwhile
    if tx.execute(_SAFE, {"batch": batch_id}).first() is not None:
        recount(tx, batch_id)


def count_if_needed(tx: Connection, batch_id: int) -> None:
    """Count a batch of an older version once, when no process of that version works any more."""
    if tx.execute(_TO_COUNT, {"batch": batch_id}).first() is not None:
        recount(tx, batch_id)


_ENDED = (
    batch_counters.c.owner_id != NOBODY,
    batch_counters.c.owner_id.not_in(select(owners.c.id).where(owners.c.ended_at.is_(None))),
)


def merge_ended_owners(tx: Connection) -> None:
    """Add the numbers of owners that have ended together, so that few rows are to be read."""
    rows = tx.execute(delete(batch_counters).where(*_ENDED).returning(batch_counters)).all()
    merged: dict[int, Numbers] = {}
    for row in rows:
        merged.setdefault(row.batch_id, Counter())[row.name, row.detail] += row.number
    for batch_id in sorted(merged):
        add_numbers(tx, batch_id, NOBODY, merged[batch_id])
