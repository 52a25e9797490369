"""Lets the jobs of a batch follow its job file, and runs jobs again on request."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    exists,
    func,
    insert,
    literal,
    not_,
    or_,
    select,
    true,
    update,
)

from batchrunner.api_facts.limits import MAX_RUNS_PER_REQUEST
from batchrunner.model import FailureCategory, JobFile, JobState
from batchrunner.model.comparison import Comparison, EditDecision, Guard
from batchrunner.store.comparing import compare_staged, lists_all_jobs
from batchrunner.store.conditions import (
    FINAL_STATES,
    has_suspect_result,
    is_current,
    is_newest,
)
from batchrunner.store.counters import recount_if_safe
from batchrunner.store.revisions import (
    QUESTION,
    RULES,
    add_revisions,
    available,
    next_revision,
    restore_delivered,
)
from batchrunner.store.schema import attempts, batches, jobs
from batchrunner.store.staging import (
    MatchKind,
    in_batch,
    in_file,
    is_gone,
    is_left,
    is_new,
    matches,
    staged,
)

#: A job that runs from its beginning.
_FRESH: dict[str, Any] = {
    "failures": 0,
    "failures_by_category": "{}",
    "escalation_steps": "{}",
    "max_batch_size": MAX_RUNS_PER_REQUEST,
    "cancel_requested": False,
    "finished_at": None,
}


#: What a job of another question must not take over.
_OF_ANOTHER_QUESTION: dict[str, Any] = {"accepted": None, "replaces": None, "suspects": None}


class EditUndecided(Exception):
    """An edit is so large that the user must decide on it; nothing was changed."""

    def __init__(self, comparison: Comparison, guards: tuple[Guard, ...]) -> None:
        super().__init__(f"undecided: {', '.join(guards)}")
        self.comparison = comparison
        self.guards = guards


def follow_file(
    tx: Connection, file: JobFile, batch: Any, decision: EditDecision, now: datetime
) -> Comparison:
    """
    Let the jobs of a batch follow the file: add, change, withdraw and take back; return what was.

    Raises:
        EditUndecided: The user must decide first; the transaction is to be rolled back.
    """
    _lock_open_attempts(tx, batch.id)
    lists_all = lists_all_jobs(file, decision)
    with staged(tx, file, batch.id, now, lists_all=lists_all):
        found = compare_staged(tx, file, batch, decision)
        if guards := found.guards(decision):
            raise EditUndecided(found, guards)
        _store_digests(tx, batch.id)
        _withdraw(tx, now)
        _take_back(tx, now)
        in_order = lists_all or not _has_others(tx)
        _take_over(tx, file, in_order=in_order)
        # A file that only adds jobs changes none, unless `--rerun changed` says so.
        only_adds = decision.withdraw is False and not decision.run_changed
        if not only_adds:
            _change(tx, batch.id, file, decision, now)
        _add_new(tx, batch.id, file, now, in_order=in_order)
        # Their second try may have failed while the file did not have them.
        restore_delivered(tx, jobs.c.id.in_(_came_back))
    recount_if_safe(tx, batch.id)
    return found


def _lock_open_attempts(tx: Connection, batch_id: int) -> None:
    # The batch is locked already. Attempts are locked before jobs, as where decisions are applied;
    # otherwise the two could deadlock.
    still_open = and_(attempts.c.batch_id == batch_id, attempts.c.closed_at.is_(None))
    tx.execute(select(attempts.c.id).where(still_open).order_by(attempts.c.id).with_for_update())


def _store_digests(tx: Connection, batch_id: int) -> None:
    tx.execute(
        update(jobs)
        .where(jobs.c.batch_id == batch_id, jobs.c.digest.is_(None), jobs.c.id == in_batch.c.id)
        .values(digest=in_batch.c.digest)
    )


# ---- withdrawn, and back ----


def _stop(now: datetime) -> dict[str, Any]:
    """Return the values that cancel a job that waits; one whose run is in flight goes on."""
    waits = jobs.c.state == JobState.AVAILABLE
    return {
        "state": case((waits, literal(JobState.CANCELLED)), else_=jobs.c.state),
        "finished_at": case(
            (waits, literal(now, jobs.c.finished_at.type)), else_=jobs.c.finished_at
        ),
    }


def _withdraw(tx: Connection, now: datetime) -> None:
    tx.execute(
        update(jobs)
        .where(jobs.c.id.in_(select(in_batch.c.id).where(is_gone)))
        .values(withdrawn=True, **_stop(now))
    )


#: A job that was cancelled because the file had it no longer, and not by the user or the API.
_was_stopped = and_(
    jobs.c.state == JobState.CANCELLED,
    not_(jobs.c.cancel_requested),
    ~exists().where(is_newest, attempts.c.outcome == FailureCategory.RUN_CANCELLED),
)


#: Jobs that were withdrawn, and that the file has again.
_came_back = (
    select(matches.c.job_id)
    .join(in_batch, in_batch.c.id == matches.c.job_id)
    .where(in_batch.c.withdrawn)
)


def _take_back(tx: Connection, now: datetime) -> None:
    """Make withdrawn jobs current that the file has again; those that had waited wait again."""
    tx.execute(
        update(jobs)
        .where(jobs.c.id.in_(_came_back))
        .values(
            withdrawn=False,
            state=case((_was_stopped, literal(JobState.AVAILABLE)), else_=jobs.c.state),
            available_at=case(
                (_was_stopped, literal(now, jobs.c.available_at.type)), else_=jobs.c.available_at
            ),
            finished_at=case((_was_stopped, None), else_=jobs.c.finished_at),
        )
    )


# ---- the same question ----


def _matched(kind: MatchKind) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that join a job with the job of the file that it is."""
    return (
        jobs.c.id == matches.c.job_id,
        in_file.c.position == matches.c.position,
        matches.c.kind == kind,
    )


def _has_others(tx: Connection) -> bool:
    """Return whether the batch has jobs that are not in the file."""
    others = select(in_batch.c.id).where(is_left, not_(in_batch.c.withdrawn))
    return tx.execute(others.limit(1)).first() is not None


def _take_over(tx: Connection, file: JobFile, *, in_order: bool) -> None:
    """Give jobs of the same question what the file says of them now."""
    place: dict[str, Any] = {"columns": in_file.c.columns}
    if in_order:
        place["position"] = in_file.c.position
    if file.from_file:
        place["from_file"] = true()
    rules = {name: in_file.c[name] for name in (*RULES, "options", "output_schema_digest")}
    differs = [
        jobs.c[name].is_distinct_from(in_file.c[name])
        for name in (*place, *rules)
        if name != "from_file"
    ]
    differs += [jobs.c.from_file != file.from_file, jobs.c.kept_digest.is_not(None)]
    same = _matched(MatchKind.SAME)
    tx.execute(update(jobs).where(*same, or_(*differs)).values(**place, **rules, kept_digest=None))
    # Runs of theirs may still be searched for by the goal that was sent.
    settled = or_(jobs.c.attempt == 0, jobs.c.state == JobState.SUCCEEDED)
    spelt = ("url", "host", "goal")
    respelt = or_(*(jobs.c[name] != in_file.c[name] for name in spelt))
    tx.execute(
        update(jobs)
        .where(*same, settled, respelt)
        .values({name: in_file.c[name] for name in spelt})
    )
    tx.execute(update(jobs).where(*_matched(MatchKind.KEPT)).values(**place))
    _take_ids_over(tx)


def _take_ids_over(tx: Connection) -> None:
    """Let jobs whose key was a digest have the ids that the file gives them now."""
    renamed = (
        select(in_batch.c.key, in_file.c.key.label("new_key"))
        .join(matches, matches.c.job_id == in_batch.c.id)
        .join(in_file, in_file.c.position == matches.c.position)
        .where(in_file.c.has_id, not_(in_batch.c.has_id))
        .subquery()
    )
    batch_id = select(jobs.c.batch_id).join(in_batch, in_batch.c.id == jobs.c.id).limit(1)
    tx.execute(
        update(jobs)
        .where(jobs.c.batch_id == batch_id.scalar_subquery(), jobs.c.key == renamed.c.key)
        .values(key=renamed.c.new_key)
    )


# ---- another question ----


def _change(
    tx: Connection, batch_id: int, file: JobFile, decision: EditDecision, now: datetime
) -> None:
    """Let changed jobs run in their new form; a job that was tried gets a new revision for it."""
    place = {"position": in_file.c.position, "columns": in_file.c.columns}
    changed = _matched(MatchKind.CHANGED)
    if decision.run_changed is False:
        final = jobs.c.state.in_(FINAL_STATES)
        tx.execute(
            update(jobs).where(*changed, final).values(**place, kept_digest=in_file.c.digest)
        )
        changed = (*changed, not_(final))
    values = {name: in_file.c[name] for name in (*QUESTION, *RULES)}
    untried = and_(jobs.c.attempt == 0, jobs.c.state != JobState.RUNNING)
    tx.execute(
        update(jobs)
        .where(*changed, untried)
        .values(
            **place,
            **values,
            **_FRESH,
            **_OF_ANOTHER_QUESTION,
            from_file=file.from_file,
            kept_digest=None,
            state=JobState.AVAILABLE,
            available_at=now,
            loaded_at=now,
        )
    )
    tried = update(jobs).where(*changed, jobs.c.attempt > 0)
    tx.execute(tried.values(superseded=True, **_stop(now)))
    _add_revisions(tx, batch_id, file, now)
    _restore(tx, file, now)


def _add_revisions(tx: Connection, batch_id: int, file: JobFile, now: datetime) -> None:
    """Add the new revision of each changed job whose old one was superseded."""
    old = jobs.alias()
    source = {
        **_new_row(batch_id, file, now),
        "position": in_file.c.position,
        "key": old.c.key,
        "revision": next_revision(old),
        "canary": old.c.canary,
        "part": old.c.part,
    }
    query = (
        select(*source.values())
        .select_from(old)
        .join(matches, matches.c.job_id == old.c.id)
        .join(in_file, in_file.c.position == matches.c.position)
        .where(matches.c.kind == MatchKind.CHANGED, old.c.superseded)
    )
    tx.execute(insert(jobs).from_select(list(source), query))


def _new_row(batch_id: int, file: JobFile, now: datetime) -> dict[str, Any]:
    """Return the columns of a job that the file gives, by name."""
    names = ("columns", *QUESTION, *RULES)
    return {
        "batch_id": literal(batch_id),
        **{name: in_file.c[name] for name in names},
        "from_file": literal(file.from_file),
        **available(now),
    }


def _restore(tx: Connection, file: JobFile, now: datetime) -> None:
    """Make the earlier revision current again that has the answer to what the file asks."""
    tx.execute(
        update(jobs).where(*_matched(MatchKind.RESTORED)).values(superseded=True, **_stop(now))
    )
    names = ("position", "columns", "options", "output_schema_digest", *RULES)
    tx.execute(
        update(jobs)
        .where(
            jobs.c.id == matches.c.restores,
            in_file.c.position == matches.c.position,
            matches.c.kind == MatchKind.RESTORED,
        )
        .values(
            superseded=False,
            withdrawn=False,
            from_file=file.from_file,
            **{name: in_file.c[name] for name in names},
        )
    )


# ---- new ----


def _add_new(
    tx: Connection, batch_id: int, file: JobFile, now: datetime, *, in_order: bool
) -> None:
    """Add the jobs of the file that the batch does not have; behind all others unless in order."""
    _make_keys_distinct(tx, batch_id)
    position: Any = in_file.c.position
    if not in_order:
        last = select(func.coalesce(func.max(jobs.c.position), 0)).where(
            jobs.c.batch_id == batch_id
        )
        position = last.scalar_subquery() + func.row_number().over(order_by=in_file.c.position)
    source = {
        **_new_row(batch_id, file, now),
        "position": position,
        "key": in_file.c.key,
    }
    query = select(*source.values()).select_from(in_file).where(is_new)
    tx.execute(insert(jobs).from_select(list(source), query))


def _make_keys_distinct(tx: Connection, batch_id: int) -> None:
    """
    Give a new job another key where an earlier job has its key.

    A key that is a digest stays with its job when the job's question changes, so that a job that
    asks the old question again would have the same one.
    """
    taken = exists().where(jobs.c.batch_id == batch_id, jobs.c.key == in_file.c.key)
    rows = tx.execute(select(in_file.c.position, in_file.c.key).where(is_new, taken)).all()
    for row in rows:
        key = hashlib.sha256(f"{row.key} {row.position} again".encode()).hexdigest()[:32]
        this = in_file.c.position == row.position
        tx.execute(update(in_file).where(this).values(key=key))


# ---- run again on request ----


def rerun_jobs(
    tx: Connection,
    batch_id: int,
    now: datetime,
    *,
    keys: Collection[str] = (),
    finished_before: datetime | None = None,
    suspect: bool = False,
) -> tuple[int, int]:
    """
    Give succeeded jobs a new revision that runs again; return how many, and their steps so far.

    *keys*, *finished_before* and *suspect* choose jobs; without them, all are chosen. With
    *suspect*, the results that look wrong are kept where the new revisions deliver none.
    """
    tx.execute(select(batches.c.id).where(batches.c.id == batch_id).with_for_update())
    _lock_open_attempts(tx, batch_id)
    chosen = _chosen_again(batch_id, keys=keys, finished_before=finished_before)
    if suspect:
        chosen.append(has_suspect_result)
    superseded = list(tx.execute(select(jobs.c.id).where(*chosen)).scalars())
    steps: int = tx.execute(
        select(func.coalesce(func.sum(attempts.c.steps), 0))
        .join(jobs, jobs.c.id == attempts.c.job_id)
        .where(*chosen)
    ).scalar_one()
    add_revisions(tx, superseded, now, keep_suspect=suspect)
    recount_if_safe(tx, batch_id)
    return len(superseded), int(steps)


def kept_among(
    tx: Connection,
    batch_id: int,
    *,
    keys: Collection[str] = (),
    finished_before: datetime | None = None,
    suspect: bool = False,
) -> int:
    """Return how many of the jobs that `rerun_jobs` would choose are asked something else now."""
    chosen = _chosen_again(batch_id, keys=keys, finished_before=finished_before)
    if suspect:
        chosen.append(has_suspect_result)
    kept = select(func.count()).select_from(jobs).where(*chosen, jobs.c.kept_digest.is_not(None))
    return int(tx.execute(kept).scalar_one())


def states_of(tx: Connection, batch_id: int, keys: Collection[str]) -> dict[str, JobState]:
    """Return the states of those of these jobs that a batch has."""
    these = (jobs.c.batch_id == batch_id, is_current, jobs.c.key.in_(keys))
    return {
        row.key: JobState(row.state)
        for row in tx.execute(select(jobs.c.key, jobs.c.state).where(*these))
    }


def _chosen_again(
    batch_id: int, *, keys: Collection[str], finished_before: datetime | None
) -> list[ColumnElement[bool]]:
    chosen = [jobs.c.batch_id == batch_id, is_current, jobs.c.state == JobState.SUCCEEDED]
    if keys:
        chosen.append(jobs.c.key.in_(keys))
    if finished_before is not None:
        chosen.append(jobs.c.finished_at < finished_before)
    return [*chosen, jobs.c.url != ""]
