"""Compares a batch's newest results with each other at the end of a run, and flags odd ones."""

from __future__ import annotations

from collections.abc import Iterator

from batchrunner.judge.outliers import COPIED, MIN_PEERS, SPARSE, PeerResult, outliers
from batchrunner.model import Batch, Expectations, Finding, StoredResult, Verdict
from batchrunner.store.judgements import (
    flag_good_results,
    newest_successes,
    results_of_attempts,
    results_of_one_goal,
)
from batchrunner.store.store import Store
from batchrunner.text.json_size import is_parsable

#: Results that are compared; `judge` compares all of a larger batch.
MAX_COMPARED = 20_000


def flag_odd_results(store: Store, batch: Batch) -> int:
    """
    Turn good results into suspect ones that are unlike the others of their goal; return how many.

    It never does the reverse, and the order of the results does not matter: those that were flagged
    before are still compared with. Nothing is read of a batch in which no goal has enough results.
    """
    if store.read(results_of_one_goal, batch.id) < MIN_PEERS:
        return 0
    attempt_ids = store.read(newest_successes, batch.id, MAX_COMPARED)
    good: dict[int, Expectations] = {}
    found = outliers(_comparable(store, attempt_ids, good))
    flags = [
        (attempt_id, finding)
        for attempt_id, finding in found.items()
        if attempt_id in good and not is_allowed(finding, good[attempt_id])
    ]
    return store.write(flag_good_results, flags) if flags else 0


def is_allowed(finding: Finding, expectations: Expectations) -> bool:
    """Whether a job's file, or a person, allows what was found."""
    accepted = (finding.rule, finding.path) in expectations.accepted
    return accepted or finding.rule in expectations.allow


def _comparable(
    store: Store, attempt_ids: list[int], good: dict[int, Expectations]
) -> Iterator[tuple[int, PeerResult]]:
    """Give the results that no rule finds anything in; note those that are good."""
    for stored in results_of_attempts(store, attempt_ids):
        if not is_parsable(stored.result) or not _is_peer(stored):
            continue
        if stored.verdict is Verdict.GOOD:
            good[stored.attempt_id] = stored.expectations
        yield stored.attempt_id, PeerResult(stored.url, stored.goal, stored.result)


def _is_peer(stored: StoredResult) -> bool:
    if stored.verdict is not Verdict.SUSPECT:
        return stored.category is None
    return bool(stored.findings) and stored.findings[0].rule in (COPIED, SPARSE)
