"""How a lost answer is searched for: one search of the API's list for one submission's runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from batchrunner.api_facts.limits import MAX_RUNS_PER_REQUEST
from batchrunner.model import (
    Run,
    RunListing,
    Submission,
    marker_in,
    marker_prefix,
)
from batchrunner.runner.run_matching import match_runs, may_belong_to
from batchrunner.tinyfish.client import TinyFishClient

#: How much older than its submission a run may seem: clocks run at different speeds.
SEARCH_MARGIN = timedelta(hours=1)
#: Most runs that are fetched one by one because the list does not say whose they are.
MAX_UNCLEAR_RUNS = 5 * MAX_RUNS_PER_REQUEST


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """What one search for a submission's runs found."""

    runs: Mapping[int, str]  #: by attempt id
    spare: Collection[str]  #: runs of the submission that no attempt needs
    listed: frozenset[str]  #: all runs that the list showed
    complete: bool  #: the list was read to its end
    inconclusive: str | None = None  #: why a run that was not found may still be in the list


async def search_runs(api: TinyFishClient, submission: Submission, now: datetime) -> SearchResult:
    """
    Search for a submission's runs once.

    If the list does not show whose a run is, the run itself is fetched.

    Raises:
        RequestFailed: The list, or a run that it shows, could not be read.
    """
    listed = await api.search(marker_prefix(submission.marker_token))
    return await _matched(api, submission, listed, now - submission.intended_at)


async def _matched(
    api: TinyFishClient, submission: Submission, listed: RunListing, elapsed: timedelta
) -> SearchResult:
    """Match listed runs to attempts; fetch those that the list does not show well enough."""
    runs, spare = match_runs(submission, listed.runs)
    rest = _without(submission, runs)
    cut = (run.run_id for run in listed.runs if _may_be_cut(run, elapsed))
    unclear = [*listed.unclear, *cut]
    if rest.attempts and unclear:
        fetched = await _fetch_each(api, unclear[-MAX_UNCLEAR_RUNS:])
        known = {run.run_id: run for run in listed.runs} | fetched
        runs, spare = match_runs(submission, known.values())
        rest = _without(submission, runs)
        unclear = [
            run_id
            for run_id in unclear
            if run_id not in fetched or may_belong_to(rest, fetched[run_id].goal)
        ]
    inconclusive = None
    if rest.attempts and not listed.complete:
        inconclusive = "the API's list of runs has no end"
    elif rest.attempts and (unclear or listed.nameless):
        inconclusive = "the API's list shows runs, and not whose they are"
    return SearchResult(
        runs=runs,
        spare=spare,
        listed=frozenset(run.run_id for run in listed.runs),
        complete=listed.complete,
        inconclusive=inconclusive,
    )


async def search_newest_runs(
    api: TinyFishClient, submission: Submission, now: datetime
) -> SearchResult:
    """
    Search for a submission's runs in the list of all runs, down to those that are clearly older.

    Raises:
        RequestFailed: The list, or a run that it shows, could not be read.
    """
    elapsed = now - submission.intended_at

    def is_enough(page: RunListing) -> bool:
        ages = [_age(run) for run in page.runs]
        return any(age is not None and age > elapsed + SEARCH_MARGIN for age in ages)

    listed = await api.search(None, newest_first=True, is_enough=is_enough)
    return await _matched(api, submission, listed, elapsed)


def _may_be_cut(run: Run, elapsed: timedelta) -> bool:
    """
    Return whether the list may show too little of the goal of a run that we asked for.

    The run's age is measured by the API's clock alone, and *elapsed* (since the submission) by
    ours, because either clock may be hours off.
    """
    if marker_in(run.goal) is not None:
        return False
    age = _age(run)
    return age is None or age <= elapsed + SEARCH_MARGIN


def _age(run: Run) -> timedelta | None:
    """Return a run's age by the API's clock; None if the API does not show it."""
    if run.created_at is None or run.shown_at is None:
        return None
    return run.shown_at - run.created_at


def _without(submission: Submission, runs: Mapping[int, str]) -> Submission:
    left = tuple(each for each in submission.attempts if each.attempt_id not in runs)
    return replace(submission, attempts=left)


async def _fetch_each(api: TinyFishClient, run_ids: Sequence[str]) -> dict[str, Run]:
    found: dict[str, Run] = {}
    for start in range(0, len(run_ids), MAX_RUNS_PER_REQUEST):
        seen = await api.get_many(run_ids[start : start + MAX_RUNS_PER_REQUEST])
        found |= {run_id: run for run_id, run in seen.items() if isinstance(run, Run)}
    return found
