"""Records which artifacts runs have, and whether each is wanted, stored, gone or refused."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    insert,
    literal,
    or_,
    select,
    true,
    update,
)

from batchrunner.model.artifacts import (
    BAD_PATH,
    LISTING,
    Artifact,
    ArtifactKind,
    ArtifactResult,
    ArtifactState,
    ListedArtifact,
    WantedArtifact,
)
from batchrunner.store.conditions import is_current
from batchrunner.store.dialect import insert_or_ignore
from batchrunner.store.schema import artifacts, attempts, batches, jobs, owners
from batchrunner.store.serialization import options_of
from batchrunner.store.value_lists import is_one_of

_COLUMNS = ["attempt_id", "kind", "step", "batch_id", "name", "state"]
_TO_LIST = select(
    attempts.c.id,
    literal(LISTING),
    literal(0),
    attempts.c.batch_id,
    literal(""),
    literal(ArtifactState.WANTED.value),
).where(attempts.c.closed_at.is_not(None), attempts.c.run_id.is_not(None))
_CLOSED_NOW = _TO_LIST.join(batches, batches.c.id == attempts.c.batch_id).where(
    is_one_of(attempts.c.id, "attempts"), batches.c.artifacts
)


def want_artifacts(tx: Connection, batch_id: int, key: str | None = None, *, lasting: bool) -> None:
    """
    Request the artifacts of every ended run of a batch, or of one job.

    With *lasting*, also those of runs that end from now on; without, also those that failed because
    of a path in the folder: the user may have made it usable.
    """
    if lasting:
        tx.execute(update(batches).where(batches.c.id == batch_id).values(artifacts=True))
    ended = _TO_LIST.where(attempts.c.batch_id == batch_id)
    if key is not None:
        ended = ended.join(jobs, jobs.c.id == attempts.c.job_id).where(jobs.c.key == key)
    if not lasting:
        tx.execute(_TRY_PATHS_AGAIN, {"batch": batch_id})
    # SQLite takes an ON that follows a SELECT for that of a join, unless a WHERE stands between.
    asked = insert_or_ignore(tx, artifacts).from_select(_COLUMNS, ended.where(true()))
    tx.execute(asked.on_conflict_do_nothing())


_TRY_PATHS_AGAIN = (
    update(artifacts)
    .where(
        artifacts.c.batch_id == bindparam("batch"),
        artifacts.c.state == ArtifactState.REFUSED,
        artifacts.c.reason.startswith(BAD_PATH),
    )
    .values(state=ArtifactState.WANTED)
)


def want_artifacts_of(tx: Connection, attempt_ids: Sequence[int]) -> None:
    """Request the artifacts of these closed attempts, if the batch wants artifacts."""
    asked = insert(artifacts).from_select(_COLUMNS, _CLOSED_NOW)
    tx.execute(asked, {"attempts": list(attempt_ids)})


_dead = select(owners.c.id).where(owners.c.ended_at.is_not(None))
_WANTED = (
    select(
        artifacts.c.attempt_id,
        artifacts.c.kind,
        artifacts.c.step,
        artifacts.c.name,
        attempts.c.run_id,
        attempts.c.number,
        attempts.c.option_overrides,
        jobs.c.key,
        jobs.c.revision,
        jobs.c.options,
        batches.c.name.label("batch"),
    )
    .join(attempts, attempts.c.id == artifacts.c.attempt_id)
    .join(jobs, jobs.c.id == attempts.c.job_id)
    .join(batches, batches.c.id == artifacts.c.batch_id)
    .where(artifacts.c.state == literal(ArtifactState.WANTED.value, literal_execute=True))
    .order_by(artifacts.c.attempt_id, artifacts.c.kind, artifacts.c.step)
)


def wanted_artifacts(
    tx: Connection,
    batch_id: int,
    most: int,
    *,
    owner_id: str | None = None,
    key: str | None = None,
    kinds: Collection[ArtifactKind] = (),
    without: Collection[tuple[int, str, int]] = (),
) -> list[WantedArtifact]:
    """
    Return up to *most* wanted artifacts, in the order of their attempts.

    *owner_id*: only those of this owner and of owners that ended. *key*: only those of this job.
    *kinds*: only these, and requests for a list. *without* are left out: (attempt id, kind, step).
    """
    query = _WANTED.where(artifacts.c.batch_id == batch_id)
    if owner_id is not None:
        query = query.where(or_(attempts.c.owner_id == owner_id, attempts.c.owner_id.in_(_dead)))
    if key is not None:
        query = query.where(jobs.c.key == key)
    if kinds:
        query = query.where(artifacts.c.kind.in_([*kinds, LISTING]))
    rows: Iterable[Row[Any]] = tx.execute(query.limit(most + len(without)))
    left = (row for row in rows if (row.attempt_id, row.kind, row.step) not in without)
    return [_wanted(row) for row in left][:most]


def _wanted(row: Row[Any]) -> WantedArtifact:
    captured = options_of(row.options, row.option_overrides).get("capture_config") or {}
    return WantedArtifact(
        attempt_id=row.attempt_id,
        kind=None if row.kind == LISTING else ArtifactKind(row.kind),
        step=row.step,
        name=row.name,
        run_id=row.run_id,
        batch=row.batch,
        key=row.key,
        revision=row.revision,
        number=row.number,
        recorded=bool(captured.get("recording")),
    )


_SETTLE = (
    update(artifacts)
    .where(
        artifacts.c.attempt_id == bindparam("attempt"),
        artifacts.c.kind == bindparam("what"),
        artifacts.c.step == bindparam("at"),
        artifacts.c.state == ArtifactState.WANTED,
    )
    .values(
        state=bindparam("new_state"),
        size=bindparam("new_size"),
        sha256=bindparam("new_sha256"),
        media=bindparam("new_media"),
        path=bindparam("new_path"),
        reason=bindparam("new_reason"),
    )
)


def settle_artifact(tx: Connection, asked: WantedArtifact, fetched: ArtifactResult) -> bool:
    """Record the result of fetching an artifact; return False if one was recorded before."""
    values = {
        "attempt": asked.attempt_id,
        "what": asked.kind or LISTING,
        "at": asked.step,
        "new_state": fetched.state,
        "new_size": fetched.size,
        "new_sha256": fetched.sha256,
        "new_media": fetched.media,
        "new_path": fetched.path,
        "new_reason": fetched.reason,
    }
    return tx.execute(_SETTLE, values).rowcount == 1


def record_listing(tx: Connection, asked: WantedArtifact, found: Iterable[ListedArtifact]) -> None:
    """Record which artifacts a run has, unless a list was recorded before."""
    if not settle_artifact(tx, asked, ArtifactResult(state=ArtifactState.STORED)):
        return
    batch = select(attempts.c.batch_id).where(attempts.c.id == asked.attempt_id)
    batch_id = tx.execute(batch).scalar_one()
    rows = [
        {
            "attempt_id": asked.attempt_id,
            "kind": each.kind,
            "step": each.step,
            "batch_id": batch_id,
            "name": each.name,
            "state": ArtifactState.REFUSED if each.reason else ArtifactState.WANTED,
            "reason": each.reason,
        }
        for each in found
    ]
    if rows:
        tx.execute(insert(artifacts), rows)


def artifact_rows(
    tx: Connection,
    batch_id: int,
    key: str | None = None,
    kinds: Collection[ArtifactKind] = (),
) -> list[Artifact]:
    """Return a batch's artifacts in the order of the job file: all, or those of a job or kinds."""
    query = _kept().where(artifacts.c.batch_id == batch_id)
    if key is not None:
        query = query.where(jobs.c.key == key)
    if kinds:
        query = query.where(artifacts.c.kind.in_(kinds))
    return [_artifact(row) for row in tx.execute(query)]


def _kept() -> Select[Any]:
    return (
        select(artifacts, jobs.c.key, attempts.c.number, attempts.c.run_id)
        .join(attempts, attempts.c.id == artifacts.c.attempt_id)
        .join(jobs, jobs.c.id == attempts.c.job_id)
        .where(artifacts.c.kind != LISTING)
        .where(is_current)
        .order_by(jobs.c.position, attempts.c.number, artifacts.c.step, artifacts.c.kind)
    )


def _artifact(row: Row[Any]) -> Artifact:
    return Artifact(
        key=row.key,
        number=row.number,
        kind=ArtifactKind(row.kind),
        step=row.step,
        state=ArtifactState(row.state),
        run_id=row.run_id,
        size=row.size,
        sha256=row.sha256,
        media=row.media,
        path=row.path,
        reason=row.reason,
    )


def artifact_paths(tx: Connection, job_ids: Sequence[int]) -> Mapping[int, tuple[str, ...]]:
    """Return the files with the artifacts of these jobs' newest attempts, by job id."""
    newest = and_(attempts.c.job_id == jobs.c.id, attempts.c.number == jobs.c.attempt)
    rows = tx.execute(
        select(jobs.c.id, artifacts.c.path)
        .join(attempts, newest)
        .join(artifacts, artifacts.c.attempt_id == attempts.c.id)
        .where(jobs.c.id.in_(job_ids), artifacts.c.path.is_not(None))
        .order_by(jobs.c.id, artifacts.c.step, artifacts.c.kind)
    )
    found: dict[int, tuple[str, ...]] = {}
    for job_id, path in rows:
        found[job_id] = (*found.get(job_id, ()), path)
    return found
