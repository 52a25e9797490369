"""What searches for control runs must show before an absence is believed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrunner.model import RunStatus, Submission
from batchrunner.policy.control_runs import (
    MAX_CONTROL_SEARCHES,
    MAX_RUNNING_TIME,
    NO_EVIDENCE,
    ControlEvidence,
    ControlRun,
    ListedRuns,
    MarkerDepth,
    MissingRuns,
    after_control_search,
    controls_to_find,
    shows_refused,
)

NOW = datetime(2026, 9, 3, 3, 0, tzinfo=UTC)
SHORT, LONG = MarkerDepth.of("Read"), MarkerDepth.of("Read " * 80)
MISSING = MissingRuns(since=NOW, depth=SHORT)
RUNNING, COMPLETED = RunStatus.RUNNING, RunStatus.COMPLETED


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def known(name: str, after: float = 1, **fields: object) -> ControlRun:
    """Return a run of a submission with its name, which was written so many seconds later."""
    made = ControlRun(
        run_id=name,
        marker_token=f"of-{name}",
        intended_at=NOW + seconds(after),
        depth=SHORT,
        status=RUNNING,
        shown=True,
    )
    return replace(made, **fields)  # type: ignore[arg-type]


def search(
    evidence: ControlEvidence,
    run: ControlRun,
    status: RunStatus | None,
    at: float = 5,
    missing: MissingRuns = MISSING,
) -> ControlEvidence:
    """Search for a run's submission; a *status* of None: the list does not show the run."""
    statuses = {} if status is None else {run.run_id: status}
    listed = ListedRuns(marker_token=run.marker_token, statuses=statuses)
    return after_control_search(evidence, missing, [run], listed, NOW + seconds(at))


PROVED = search(search(NO_EVIDENCE, known("a"), RUNNING), known("b", 2), COMPLETED)


def test_later_runs_that_are_found_in_both_states_prove_an_absence() -> None:
    assert PROVED.proves_absence(MISSING, NOW + seconds(60))
    assert not NO_EVIDENCE.proves_absence(MISSING, NOW + seconds(60))
    assert "created later" in NO_EVIDENCE.problem()


@pytest.mark.parametrize("after", [-0.001, -60])
def test_a_run_that_was_created_before_the_missing_one_proves_nothing(after: float) -> None:
    older = search(NO_EVIDENCE, known("a", after), RUNNING)
    assert older.found == frozenset()
    assert not older.running
    assert not older.completed
    assert older.depth == SHORT, "but for how deep searches see"


@pytest.mark.parametrize("status", [RUNNING, COMPLETED])
def test_runs_of_one_state_prove_nothing_of_a_run_in_another(status: RunStatus) -> None:
    one = search(search(NO_EVIDENCE, known("a"), status), known("b"), status)
    assert not one.proves_absence(MISSING, NOW + seconds(600))
    # After so long, the missing run is not running any more.
    assert one.proves_absence(MISSING, NOW + MAX_RUNNING_TIME) is (status is COMPLETED)


@pytest.mark.parametrize("status", [RunStatus.PENDING, RunStatus.FAILED, RunStatus.CANCELLED])
def test_other_states_stand_for_neither(status: RunStatus) -> None:
    found = search(NO_EVIDENCE, known("a"), status)
    assert not found.running
    assert not found.completed


def test_a_run_that_is_easier_to_find_and_is_not_found_disproves_searches() -> None:
    blind = search(PROVED, known("c"), None)
    assert not blind.proves_absence(MISSING, NOW + seconds(600))
    assert "does not find runs that exist" in blind.problem()
    assert search(blind, known("c"), RUNNING).proves_absence(MISSING, NOW + seconds(600))


@pytest.mark.parametrize("fields", [{"depth": LONG}, {"shown": False}])
def test_a_run_that_is_harder_to_find_shows_nothing_by_its_absence(
    fields: dict[str, object],
) -> None:
    assert search(PROVED, known("c", **fields), None) == PROVED


def test_a_marker_that_is_less_deep_proves_nothing() -> None:
    deep = replace(MISSING, depth=LONG)
    assert not PROVED.proves_absence(deep, NOW + seconds(60))
    assert PROVED.lacks_only_depth(deep, NOW + seconds(60))
    older = search(PROVED, known("d", -3600, depth=LONG), COMPLETED, missing=deep)
    assert older.proves_absence(deep, NOW + seconds(60))


def test_depth_counts_in_characters_and_in_bytes() -> None:
    assert not MarkerDepth.of("a" * 300).covers(MarkerDepth.of("\u20ac" * 200))
    assert not MarkerDepth.of("\u20ac" * 200).covers(MarkerDepth.of("a" * 300))
    assert MarkerDepth.of("\u20ac" * 200).covers(MarkerDepth.of("a" * 200))


@pytest.mark.parametrize(("at", "age"), [(80, 118.5), (5, 6), (3600, 900)])
def test_the_missing_run_may_be_listed_half_as_late_again_as_the_control_runs(
    at: float, age: float
) -> None:
    late = search(search(NO_EVIDENCE, known("a"), RUNNING), known("b"), COMPLETED, at)
    assert not late.proves_absence(MISSING, NOW + seconds(age - 0.1))
    assert late.proves_absence(MISSING, NOW + seconds(age))


@given(
    st.lists(
        st.builds(
            known,
            st.sampled_from("abcdefgh"),
            st.floats(-100, 100),
            depth=st.sampled_from([SHORT, LONG]),
            status=st.sampled_from(RunStatus),
            shown=st.booleans(),
        ),
        max_size=12,
    )
)
def test_few_submissions_are_searched_for_at_a_time(runs: list[ControlRun]) -> None:
    runs.sort(key=lambda run: run.intended_at)
    chosen = controls_to_find(NO_EVIDENCE, MISSING, runs)
    assert len(chosen) == len(set(chosen)) <= MAX_CONTROL_SEARCHES
    assert set(chosen) <= {run.marker_token for run in runs}
    if any(run.intended_at >= NOW and run.status is COMPLETED for run in runs):
        assert chosen


@pytest.mark.parametrize(
    ("runs", "listed", "age", "believed"),
    [
        ([], "", 4, False),
        ([], "", 5, True),
        ([known("later", 1)], "later", 5, True),
        ([known("earlier", -1)], "", 30, False),
        ([known("earlier", -1)], "earlier", 5, True),
        ([known("earlier", -1), known("later", 1)], "later", 5, True),
        ([known("earlier", -1), known("later", 1)], "earlier", 5, True),
        ([known("earlier", -1)], "", 120, True),
        ([known("unseen", -1, shown=False)], "", 5, True),
    ],
)
def test_a_refusal_is_believed_if_the_list_shows_runs_that_are_as_new(
    runs: list[ControlRun], listed: str, age: float, believed: bool
) -> None:
    refused = Submission(id=1, marker_token="of-refused", marked=True, intended_at=NOW, attempts=())
    assert shows_refused(refused, runs, listed.split(), NOW + seconds(age)) is believed
