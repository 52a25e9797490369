"""Says how a batch stands: as lines for people, as JSON for programs."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from batchrunner.errors import CannotContinue
from batchrunner.model.artifacts import ArtifactState
from batchrunner.model.categories import CATEGORIES, FailureCategory
from batchrunner.text.format import counted

if TYPE_CHECKING:
    from batchrunner.model import Batch, BatchCounts, ClosedAttempt, Failed, ParkedHost, Pause
    from batchrunner.model.time_and_cost import Hold
    from batchrunner.store.store import Store

#: Failed attempts that are read to be reported.
MAX_ATTEMPTS_SHOWN = 1000
#: Failures that are shown of each category.
MAX_EXAMPLES = 3


def closing_lines(store: Store, batch: Batch, tally: BatchCounts, db: str) -> Iterator[str]:
    """Give the last lines of a run: what came of it, why jobs failed, what to do next."""
    from batchrunner.cli.output.status_text import summary
    from batchrunner.model import JobState

    yield from failure_lines(store, batch)
    name = shlex.quote(batch.name) + db_given(db)
    running = tally.jobs[JobState.RUNNING]
    if not running and (left := tally.open):
        yield f"{counted(left, 'job')} left"
    if running:
        yield f"{counted(running, 'run')} may go on and cost money: run again to collect them"
    if worth := sorted(each for each in tally.failed if CATEGORIES[each].retry_suggested):
        hopeless = len(worth) < len(tally.failed)
        chosen = "".join(f" --category {category}" for category in worth) if hopeless else ""
        yield f"put the failed ones back, then run again: batchrunner retry {name}{chosen}"
    if tally.retried:
        yield f"what was tried again, and why: batchrunner status {name}"
    yield f"{batch.name}: {summary(tally)}"
    yield from money_lines(store, batch, tally)
    yield from artifact_lines(store, batch)
    if store.gallery(batch.id).left:
        yield f"fetch those that are left: batchrunner artifacts fetch {name} -o DIR"


def stopped(failure: Failed) -> CannotContinue:
    """Return why a runner had to stop, and what to check before it goes on."""
    from batchrunner.text.terminal import SHOWN, shorten, term_safe

    said = shorten(term_safe(failure.message), SHOWN)
    if failure.category is FailureCategory.UNREACHABLE:
        what, check = said, "the API's address (--api-url, TINYFISH_BASE_URL)"
    else:
        what, check = f"the API answered {said!r}", "the key and its rights"
    return CannotContinue(
        f"stopped: {what}",
        next=f"check {check}, then run the same command again: no attempt was used up",
    )


def money_lines(store: Store, batch: Batch, tally: BatchCounts) -> Iterator[str]:
    """Give what a batch has cost where that is known in money, and what became of its budget."""
    from batchrunner.app.budget import cost, purse_line
    from batchrunner.app.clock import ledger_now

    if batch.step_price is not None:
        yield f"cost: {cost(tally.steps, batch.step_price)}"
    purse = store.purse(batch.id, ledger_now(store))
    if purse is not None:
        yield purse_line(purse, batch.step_price)


def artifact_lines(store: Store, batch: Batch) -> Iterator[str]:
    """Give how many artifacts of a batch there are, if it has any."""

    gallery = store.gallery(batch.id)
    parts = [f"{count} {state}" for state, count in sorted(gallery.states.items())]
    if gallery.unlisted:
        parts.append(f"those of {counted(gallery.unlisted, 'run')} not asked for yet")
    if parts:
        size = f" ({gallery.bytes / 1e6:.1f} MB)" if gallery.bytes else ""
        yield f"artifacts: {', '.join(parts)}{size}"


def failure_lines(store: Store, batch: Batch) -> Iterator[str]:
    """Give the final failures of a batch by category: what they mean, and a few examples."""
    attempts = store.failures(batch.id, final=True, most=MAX_ATTEMPTS_SHOWN)
    for category, lines in _by_category(attempts).items():
        yield f"{category} ({len(lines)}): {CATEGORIES[category].advice}"
        yield from _examples(lines)


def cancelled_lines(store: Store, batch: Batch, db: str) -> Iterator[str]:
    """Give the jobs that were cancelled while they waited, and what puts them back."""
    found = store.cancelled(batch.id, most=MAX_ATTEMPTS_SHOWN)
    if not found:
        return
    name = shlex.quote(batch.name) + db_given(db)
    back = f"batchrunner retry {name} --category run_cancelled"
    yield f"cancelled before a run ({len(found)}): {back} puts them back"
    for key, url in found[:MAX_EXAMPLES]:
        yield f"  {_named(key, url)}"
    if len(found) > MAX_EXAMPLES:
        yield f"  … and {len(found) - MAX_EXAMPLES} more (all of them: batchrunner export {name})"


def retry_lines(store: Store, batch: Batch) -> Iterator[str]:
    """Give the failed attempts after which their jobs went on, by category, with examples."""
    attempts = store.failures(batch.id, final=False, most=MAX_ATTEMPTS_SHOWN)
    for category, lines in _by_category(attempts, with_state=True).items():
        yield f"{category} ({len(lines)})"
        yield from _examples(lines)


def _by_category(
    attempts: list[ClosedAttempt], *, with_state: bool = False
) -> dict[FailureCategory, list[str]]:
    found = defaultdict(list)
    for attempt in attempts:
        now = f"  → {attempt.job_state}" if with_state else ""
        found[attempt.category].append(_attempt_line(attempt) + now)
    return dict(sorted(found.items()))


def _examples(lines: list[str]) -> Iterator[str]:
    yield from (f"  {line}" for line in lines[:MAX_EXAMPLES])
    if len(lines) > MAX_EXAMPLES:
        yield f"  … and {len(lines) - MAX_EXAMPLES} more (all of them: --json)"


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


def db_given(db: str) -> str:
    """Return the option that names the database, as a command line needs it."""
    from batchrunner.cli.options import DEFAULT_DB
    from batchrunner.store.address import redacted

    if db == DEFAULT_DB:
        return ""
    return f" --db {shlex.quote(redacted(db))}"


def same_command(args: Sequence[str]) -> str:
    """Return the command line that goes on with what these arguments began."""
    from batchrunner.store.address import redacted

    return shlex.join(["batchrunner", *(redacted(arg) for arg in args if arg != "--leave-runs")])


def batch_as_json(store: Store, batch: Batch) -> dict[str, Any]:
    """Return a batch as a program wants it."""
    from batchrunner.app.clock import ledger_now

    tally = store.tally(batch.id)
    return {
        "batch": batch.name,
        "origin": batch.api_origin,
        "concurrency": batch.settings.concurrency or "auto",
        "paused": _pause(batch.pause),
        "no_credits": _hold(store.held(batch.id, ledger_now(store))),
        "parked": [_parked(host) for host in store.parked(batch.id)],
        "total": tally.total,
        "jobs": {str(state): count for state, count in tally.jobs.items()},
        "retrying": tally.retrying,
        "queued": tally.queued,
        "unsettled": tally.unsettled,
        "orphans": tally.orphans,
        "attempts": tally.attempts,
        "steps": tally.steps,
        "artifacts": _artifacts(store, batch),
        **_money(store, batch, tally),
        "failed": {str(category): count for category, count in tally.failed.items()},
        "retried": {str(category): count for category, count in tally.retried.items()},
        "failures": [
            _attempt(attempt)
            for attempt in store.failures(batch.id, final=True, most=MAX_ATTEMPTS_SHOWN)
        ],
        "retries": [
            _attempt(attempt)
            for attempt in store.failures(batch.id, final=False, most=MAX_ATTEMPTS_SHOWN)
        ],
    }


def _money(store: Store, batch: Batch, tally: BatchCounts) -> dict[str, Any]:
    """Return what a batch costs in dollars, as text; null where nobody knows the rate."""
    from batchrunner.app.clock import ledger_now

    rate, purse = batch.step_price, store.purse(batch.id, ledger_now(store))
    return {
        "rate": f"{rate.amount:f}" if rate else None,
        "rate_from": rate.origin if rate else None,
        "cost": f"{tally.steps * rate.amount:f}" if rate else None,
        "budget": None
        if purse is None
        else {
            "budget": str(purse.budget),
            "limit": purse.limit,
            "spent": purse.spent,
            "unclear": purse.unclear,
            "reserved": purse.reserved,
            "used_up": purse.used_up,
        },
    }


def _artifacts(store: Store, batch: Batch) -> dict[str, int]:
    gallery = store.gallery(batch.id)
    states = {str(state): gallery.states.get(state, 0) for state in ArtifactState}
    return {**states, "unlisted_runs": gallery.unlisted, "bytes": gallery.bytes}


def _pause(pause: Pause | None) -> dict[str, Any] | None:
    return {"since": pause.since.isoformat(), "reason": pause.reason} if pause else None


def _hold(hold: Hold | None) -> dict[str, Any] | None:
    if hold is None:
        return None
    times = {"since": hold.since.isoformat(), "check_at": hold.check_at.isoformat()}
    return {**times, "reason": hold.why}


def _parked(host: ParkedHost) -> dict[str, Any]:
    return {
        "host": host.host,
        "since": host.since.isoformat(),
        "failures": host.failures,
        "probe_at": host.probe_at.isoformat(),
        "probes": host.failed_probes,
        "waiting": host.waiting,
    }


def _attempt(attempt: ClosedAttempt) -> dict[str, Any]:
    from batchrunner.policy.escalation import changes_text

    return {
        "id": attempt.key,
        "url": attempt.url,
        "attempt": attempt.number,
        "category": attempt.category,
        "code": attempt.code,
        "message": attempt.message,
        "counted": attempt.counted,
        "run_id": attempt.run_id,
        "changes": changes_text(attempt.option_overrides),
        "job_state": attempt.job_state,
        "closed_at": attempt.closed_at.isoformat() if attempt.closed_at else None,
    }
