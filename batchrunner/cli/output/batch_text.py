"""The full status of a batch: as lines for people, and as JSON for programs."""

from __future__ import annotations

import json
import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from batchrunner.app.status import MAX_ATTEMPTS_SHOWN
from batchrunner.model.artifacts import ArtifactState
from batchrunner.model.categories import CATEGORIES, FailureCategory
from batchrunner.text.format import counted

if TYPE_CHECKING:
    from batchrunner.app.status import BatchStatus
    from batchrunner.model import (
        AdviceCount,
        Batch,
        BatchCounts,
        ClosedAttempt,
        ParkedHost,
        Pause,
        RunErrorBeside,
        SuspectResults,
    )
    from batchrunner.model.artifacts import ArtifactCounts
    from batchrunner.model.quality import QualityStop
    from batchrunner.model.time_and_cost import Hold
    from batchrunner.store.store import Store

#: Failures that are shown of each category.
MAX_EXAMPLES = 3


def _runs_that_go_on(running: int, watched: int) -> Iterator[str]:
    if watched:
        yield f"{counted(watched, 'run')} of other runners go on, and they watch them"
    if running > watched:
        left = counted(running - watched, "run")
        yield f"{left} may go on and cost money: run again to collect them"


def closing_lines(
    store: Store, batch: Batch, counts: BatchCounts, db: str, *, rerun: str
) -> Iterator[str]:
    """
    Give the last lines of a run: what came of it, why jobs failed, what to do next.

    *rerun* is the command that buys suspect results again.
    """
    from batchrunner.app.status import watched_elsewhere
    from batchrunner.cli.output.status_text import summary
    from batchrunner.model import JobState
    from batchrunner.store.batch_reads import artifact_counts

    yield from suspect_lines(store, batch, db, rerun=rerun)
    yield from failure_lines(store, batch, db)
    name = shlex.quote(batch.name) + db_given(db)
    running = counts.jobs[JobState.RUNNING]
    if not running and (left := counts.open):
        yield f"{counted(left, 'job')} left"
    yield from _runs_that_go_on(running, watched_elsewhere(store, batch) if running else 0)
    if worth := sorted(each for each in counts.failed if CATEGORIES[each].retry_suggested):
        hopeless = len(worth) < len(counts.failed)
        chosen = "".join(f" --category {category}" for category in worth) if hopeless else ""
        yield f"put the failed ones back, then run again: batchrunner retry {name}{chosen}"
    if counts.retried:
        yield f"what was tried again, and why: batchrunner status {name}"
    yield f"{batch.name}: {summary(counts)}"
    yield from money_lines(store, batch, counts)
    yield from _grounding_lines(store, batch, name)
    yield from artifact_lines(store, batch)
    if store.read(artifact_counts, batch.id).left:
        yield f"fetch those that are left: batchrunner artifacts fetch {name} -o DIR"


def _grounding_lines(store: Store, batch: Batch, name: str) -> Iterator[str]:
    """Give how many of the checked results have values that are not in their pages."""
    from batchrunner.app.grounding_report import grounding_report
    from batchrunner.store.grounding import checked_results

    if not batch.settings.grounding.sample or not store.read(checked_results, batch.id):
        return
    summary = grounding_report(store, batch).summary
    if not summary.rows:
        said = "no result could be compared with its page"
    elif summary.rows_with_absent:
        absent = f"{summary.rows_with_absent:,} of {counted(summary.rows, 'result')}"
        said = f"{absent} compared with their pages have values that are not there"
    else:
        said = f"{counted(summary.rows, 'result')} compared with their pages: all values are there"
    yield f"{said}: batchrunner grounding {name}"


def money_lines(store: Store, batch: Batch, counts: BatchCounts) -> Iterator[str]:
    """Give what a batch has cost where that is known in money, and what became of its budget."""
    from batchrunner.app.budget import budget_line, cost
    from batchrunner.app.clock import store_now
    from batchrunner.app.status import batch_budget

    if batch.step_price is not None:
        yield f"cost: {cost(counts.steps, batch.step_price)}"
    status = batch_budget(store, batch, store_now(store))
    if status is not None:
        yield budget_line(status, batch.step_price)


def artifact_lines(store: Store, batch: Batch) -> Iterator[str]:
    """Give how many artifacts of a batch there are, if it has any."""

    from batchrunner.store.batch_reads import artifact_counts

    counts = store.read(artifact_counts, batch.id)
    parts = [f"{count} {state}" for state, count in sorted(counts.states.items())]
    if counts.unlisted:
        parts.append(f"those of {counted(counts.unlisted, 'run')} not asked for yet")
    if parts:
        size = f" ({counts.bytes / 1e6:.1f} MB)" if counts.bytes else ""
        yield f"artifacts: {', '.join(parts)}{size}"


def suspect_lines(
    store: Store,
    batch: Batch,
    db: str,
    *,
    rerun: str = "give the same `batchrunner run` with --rerun suspect",
) -> Iterator[str]:
    """Give the suspect results of a batch by rule, each with an example, and what to do next."""
    from batchrunner.store.failure_reads import suspect_results
    from batchrunner.text.terminal import SHOWN, shorten, term_safe

    found = store.read(suspect_results, batch.id)
    if not found:
        return
    total = counted(sum(each.jobs for each in found), "result")
    yield f"suspect: {total} delivered that may be wrong; bought again only if you say so"
    for each in found:
        where = term_safe(each.finding.path)
        seen = shorten(term_safe(each.finding.seen), SHOWN)
        what = f"{where}: {seen}" if where != "." else seen
        example = _named(each.key, each.url)
        yield f"  {term_safe(each.rule)} ({each.jobs}), such as {example}  {what}"
    name = shlex.quote(batch.name) + db_given(db)
    yield f"  look at them: batchrunner review {name}"
    yield f"  list them: batchrunner export {name} --only suspect"
    yield f"  buy them again: {rerun}"


def failure_lines(store: Store, batch: Batch, db: str) -> Iterator[str]:
    """Give the final failures of a batch by category: what they mean, and a few examples."""
    from batchrunner.store.failure_reads import failed_attempts

    attempts = store.read(failed_attempts, batch.id, final=True, most=MAX_ATTEMPTS_SHOWN)
    for category, lines in _by_category(attempts).items():
        yield f"{category} ({len(lines)}): {CATEGORIES[category].advice}"
        yield from _examples(lines, status_as_json(batch, db))


def advice_lines(advice: Sequence[AdviceCount], command: str) -> Iterator[str]:
    """Give what the API advised about failed jobs, each with how many it is about."""
    from batchrunner.cli.output.run_help_text import run_help_texts
    from batchrunner.text.terminal import SHOWN, shorten, term_safe

    for count in advice[:MAX_EXAMPLES]:
        for label, text in run_help_texts(count.help):
            about = counted(count.jobs, "job")
            yield f"{label} ({about}): {shorten(term_safe(text), SHOWN)}"
    if len(advice) > MAX_EXAMPLES:
        yield f"… and {len(advice) - MAX_EXAMPLES} more ({command})"


def run_error_lines(errors: Sequence[RunErrorBeside], command: str) -> Iterator[str]:
    """Give the errors that runs reported beside their results, with examples."""
    from batchrunner.text.terminal import SHOWN, shorten, term_safe

    lines = [
        f"{_named(each.key, each.url)}  {shorten(term_safe(_error(each.error)), SHOWN)}"
        for each in errors[: MAX_EXAMPLES + 1]
    ]
    if lines:
        yield f"runs that reported an error beside their result ({len(errors)})"
        yield from (f"  {line}" for line in lines[:MAX_EXAMPLES])
    if len(errors) > MAX_EXAMPLES:
        yield f"  … and {len(errors) - MAX_EXAMPLES} more (all of them: {command})"


def _error(stored: str) -> str:
    error = json.loads(stored)
    named = " ".join(error[name] for name in ("category", "code") if name in error)
    return f"{named}: {error['message']}" if named else str(error["message"])


def cancelled_lines(store: Store, batch: Batch, db: str) -> Iterator[str]:
    """Give the jobs that were cancelled while they waited, and what puts them back."""
    from batchrunner.store.failure_reads import cancelled_jobs

    found = store.read(cancelled_jobs, batch.id, most=MAX_ATTEMPTS_SHOWN)
    if not found:
        return
    name = shlex.quote(batch.name) + db_given(db)
    back = f"batchrunner retry {name} --category run_cancelled"
    yield f"cancelled before a run ({len(found)}): {back} puts them back"
    for key, url in found[:MAX_EXAMPLES]:
        yield f"  {_named(key, url)}"
    if len(found) > MAX_EXAMPLES:
        yield f"  … and {len(found) - MAX_EXAMPLES} more (all of them: batchrunner export {name})"


def retry_lines(store: Store, batch: Batch, db: str) -> Iterator[str]:
    """Give the failed attempts after which their jobs went on, by category, with examples."""
    from batchrunner.store.failure_reads import failed_attempts

    attempts = store.read(failed_attempts, batch.id, final=False, most=MAX_ATTEMPTS_SHOWN)
    for category, lines in _by_category(attempts, with_state=True).items():
        yield f"{category} ({len(lines)})"
        yield from _examples(lines, status_as_json(batch, db))


def _by_category(
    attempts: list[ClosedAttempt], *, with_state: bool = False
) -> dict[FailureCategory, list[str]]:
    found = defaultdict(list)
    for attempt in attempts:
        now = f"  → {attempt.job_state}" if with_state else ""
        found[attempt.category].append(_attempt_line(attempt) + now)
    return dict(sorted(found.items()))


def _examples(lines: list[str], command: str) -> Iterator[str]:
    yield from (f"  {line}" for line in lines[:MAX_EXAMPLES])
    if len(lines) > MAX_EXAMPLES:
        yield f"  … and {len(lines) - MAX_EXAMPLES} more (all of them: {command})"


def _attempt_line(attempt: ClosedAttempt) -> str:
    from batchrunner.text.terminal import SHOWN, shorten, term_safe

    code = f" [{shorten(attempt.code, SHOWN // 4)}]" if attempt.code else ""
    message = shorten(term_safe(attempt.message or ""), SHOWN)
    what = _named(attempt.key, attempt.url)
    return term_safe(f"{what}  attempt {attempt.number}: {message}{code}")


def _named(key: str, url: str) -> str:
    from batchrunner.cli.output.status_text import DIGEST
    from batchrunner.text.terminal import term_safe

    own = "" if DIGEST.fullmatch(key) else f"{key}  "
    return term_safe(f"{own}{url}")


def bounds_line(in_flight: Mapping[str, int], name: str | None = None) -> str | None:
    """Return that other batches than *name* have runs in flight beside it; None if none has."""
    from batchrunner.text.format import counted
    from batchrunner.text.terminal import term_safe

    others = {batch: runs for batch, runs in in_flight.items() if batch != name}
    if len(others) < (2 if name is None else 1):
        return None
    shown = ", ".join(f"{batch!r} ({counted(runs, 'run')})" for batch, runs in others.items())
    return term_safe(
        f"in flight on this database: {shown}; each batch has its own limit, so the account needs "
        "slots for all of them (--concurrency)"
    )


def status_as_json(batch: Batch, db: str) -> str:
    """Return the command that prints all of a status for programs."""
    return f"batchrunner status {shlex.quote(batch.name)}{db_given(db)} --json"


def db_given(db: str) -> str:
    """Return the option that names the database, as a command line needs it."""
    from batchrunner.cli.options import DEFAULT_DB, SANDBOX_DB
    from batchrunner.store.address import redacted

    if db in (DEFAULT_DB, SANDBOX_DB):
        return "" if db == DEFAULT_DB else " --sandbox"
    return f" --db {shlex.quote(redacted(db))}"


def same_command(args: Sequence[str]) -> str:
    """Return the command line that goes on with what these arguments began."""
    from batchrunner.store.address import redacted

    once = ("--leave-runs", "--fresh")
    return shlex.join(["batchrunner", *(redacted(arg) for arg in args if arg not in once)])


def without_option(args: Sequence[str], option: str) -> list[str]:
    """Return these arguments without an option and its value."""
    kept = []
    rest = iter(args)
    for arg in rest:
        if arg == option:
            next(rest, None)
        elif not arg.startswith(f"{option}="):
            kept.append(arg)
    return kept


def batch_as_json(store: Store, batch: Batch) -> dict[str, Any]:
    """Return a batch as a program wants it."""
    from batchrunner.app.status import batch_status

    status = batch_status(store, batch)
    counts = status.counts
    return {
        **_identity(status),
        "paused": _pause(status.paused),
        "quality_stop": _quality_stop(status.quality_stop),
        "no_credits": _hold(status.no_credits),
        "parked": [_parked(host) for host in status.parked],
        "total": counts.total,
        "jobs": {str(state): count for state, count in counts.jobs.items()},
        "retrying": counts.retrying,
        "queued": counts.queued,
        "unsettled": counts.unsettled,
        "orphans": counts.orphans,
        "attempts": counts.attempts,
        "steps": counts.steps,
        "artifacts": _artifacts(status.artifacts),
        **_money(status),
        "suspect": dict(counts.suspect),
        "suspects": [_suspects(each) for each in status.suspects],
        "failed": {str(category): count for category, count in counts.failed.items()},
        "retried": {str(category): count for category, count in counts.retried.items()},
        "failures": [_attempt(attempt) for attempt in status.failures],
        "retries": [_attempt(attempt) for attempt in status.retries],
        **_said_by_api(status),
    }


def _said_by_api(status: BatchStatus) -> dict[str, Any]:
    """Return the API's advice, and the errors that runs reported beside their results."""
    return {
        "advice": [
            {**asdict(each.help), "jobs": each.jobs, "first_id": each.first_key}
            for each in status.advice
        ],
        "run_errors": [
            {"id": each.key, "url": each.url, "run_id": each.run_id, **json.loads(each.error)}
            for each in status.run_errors
        ],
    }


def _identity(status: BatchStatus) -> dict[str, Any]:
    return {
        "batch": status.name,
        "series": status.series,
        "edition": status.edition,
        "quality_word": status.quality,
        "origin": status.api_origin,
        "concurrency": status.concurrency or "auto",
    }


def _money(status: BatchStatus) -> dict[str, Any]:
    """Return what a batch costs in dollars, as text; null where the rate is not known."""
    rate, budget, cost = status.rate, status.budget, status.cost
    return {
        "rate": f"{rate.amount:f}" if rate else None,
        "rate_from": rate.origin if rate else None,
        "cost": None if cost is None else f"{cost:f}",
        "budget": None
        if budget is None
        else {
            "budget": str(budget.budget),
            "limit": budget.limit,
            "spent": budget.spent,
            "unclear": budget.unclear,
            "reserved": budget.reserved,
            "used_up": budget.used_up,
        },
    }


def _artifacts(artifacts: ArtifactCounts) -> dict[str, int]:
    states = {str(state): artifacts.states.get(state, 0) for state in ArtifactState}
    return {**states, "unlisted_runs": artifacts.unlisted, "bytes": artifacts.bytes}


def _quality_stop(stop: QualityStop | None) -> dict[str, Any] | None:
    if stop is None:
        return None
    return {"since": stop.at.isoformat(), "reasons": [asdict(reason) for reason in stop.reasons]}


def _pause(pause: Pause | None) -> dict[str, Any] | None:
    return {"since": pause.since.isoformat(), "reason": pause.reason} if pause else None


def _hold(hold: Hold | None) -> dict[str, Any] | None:
    if hold is None:
        return None
    times = {"since": hold.since.isoformat(), "check_at": hold.check_at.isoformat()}
    return {**times, "reason": hold.reason}


def _parked(host: ParkedHost) -> dict[str, Any]:
    return {
        "host": host.host,
        "since": host.since.isoformat(),
        "failures": host.failures,
        "probe_at": host.probe_at.isoformat(),
        "probes": host.failed_probes,
        "waiting": host.waiting,
    }


def _suspects(suspect: SuspectResults) -> dict[str, Any]:
    return {
        "rule": suspect.rule,
        "count": suspect.jobs,
        "id": suspect.key,
        "url": suspect.url,
        "run_id": suspect.run_id,
        "path": suspect.finding.path,
        "seen": suspect.finding.seen,
    }


def _attempt(attempt: ClosedAttempt) -> dict[str, Any]:
    from batchrunner.policy.escalation import showable_overrides

    return {
        "id": attempt.key,
        "url": attempt.url,
        "attempt": attempt.number,
        "category": attempt.category,
        "code": attempt.code,
        "message": attempt.message,
        "counted": attempt.counted,
        "run_id": attempt.run_id,
        "help": asdict(attempt.help) if attempt.help else None,
        "changes": showable_overrides(attempt.option_overrides),
        "job_state": attempt.job_state,
        "closed_at": attempt.closed_at.isoformat() if attempt.closed_at else None,
    }
