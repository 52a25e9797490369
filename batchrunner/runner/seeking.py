"""Looks for the runs of one submission in the API's list, and says how far the list tells."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from batchrunner.api import Api
from batchrunner.model import MOST_RUNS, Landmark, Run, Submission, marker, marker_of, marker_prefix
from batchrunner.runner.matching import is_of, match, may_be_of

#: By how much older than its submission a run may seem: clocks run at different speeds.
SPARE = timedelta(hours=1)
#: Most runs that are looked at by themselves because a list does not tell whose they are.
MOST_UNSURE = 5 * MOST_RUNS


@dataclass(frozen=True, kw_only=True)
class Sought:
    """What one look for a submission's runs brought."""

    runs: Mapping[int, str]  #: by attempt id
    spare: Collection[str]  #: runs of the submission that no attempt needs
    echoed: bool  #: the list showed a marker of the submission: it can be searched for
    whole: bool  #: the list was seen to its end
    doubt: str | None = None  #: why a run that was not found may be in the list nevertheless


async def seek(api: Api, submission: Submission, now: datetime) -> Sought:
    """
    Look for a submission's runs once.

    What the list does not tell of a run is asked of the run itself.

    Raises:
        ApiError: The list, or a run that it shows, could not be read.
    """
    listed = await api.search(marker_prefix(submission.token))
    runs, spare = match(submission, listed.runs)
    rest = _without(submission, runs)
    untold = (run.run_id for run in listed.runs if _may_be_cut(run, now - submission.intended_at))
    unsure = [*listed.unsure, *untold]
    if rest.rides and unsure:
        seen = await _look_at(api, unsure[-MOST_UNSURE:])
        runs, spare = match(submission, ({r.run_id: r for r in listed.runs} | seen).values())
        rest = _without(submission, runs)
        unsure = [at for at in unsure if at not in seen or may_be_of(rest, seen[at].goal)]
    doubt = None
    if rest.rides and not listed.whole:
        doubt = "the API's list of runs has no end"
    elif rest.rides and (unsure or listed.nameless):
        doubt = "the API's list shows runs, and not whose they are"
    return Sought(
        runs=runs,
        spare=spare,
        echoed=any(is_of(submission, run.goal) for run in listed.runs),
        whole=listed.whole,
        doubt=doubt,
    )


async def finds(api: Api, landmark: Landmark) -> bool:
    """
    Whether a search finds a run that is known to exist.

    Raises:
        ApiError: The list could not be read.
    """
    listed = await api.search(f"{marker_prefix(landmark.token)}{landmark.place}")
    text = marker(landmark.token, landmark.place)
    if any(text in (run.goal or "") for run in listed.runs):
        return True
    if landmark.run_id not in {*listed.unsure, *(run.run_id for run in listed.runs)}:
        return False
    # As with a run that is sought: what the list does not tell, the run itself has to.
    seen = await _look_at(api, [landmark.run_id])
    return any(text in (run.goal or "") for run in seen.values())


def _may_be_cut(run: Run, elapsed: timedelta) -> bool:
    """
    Whether a run may be one that was asked for, of whose goal the list shows too little.

    Its age is told by the API's clock alone, and what *elapsed* since it was asked for by ours: one
    of them may be hours off.
    """
    if marker_of(run.goal) is not None:
        return False
    if run.created_at is None or run.shown_at is None:
        return True
    return run.shown_at - run.created_at <= elapsed + SPARE


def _without(submission: Submission, runs: Mapping[int, str]) -> Submission:
    rides = tuple(ride for ride in submission.rides if ride.attempt_id not in runs)
    return replace(submission, rides=rides)


async def _look_at(api: Api, run_ids: Sequence[str]) -> dict[str, Run]:
    found: dict[str, Run] = {}
    for at in range(0, len(run_ids), MOST_RUNS):
        seen = await api.get_many(run_ids[at : at + MOST_RUNS])
        found |= {run_id: run for run_id, run in seen.items() if isinstance(run, Run)}
    return found
