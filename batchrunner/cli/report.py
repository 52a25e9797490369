"""Says how a batch stands: as lines for people, as JSON for programs."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchrunner.model import Batch, ClosedAttempt, Tally
    from batchrunner.store import Store

#: Failed attempts that are read to be reported.
MOST = 1000
#: Failures that are shown of each category.
EXAMPLES = 3


def closing_lines(store: Store, batch: Batch, tally: Tally, db: str) -> Iterator[str]:
    """Give the last lines of a run: what came of it, why jobs failed, what to do next."""
    from batchrunner.cli.display import summary

    yield from failure_lines(store, batch)
    name = shlex.quote(batch.name) + _db_option(db)
    if tally.failed:
        yield f"try the failed ones again: batchrunner retry {name}, then run again"
    if tally.retried:
        yield f"what was tried again, and why: batchrunner status {name}"
    yield f"{batch.name}: {summary(tally)}"


def failure_lines(store: Store, batch: Batch) -> Iterator[str]:
    """Give the final failures of a batch by category, with a few examples of each."""
    by_category = defaultdict(list)
    for attempt in store.failures(batch.id, final=True, most=MOST):
        by_category[attempt.category].append(attempt)
    for category, attempts in sorted(by_category.items()):
        yield f"{category} ({len(attempts)}): {ADVICE[category]}"
        for attempt in attempts[:EXAMPLES]:
            yield f"  {attempt_line(attempt)}"
        if len(attempts) > EXAMPLES:
            yield f"  … and {len(attempts) - EXAMPLES} more"


def attempt_line(attempt: ClosedAttempt) -> str:
    """Return one failed attempt in one line, safe for a terminal."""
    from batchrunner.cli.terminal import term_safe

    code = f" [{attempt.code}]" if attempt.code else ""
    return term_safe(f"{attempt.url}  attempt {attempt.number}: {attempt.message}{code}")


def _db_option(db: str) -> str:
    from batchrunner.cli.options import DEFAULT_DB

    return "" if db == DEFAULT_DB else f" --db {shlex.quote(db)}"


#: Category → what it means for the user, and what to do.
ADVICE = {
    "system_failure": "the service broke each time; try again later",
    "agent_failure": "the input needs fixing: look at the url and the goal",
    "billing_failure": "the account has no credits",
    "unknown": "the API gave no reason that is known here; try again later",
    "goal_failure": "the page did not give what the goal asks for",
    "blocked": "a captcha, a login or a bot wall; try browser_profile: stealth or a proxy",
    "invalid_result": "the result does not have the shape that output_schema asks for",
    "timed_out": "queued or running for longer than its limit, and cancelled",
    "run_cancelled": "cancelled on request or by somebody else",
    "rejected": "the API refused the request; mend the job, under a new `id` if it has one",
    "unauthorized": "the account lacks the right for an option of this job",
    "throttled": "the API was busy",
    "unreachable": "the API could not be reached",
    "unanswered": "a run may exist and be paid for; retrying it is your decision",
    "lost": "the API no longer knows the run",
}


def batch_as_json(store: Store, batch: Batch) -> dict[str, Any]:
    """Return a batch as a program wants it."""
    tally = store.tally(batch.id)
    return {
        "batch": batch.name,
        "origin": batch.origin,
        "total": tally.total,
        "jobs": {str(state): count for state, count in tally.jobs.items()},
        "retrying": tally.retrying,
        "queued": tally.queued,
        "unsettled": tally.unsettled,
        "attempts": tally.attempts,
        "steps": tally.steps,
        "failed": {str(category): count for category, count in tally.failed.items()},
        "retried": {str(category): count for category, count in tally.retried.items()},
        "failures": [
            _attempt(attempt) for attempt in store.failures(batch.id, final=True, most=MOST)
        ],
        "retries": [
            _attempt(attempt) for attempt in store.failures(batch.id, final=False, most=MOST)
        ],
    }


def _attempt(attempt: ClosedAttempt) -> dict[str, Any]:
    return {
        "id": attempt.key,
        "url": attempt.url,
        "attempt": attempt.number,
        "category": attempt.category,
        "code": attempt.code,
        "message": attempt.message,
        "counted": attempt.counted,
        "run_id": attempt.run_id,
        "job_state": attempt.job_state,
        "closed_at": attempt.closed_at.isoformat() if attempt.closed_at else None,
    }
