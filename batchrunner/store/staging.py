"""Puts the jobs of a file and of its batch into temporary tables, and matches them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    Text,
    and_,
    bindparam,
    case,
    exists,
    false,
    func,
    insert,
    literal,
    not_,
    or_,
    select,
    true,
    update,
)

from batchrunner.model import JobFile, JobState
from batchrunner.model.question import plain_url, question_digest
from batchrunner.store.bulk_insert import insert_rows
from batchrunner.store.conditions import FINAL_STATES
from batchrunner.store.job_rows import LOAD_CHUNK, NEW_JOB_COLUMNS, JobRows, chunks
from batchrunner.store.schema import Id, jobs
from batchrunner.store.serialization import options_of

#: Temporary tables: only this transaction sees them, and the database's own tables do not change.
metadata = MetaData()
_OPTIONS: dict[str, Any] = {"prefixes": ["TEMPORARY"], "postgresql_on_commit": "DROP"}

#: The jobs of the file.
in_file = Table(
    "jobs_in_file",
    metadata,
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("key", String(200), nullable=False),
    Column("has_id", Boolean, nullable=False),  # the user named it; else its key is a digest
    Column("url", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("goal", Text, nullable=False),
    Column("options", Text, nullable=False),
    Column("policy", Text),
    Column("expect", Text),
    Column("limits", Text),
    Column("output_schema_digest", String(32), nullable=False),
    Column("digest", String(32), nullable=False),
    Column("columns", Text),
    **_OPTIONS,
)
#: The jobs of the batch: the newest revision of each, with those that were withdrawn.
in_batch = Table(
    "jobs_in_batch",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("position", Integer, nullable=False),
    Column("key", String(200), nullable=False),
    Column("has_id", Boolean, nullable=False),
    Column("digest", String(32)),
    Column("kept_digest", String(32)),
    Column("is_final", Boolean, nullable=False),
    Column("in_flight", Boolean, nullable=False),
    Column("withdrawn", Boolean, nullable=False),
    Column("follows_file", Boolean, nullable=False),  # it is withdrawn if the file has it no longer
    Index("ix_jobs_in_batch_key", "key"),
    Index("ix_jobs_in_batch_digest", "digest"),
    **_OPTIONS,
)
#: Which job of the file is which job of the batch.
matches = Table(
    "matched_jobs",
    metadata,
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("job_id", Id, nullable=False, unique=True),
    Column("kind", String(8), nullable=False),
    Column("restores", Id),  # an earlier revision that asked what the file asks again
    **_OPTIONS,
)
#: Urls of jobs that are not matched yet: of the file by position, of the batch by id.
file_urls = Table(
    "urls_in_file",
    metadata,
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("url", Text, nullable=False, index=True),
    **_OPTIONS,
)
batch_urls = Table(
    "urls_in_batch",
    metadata,
    Column("place", Id, primary_key=True, autoincrement=False),
    Column("url", Text, nullable=False, index=True),
    **_OPTIONS,
)

_HEX = "0123456789abcdef"
_DIGEST_LENGTH = 32


class MatchKind(StrEnum):
    """How a job of the file differs from its job in the batch."""

    SAME = "same"
    KEPT = "kept"  #: it changed before, and the user decided to keep what there is
    CHANGED = "changed"
    RESTORED = "restored"  #: it asks again what an earlier revision asked, whose result is there


#: Jobs of the file that have no job in the batch, and the other way round.
is_new: ColumnElement[bool] = ~exists().where(matches.c.position == in_file.c.position)
is_left: ColumnElement[bool] = ~exists().where(matches.c.job_id == in_batch.c.id)
#: Jobs that the file has no longer.
is_gone: ColumnElement[bool] = and_(in_batch.c.follows_file, is_left)


@contextmanager
def staged(
    tx: Connection, file: JobFile, batch_id: int, now: datetime, *, lists_all: bool
) -> Iterator[None]:
    """
    Put the jobs of *file* and of its batch into temporary tables, matched, for the block.

    With *lists_all*, the file has all jobs of the batch: those that it names in another form
    without an id are found by their url, and those that it lacks are gone. Otherwise it has some.
    """
    metadata.create_all(tx, checkfirst=False)
    _stage_file(tx, file, batch_id, now)
    _stage_batch(tx, batch_id, from_file=file.from_file, lists_all=lists_all)
    _match(tx, lists_all=lists_all)
    _find_restored(tx, batch_id)
    yield
    # After an error the transaction is rolled back, and takes the tables with it.
    metadata.drop_all(tx, checkfirst=False)


# ---- staging ----


def _has_id(key: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return whether a key is a user's own id, and not a digest."""
    return or_(func.length(key) != _DIGEST_LENGTH, func.ltrim(key, _HEX) != "")


def _stage_file(tx: Connection, file: JobFile, batch_id: int, now: datetime) -> None:
    staged_columns = [column.name for column in in_file.columns if column.name != "has_id"]
    values_of = itemgetter(*map(NEW_JOB_COLUMNS.index, staged_columns))
    new = JobRows(batch_id, file, now)
    for chunk in chunks(enumerate(file.specs, 1), LOAD_CHUNK):
        rows = [
            (*values_of(new.row(position, spec)), _is_users_id(spec.key))
            for position, spec in chunk
        ]
        insert_rows(tx, in_file, [*staged_columns, "has_id"], rows)


def _is_users_id(key: str) -> bool:
    """Return whether a key is a user's own id, and not a digest."""
    return len(key) != _DIGEST_LENGTH or bool(key.lstrip(_HEX))


def _stage_batch(tx: Connection, batch_id: int, *, from_file: bool, lists_all: bool) -> None:
    final = jobs.c.state.in_(FINAL_STATES)
    # Jobs of adopted runs have no url; no file ever named them.
    of_files = and_(jobs.c.url != "", jobs.c.from_file if from_file else true())
    follows = and_(not_(jobs.c.withdrawn), of_files) if lists_all else false()
    source = select(
        jobs.c.id,
        jobs.c.position,
        jobs.c.key,
        _has_id(jobs.c.key),
        jobs.c.digest,
        jobs.c.kept_digest,
        final,
        jobs.c.state == JobState.RUNNING,
        jobs.c.withdrawn,
        follows,
    ).where(jobs.c.batch_id == batch_id, not_(jobs.c.superseded))
    tx.execute(insert(in_batch).from_select([c.name for c in in_batch.columns], source))
    _add_digests(tx)


def _add_digests(tx: Connection) -> None:
    """Compute the digests of jobs that an older version loaded; adopted runs get none."""
    query = (
        select(jobs.c.id, jobs.c.url, jobs.c.goal, jobs.c.options)
        .join(in_batch, in_batch.c.id == jobs.c.id)
        .where(in_batch.c.digest.is_(None), jobs.c.url != "")
    )
    write = (
        update(in_batch)
        .where(in_batch.c.id == bindparam("job"))
        .values(digest=bindparam("new_digest"))
    )
    for page in pages(tx, query, jobs.c.id):
        digests = [
            {
                "job": row.id,
                "new_digest": question_digest(row.url, row.goal, options_of(row.options, None)),
            }
            for row in page
        ]
        tx.execute(write, digests)


def pages(tx: Connection, query: Select[Any], key: ColumnElement[Any]) -> Iterator[list[Any]]:
    """Yield the rows of a query in pages by its *key*, whose name is that of a column in it."""
    name, last = key.key, -1
    while page := tx.execute(query.where(key > last).order_by(key).limit(LOAD_CHUNK)).all():
        last = getattr(page[-1], str(name))
        yield list(page)


# ---- matching ----


def _match(tx: Connection, *, lists_all: bool) -> None:
    """Match jobs by what is safest first: key and question, id, question, and at last url."""
    _match_pairs(
        tx,
        in_file.c.key == in_batch.c.key,
        in_file.c.digest.in_([in_batch.c.digest, in_batch.c.kept_digest]),
        kind=case((in_file.c.digest == in_batch.c.digest, MatchKind.SAME), else_=MatchKind.KEPT),
        first=True,
    )
    same_key = in_file.c.key == in_batch.c.key
    _match_pairs(tx, same_key, in_file.c.has_id, kind=literal(MatchKind.CHANGED))
    if not _is_some_left(tx):
        return
    for asked, kind in (
        (in_batch.c.digest, MatchKind.SAME),
        (in_batch.c.kept_digest, MatchKind.KEPT),
    ):
        _match_questions(tx, asked, kind, not_(in_file.c.has_id), true())
        _match_questions(tx, asked, kind, in_file.c.has_id, not_(in_batch.c.has_id))
    _match_pairs(tx, same_key, kind=literal(MatchKind.CHANGED))
    if lists_all and _is_some_left(tx):
        _match_urls(tx)


def _is_some_left(tx: Connection) -> bool:
    file, batch = select(in_file.c.position).where(is_new), select(in_batch.c.id).where(is_left)
    return all(tx.execute(query.limit(1)).first() for query in (file, batch))


def _match_pairs(
    tx: Connection, *conditions: ColumnElement[bool], kind: Any, first: bool = False
) -> None:
    """Match the jobs that meet the conditions, which allow one job on each side at most."""
    found = select(in_file.c.position, in_batch.c.id, kind).where(*conditions)
    if not first:
        found = found.where(is_new, is_left)
    tx.execute(insert(matches).from_select(["position", "job_id", "kind"], found))


def _match_questions(
    tx: Connection,
    asked: ColumnElement[Any],
    kind: MatchKind,
    of_file: ColumnElement[bool],
    of_batch: ColumnElement[bool],
) -> None:
    """Match jobs of the same question in their order, each once; current ones come first."""
    order = func.row_number().over(partition_by=in_file.c.digest, order_by=in_file.c.position)
    file = (
        select(in_file.c.position, in_file.c.digest, order.label("turn"))
        .where(of_file, is_new)
        .subquery()
    )
    order = func.row_number().over(
        partition_by=asked,
        order_by=[in_batch.c.withdrawn, in_batch.c.position, in_batch.c.id],
    )
    batch = (
        select(in_batch.c.id, asked.label("asked"), order.label("turn"))
        .where(of_batch, is_left, asked.is_not(None))
        .subquery()
    )
    found = select(file.c.position, batch.c.id, literal(kind)).join(
        batch, and_(batch.c.asked == file.c.digest, batch.c.turn == file.c.turn)
    )
    tx.execute(insert(matches).from_select(["position", "job_id", "kind"], found))


def _match_urls(tx: Connection) -> None:
    """Match jobs by a url that only one job is left with in the file, and one in the batch."""
    query = select(in_file.c.position, in_file.c.url).where(is_new)
    for page in pages(tx, query, in_file.c.position):
        _add_urls(tx, file_urls, [(row.position, row.url) for row in page])
    query = select(in_batch.c.id, jobs.c.url).join(jobs, jobs.c.id == in_batch.c.id).where(is_gone)
    for page in pages(tx, query, in_batch.c.id):
        _add_urls(tx, batch_urls, [(row.id, row.url) for row in page])
    file, batch = _only(file_urls), _only(batch_urls)
    found = (
        select(file.c.place, batch.c.place.label("job_id"), literal(MatchKind.CHANGED))
        .join(batch, batch.c.url == file.c.url)
        .join(in_file, in_file.c.position == file.c.place)
        .join(in_batch, in_batch.c.id == batch.c.place)
        .where(not_(and_(in_file.c.has_id, in_batch.c.has_id)))
    )
    tx.execute(insert(matches).from_select(["position", "job_id", "kind"], found))


def _add_urls(tx: Connection, table: Table, urls: list[tuple[int, str]]) -> None:
    tx.execute(insert(table), [{"place": place, "url": plain_url(url)} for place, url in urls])


def _only(table: Table) -> Any:
    """Return the urls that one job alone has."""
    return (
        select(func.min(table.c.place).label("place"), table.c.url)
        .group_by(table.c.url)
        .having(func.count() == 1)
        .subquery()
    )


def _find_restored(tx: Connection, batch_id: int) -> None:
    """Find changed jobs of which an earlier revision has, or awaits, the answer to the file."""
    earlier = jobs.alias()
    found = (
        select(func.max(earlier.c.id))
        .join(in_batch, in_batch.c.key == earlier.c.key)
        .join(in_file, in_file.c.digest == earlier.c.digest)
        .where(
            in_batch.c.id == matches.c.job_id,
            in_file.c.position == matches.c.position,
            earlier.c.batch_id == batch_id,
            earlier.c.superseded,
            earlier.c.state.in_((JobState.SUCCEEDED, JobState.RUNNING)),
        )
        .correlate(matches)
        .scalar_subquery()
    )
    tx.execute(update(matches).where(matches.c.kind == MatchKind.CHANGED).values(restores=found))
    tx.execute(
        update(matches).where(matches.c.restores.is_not(None)).values(kind=MatchKind.RESTORED)
    )
