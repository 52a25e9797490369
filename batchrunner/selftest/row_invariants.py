"""Checks every row of a batch against its run; only a sandbox in the same process knows these."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from batchrunner.api_facts.run_options import RUN_OPTIONS
from batchrunner.sandbox.journal import SandboxRun
from batchrunner.selftest.invariants import SUCCEEDED, StoreSnapshot, invariant
from batchrunner.store.reports import batch_counts
from batchrunner.store.serialization import options_of
from batchrunner.store.store import Store


def check_rows(
    store: Store,
    batch_id: int,
    runs: Collection[SandboxRun],
    unseen: Collection[str],
    served: Mapping[str, bytes],
    *,
    one_clock: bool,
    webhook: str | None = None,
) -> None:
    """
    Check, at the end of a batch, each attempt against its run: job, times, options, result, cost.

    *unseen* are the ids of hidden runs. *served* are the results that were put in the place of a
    run's own, by run id. *one_clock* means that times of both sides can be compared. *webhook* is
    the webhook that runners add to jobs that name none; no row has it.
    """
    snapshot = StoreSnapshot.of(store, batch_id)
    unmatched = set(unseen) - {attempt.run_id for attempt in snapshot.attempts}
    shown = {r.run_id: r for r in runs if r.fault != "lost" and r.run_id not in unmatched}
    for run in shown.values():
        invariant(bool(run.finished_at), "a run was left alive", f"run {run.run_id}")
    by_id = {job.id: job for job in snapshot.jobs}
    for attempt in snapshot.attempts:
        if (found := shown.get(attempt.run_id)) is None:
            continue
        job = by_id[attempt.job_id]
        invariant(
            found.url == job.url, "a run is in the row of another job", f"attempt {attempt.id}"
        )
        early = one_clock and bool(found.finished_at and found.finished_at > attempt.closed_at)
        invariant(
            not early, "an attempt was closed before its run had ended", f"attempt {attempt.id}"
        )
        _check_options(found, options_of(job.options, attempt.option_overrides), webhook)
        _check_result(attempt, found, snapshot.results.get(attempt.id), served.get(found.run_id))
    charged = sum(run.steps for run in shown.values())
    steps = store.read(batch_counts, batch_id).steps
    invariant(steps == charged, f"the cost is {steps} steps, not what the API charged: {charged}")


def _check_options(run: SandboxRun, options: Mapping[str, Any], webhook: str | None) -> None:
    """Check that a run had the options that its row says, and perhaps the runner's webhook."""
    expected = _of_the_run(options)
    added = {} if webhook is None or "webhook_url" in expected else {"webhook_url": webhook}
    same = _of_the_run(run.body) in (expected, expected | added)
    invariant(same, "a run had other options than its row says", f"run {run.run_id}")


def _of_the_run(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that each run has itself; the output_schema belongs to the request."""
    names = [name for name in RUN_OPTIONS if name in options and name != "output_schema"]
    return {name: options[name] for name in names}


def _check_result(attempt: Any, run: SandboxRun, stored: str | None, served: bytes | None) -> None:
    """Check that the stored result is what the API returned, however hostile it is."""
    if served is not None:
        invariant(bool(stored), "a hostile result was not stored", f"attempt {attempt.id}")
        invariant(
            _is_same_json(stored or "", served),
            "a hostile result was changed",
            f"attempt {attempt.id}",
        )
        accepted = attempt.outcome == SUCCEEDED or bool(run.schema_errors)
        invariant(accepted, "a hostile result was treated as a failure", f"attempt {attempt.id}")
    elif stored is not None:
        same = json.loads(stored) == run.result
        invariant(same, "a stored result is not what the API returned", f"attempt {attempt.id}")


def _is_same_json(stored: str, served: bytes) -> bool:
    """Return whether ASCII JSON is what was served; a byte that is not UTF-8 is a surrogate."""
    text = served.decode("utf-8", "surrogateescape")
    return stored.isascii() and _unescaped(stored) == _unescaped(text)


def _unescaped(text: str) -> str:
    plain = re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), text)
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
