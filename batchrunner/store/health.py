"""Checks whether a database is sound, and which processes work on it; writes nothing."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, inspect, not_, or_, select, text
from sqlalchemy.exc import DBAPIError, OperationalError

from batchrunner.model import JobState, Verdict
from batchrunner.model.categories import CATEGORIES
from batchrunner.store.batch_reads import Worker, active_workers
from batchrunner.store.conditions import count_where, is_current
from batchrunner.store.counter_names import NUMBERS_AGREE
from batchrunner.store.counters import drift
from batchrunner.store.dialect import has_server
from batchrunner.store.revision import HEAD
from batchrunner.store.schema import (
    SubmissionState,
    attempts,
    batches,
    jobs,
    orphans,
    results,
    submissions,
)
from batchrunner.store.schema_check import schema_differences
from batchrunner.store.store_time import store_time
from batchrunner.store.unseen_batch import PREFIX
from batchrunner.store.value_check import invalid_results, undecodable_values

#: Most places of damage that are named.
MAX_NAMED = 5
#: Newest results that are measured. Reading all would take as long as an export.
SAMPLE_SIZE = 100
#: Steps of SQLite's machine between two readings of the clock.
PROGRESS_STEPS = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenWork:
    """A batch with jobs that are not final."""

    name: str
    open: int
    total: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """The database server, and our connection to it."""

    version: str
    near: bool  #: whether it is on this machine
    encrypted: bool
    may_create: bool
    ahead: timedelta  #: how far its clock is ahead of ours
    pooled: bool = False  #: whether a pooler stands between it and us


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """The state of a database."""

    revision: str | None  #: None: it is empty
    server: Server | None  #: None: it is a file
    journal_mode: str | None  #: of the file, as this program has it open
    synchronous: int | None
    ahead: timedelta = timedelta(0)  #: how far the database's time is ahead of ours
    workers: tuple[Worker, ...] = ()
    open_work: tuple[OpenWork, ...] = ()
    result_bytes: float | None = None  #: mean of the newest results


def database_health(tx: Connection, clock: Callable[[], datetime]) -> Health:
    """
    Return the state of the database as far as a few quick queries show it.

    *clock* is this machine's, to compare with the server's. Rows of an older or newer schema are
    not read.
    """
    revision = _revision(tx)
    server = _server(tx, clock) if has_server(tx) else None
    is_file = server is None
    journal_mode = tx.exec_driver_sql("PRAGMA journal_mode").scalar_one() if is_file else None
    synchronous = tx.exec_driver_sql("PRAGMA synchronous").scalar_one() if is_file else None
    if revision != HEAD:
        return Health(
            revision=revision, server=server, journal_mode=journal_mode, synchronous=synchronous
        )
    now = clock()
    return Health(
        revision=revision,
        server=server,
        journal_mode=journal_mode,
        synchronous=synchronous,
        ahead=store_time(tx, now) - now,
        workers=tuple(active_workers(tx, now, None)),
        open_work=tuple(_open_work(tx)),
        result_bytes=_result_bytes(tx),
    )


def _revision(tx: Connection) -> str | None:
    if not inspect(tx).has_table("alembic_version"):
        return None
    revision: str | None = tx.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return revision


def _server(tx: Connection, clock: Callable[[], datetime]) -> Server:
    before = clock()
    at = tx.execute(select(func.clock_timestamp())).scalar_one()
    after = clock()
    row = tx.execute(
        text(
            "SELECT current_setting('server_version') AS version,"
            " inet_server_addr() IS NULL OR inet_server_addr() = inet_client_addr() AS near,"
            " (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()) AS encrypted,"
            " has_schema_privilege(current_schema(), 'CREATE') AS may_create,"
            " pg_backend_pid() AS pid"
        )
    ).one()
    return Server(
        version=row.version,
        near=bool(row.near),
        encrypted=bool(row.encrypted),
        may_create=bool(row.may_create),
        ahead=at - before - (after - before) / 2,
        pooled=_connected_to(tx) != row.pid,
    )


def _connected_to(tx: Connection) -> int:
    """Return the process that answered when we connected; a pooler invents one."""
    pid: int = tx.connection.driver_connection.info.backend_pid  # type: ignore[union-attr]
    return pid


def _open_work(tx: Connection) -> list[OpenWork]:
    still_open = count_where(jobs.c.state.in_([state for state in JobState if not state.is_final]))
    rows = tx.execute(
        select(batches.c.name, still_open.label("open"), func.count().label("total"))
        .join(jobs, jobs.c.batch_id == batches.c.id)
        .where(is_current, batches.c.name.not_like(f"{PREFIX}%"))
        .group_by(batches.c.id, batches.c.name)
        .having(still_open > 0)
        .order_by(batches.c.id)
    )
    return [OpenWork(name=row.name, open=int(row.open), total=row.total) for row in rows]


def _result_bytes(tx: Connection) -> float | None:
    newest = (
        select(results.c.body).order_by(results.c.attempt_id.desc()).limit(SAMPLE_SIZE).subquery()
    )
    mean = tx.execute(select(func.avg(func.length(newest.c.body)))).scalar()
    return None if mean is None else float(mean)


def integrity_errors(tx: Connection, *, thorough: bool) -> list[str]:
    """
    Return the damage that SQLite finds in its file, in its own words; nothing for a server.

    Only a *thorough* check compares indexes and references with the rows.
    """
    if has_server(tx):
        return []
    check = "integrity_check" if thorough else "quick_check"
    try:
        said = tx.exec_driver_sql(f"PRAGMA {check}({MAX_NAMED})").scalars().all()
        dangling = tx.exec_driver_sql("PRAGMA foreign_key_check").all() if thorough else []
    except DBAPIError as error:
        if getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
            raise
        return [str(error.orig)]
    # Each line is one place, except for headings.
    found = [line for each in said for line in str(each).splitlines() if line != "ok"]
    return found + [
        f"row {row[1]} of {row[0]} refers to none of {row[2]}" for row in dangling[:MAX_NAMED]
    ]


def quick_damage(tx: Connection, seconds: float) -> str | None:
    """
    Return the first damage that is found within so many seconds; None for a server.

    SQLite checks its pages first, then our own rules check the rows.
    """
    if has_server(tx):
        return None
    with _time_limit(tx, seconds):
        if damage := integrity_errors(tx, thorough=False):
            return damage[0]
        if gaps := [each for each in schema_differences(tx) if each.endswith("is missing")]:
            return gaps[0]
        broken = _broken_rules(tx)
        if broken:
            rule, count = next(iter(broken.items()))
            return f"the rule {rule!r} is broken {count} times"
        return next(iter(undecodable_values(tx, 1)), None)
    return None


def quick_drift(tx: Connection, seconds: float) -> list[str]:
    """Return batches whose numbers are found to be wrong within so many seconds; see above."""
    if has_server(tx):
        return []
    with _time_limit(tx, seconds):
        return [*batches_to_recount(tx).values()]
    return []


@contextmanager
def _time_limit(tx: Connection, seconds: float) -> Iterator[None]:
    """End the block, without an error, when so many seconds have passed."""
    connection: Any = tx.connection.driver_connection
    deadline = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > deadline, PROGRESS_STEPS)
    try:
        yield
    except OperationalError as error:
        if getattr(error.orig, "sqlite_errorcode", None) != sqlite3.SQLITE_INTERRUPT:
            raise
    finally:
        connection.set_progress_handler(None, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class ForeignChanges:
    """Changes that another program made to a database."""

    unlike: tuple[str, ...] = ()  #: tables, indexes and triggers that differ from the schema
    garbled: tuple[str, ...] = ()  #: cells that cannot be read
    odd_results: tuple[int, ...] = ()  #: attempts whose results are no JSON

    @property
    def readable(self) -> bool:
        """Whether the other rows can be read."""
        return not self.garbled and _is_whole(self.unlike)


def _is_whole(unlike: Sequence[str]) -> bool:
    """Return whether every table and column exists, so that queries work."""
    gaps = [each for each in unlike if each.endswith("is missing")]
    return not any(gap.startswith(("the table ", "the column ")) for gap in gaps)


def foreign_changes(tx: Connection, *, thorough: bool) -> ForeignChanges:
    """Find changes that no version of this program makes; a *thorough* check reads each cell."""
    if _revision(tx) != HEAD:
        return ForeignChanges()
    unlike = tuple(schema_differences(tx))
    if not thorough or not _is_whole(unlike):
        return ForeignChanges(unlike=unlike)
    odd = tuple(invalid_results(tx, MAX_NAMED))
    return ForeignChanges(
        unlike=unlike, garbled=tuple(undecodable_values(tx, MAX_NAMED)), odd_results=odd
    )


# ---- consistency ----

#: Verdicts on results that are delivered.
DELIVERED = (Verdict.GOOD, Verdict.SUSPECT)
_unsettled = (SubmissionState.INTENDED, SubmissionState.UNANSWERED)
#: What is never a job's fault; a right that is lacking may be.
_blameless = tuple(each for each, row in CATEGORIES.items() if row.never_counted)


_attempt_count = (
    select(
        attempts.c.job_id,
        count_where(attempts.c.closed_at.is_(None)).label("open"),
        count_where(attempts.c.outcome == "succeeded").label("succeeded"),
        count_where(and_(attempts.c.counted, attempts.c.outcome != "succeeded")).label("counted"),
        func.max(attempts.c.number).label("newest"),
    )
    .group_by(attempts.c.job_id)
    .subquery()
)


def _attempts_named(name: str) -> Any:
    return func.coalesce(_attempt_count.c[name], 0)


def _differs(state: JobState, count: Any) -> ColumnElement[bool]:
    """Select jobs that do not have one such attempt in this state, or have one in another state."""
    return or_(and_(jobs.c.state == state, count != 1), and_(jobs.c.state != state, count != 0))


#: Rule for each job → condition of the jobs that break it.
JOB_RULES: Mapping[str, ColumnElement[bool]] = {
    "every job is in one of the five states": jobs.c.state.not_in(list(JobState)),
    "a job runs exactly while one attempt is open": _differs(
        JobState.RUNNING, _attempts_named("open")
    ),
    "a job succeeds by exactly one attempt": _differs(
        JobState.SUCCEEDED, _attempts_named("succeeded")
    ),
    # Fewer after the user retried the job: then they count from 0.
    "a job has no more failures than attempts that count": jobs.c.failures
    > _attempts_named("counted"),
    "a job knows its newest attempt": jobs.c.attempt != _attempts_named("newest"),
}
#: Rule for each attempt → condition of the attempts that break it.
ATTEMPT_RULES: Mapping[str, ColumnElement[bool]] = {
    "an open attempt has a run, or is being searched for": and_(
        attempts.c.closed_at.is_(None),
        attempts.c.run_id.is_(None),
        submissions.c.state.not_in(_unsettled),
    ),
    "a success has its result on disk": and_(
        attempts.c.outcome == "succeeded", results.c.attempt_id.is_(None)
    ),
    "a result that was delivered is not bad, and one that failed is": or_(
        and_(attempts.c.verdict == Verdict.BAD, attempts.c.outcome == "succeeded"),
        and_(attempts.c.verdict.in_(DELIVERED), attempts.c.outcome != "succeeded"),
    ),
    "waiting uses up no attempt": and_(attempts.c.outcome.in_(_blameless), attempts.c.counted),
    "a run belongs to an attempt or is an orphan, never both": orphans.c.run_id.is_not(None),
    "an attempt and its submission are of its job's batch": or_(
        attempts.c.batch_id != jobs.c.batch_id, submissions.c.batch_id != jobs.c.batch_id
    ),
    "an attempt with a run was not refused, and its create was answered": and_(
        attempts.c.run_id.is_not(None),
        submissions.c.state.in_((SubmissionState.INTENDED, SubmissionState.REFUSED)),
    ),
    "a job waits while a refusal of it is not confirmed": and_(
        submissions.c.unconfirmed, not_(jobs.c.unconfirmed)
    ),
}


def consistency_errors(tx: Connection) -> dict[str, int]:
    """Return the broken rules, and how many jobs, attempts or batches break each."""
    wrong = len(batches_to_recount(tx))
    return _broken_rules(tx) | ({NUMBERS_AGREE: wrong} if wrong else {})


def batches_to_recount(tx: Connection) -> dict[int, str]:
    """Return the id and name of each batch whose numbers differ from a recount."""
    is_kept = (batches.c.counted, batches.c.pruned_at.is_(None))
    kept = tx.execute(select(batches.c.id, batches.c.name).where(*is_kept)).all()
    return {row.id: row.name for row in kept if drift(tx, row.id)}


def _broken_rules(tx: Connection) -> dict[str, int]:
    """Return the broken rules for each job and each attempt, and how many break each."""
    about_jobs = select(*map(count_where, JOB_RULES.values())).select_from(
        jobs.outerjoin(_attempt_count, _attempt_count.c.job_id == jobs.c.id)
    )
    about_attempts = select(*map(count_where, ATTEMPT_RULES.values())).select_from(
        attempts.join(submissions, submissions.c.id == attempts.c.submission_id)
        .join(jobs, jobs.c.id == attempts.c.job_id)
        .outerjoin(results, results.c.attempt_id == attempts.c.id)
        .outerjoin(orphans, orphans.c.run_id == attempts.c.run_id)
    )
    counts = [*tx.execute(about_jobs).one(), *tx.execute(about_attempts).one()]
    rules = [*JOB_RULES, *ATTEMPT_RULES]
    return {rule: int(count) for rule, count in zip(rules, counts, strict=True) if count}
