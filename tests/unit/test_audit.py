"""What an audit calls a difference, and what it does about runs that nobody knew."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from batchrunner.app.audit_stop import audit_stop_text, stopped_by_audit
from batchrunner.cli.output.audit_text import audit_as_json, audit_lines, audit_summary
from batchrunner.model import Batch, Budget, Rate, RateSource, Run, RunStatus, Settings, StopLoss
from batchrunner.model.audit import (
    AuditColumn,
    AuditReport,
    Difference,
    DifferenceKind,
    ForeignRunsFound,
    KnownRun,
    Losses,
    Records,
    StopLossReached,
    Taken,
)
from batchrunner.policy.audit import (
    AUDIT_INTERVAL,
    CLOSED_FOR,
    MarkedAttempt,
    Taking,
    VisibleRuns,
    audit_interval,
    compare,
    foreign_runs,
    may_be_missing,
    take_unknown,
)
from batchrunner.policy.stop_loss import MIN_LOST_RUNS, stop_loss_reached

NOW = datetime(2026, 11, 21, 22, tzinfo=UTC)
BATCH, OURS, THEIRS = "aaaaaaa", "bbbbbbbbb", "ccccccccc"
RATE = Rate(amount=Decimal("0.016"), origin=RateSource.JOB_FILE)


def marker(submission: str = OURS, batch: str = BATCH, position: str = "01") -> str:
    return f"[ref br-{batch}-{submission}-{position}-0123456789]"


def shown(text: str | None = None, run_id: str = "r", **more: Any) -> Run:
    goal = "Read the price" if text is None else f"Read the price\n\n{text}"
    return Run(
        **{"run_id": run_id, "status": RunStatus.COMPLETED, "goal": goal, "steps": 3, **more}
    )


def known(**more: Any) -> KnownRun:
    closed = NOW - timedelta(minutes=30)
    return KnownRun(**{"run_id": "r", "since": NOW, "closed_at": closed, "steps": 3, **more})


def kinds(run: Run, *runs: KnownRun, settled: bool = True) -> list[DifferenceKind]:
    records = Records(
        runs={each.run_id: each for each in runs}, submissions={f"{BATCH}-{OURS}": settled}
    )
    return [each.kind for each in compare([run], records, BATCH, NOW).differences]


# ---- differences ----


def test_a_run_that_both_sides_know_at_the_same_cost_is_no_difference() -> None:
    assert kinds(shown(marker()), known()) == []


def test_a_run_of_our_own_submission_that_we_do_not_have_is_unknown() -> None:
    assert kinds(shown(marker())) == [DifferenceKind.UNKNOWN]


def test_a_run_whose_create_is_not_answered_yet_is_no_difference() -> None:
    assert kinds(shown(marker()), settled=False) == []


def test_a_run_of_our_batch_from_a_submission_that_we_did_not_write_is_foreign() -> None:
    assert kinds(shown(marker(THEIRS))) == [DifferenceKind.FOREIGN]


def test_runs_of_other_batches_and_programs_are_left_out() -> None:
    records = Records()
    others = [
        shown(marker(THEIRS, "zzzzzzz"), "a"),
        shown("[ref br-old-1]", "b"),
        shown("Read it", "c"),
    ]
    found = compare(others, records, BATCH, NOW)
    assert (found.runs, found.differences, found.unclear) == ([], [], [])


def test_the_last_marker_counts_as_a_users_text_may_have_another() -> None:
    assert kinds(shown(f"{marker(THEIRS)} {marker()}"), known()) == []
    assert kinds(shown(f"{marker(THEIRS)} {marker()}")) == [DifferenceKind.UNKNOWN]


@pytest.mark.parametrize("goal", [None, "", "Read the pri...", "Read the pri\u2026"])
def test_a_run_whose_goal_may_be_cut_is_read_by_its_id(goal: str | None) -> None:
    beside = shown(marker(), "x")
    found = compare(
        [Run(run_id="r", status=RunStatus.RUNNING, goal=goal), beside], Records(), "", NOW
    )
    assert list(found.unclear) == ["r"]


@pytest.mark.parametrize(("ours", "theirs"), [(3, 4), (None, 2), (5, 0)])
def test_a_cost_that_differs_is_a_difference(ours: int | None, theirs: int) -> None:
    assert kinds(shown(marker(), steps=theirs), known(steps=ours)) == [DifferenceKind.STEPS]


def test_a_list_without_steps_and_a_run_that_is_still_polled_are_no_difference() -> None:
    assert kinds(shown(marker(), steps=None), known()) == []
    assert kinds(shown(marker(), steps=7), known(closed_at=None, steps=None)) == []


def test_a_run_that_we_are_done_with_and_that_goes_on_is_alive() -> None:
    goes_on = shown(marker(), status=RunStatus.RUNNING, steps=None)
    given_up = known(steps=None)
    assert kinds(goes_on, given_up) == [DifferenceKind.ALIVE]
    assert kinds(goes_on, known(steps=None, closed_at=NOW - CLOSED_FOR / 2)) == []
    assert kinds(goes_on, known(ended=True)) == []  # an old answer


# ---- what is not shown ----


def test_an_absence_counts_only_beside_a_newer_run_that_is_as_hard_to_find() -> None:
    lost = known(run_id="lost", since=NOW, depth=400)
    visible = VisibleRuns()
    assert visible.control_run(lost) is None
    visible.add(known(run_id="older", since=NOW - timedelta(hours=1), depth=400))
    assert visible.control_run(lost) is None
    visible.add(known(run_id="shallow", since=NOW + timedelta(hours=1), depth=60))
    assert visible.control_run(lost) is None
    visible.add(known(run_id="control", since=NOW + timedelta(minutes=1), depth=400))
    assert visible.control_run(lost) == "control"


def test_the_deepest_run_that_is_shown_serves_where_none_is_as_deep() -> None:
    visible = VisibleRuns()
    visible.add(known(run_id="deepest", since=NOW + timedelta(minutes=1), depth=100))
    assert visible.control_run(known(since=NOW, depth=400)) == "deepest"


def test_a_young_run_is_never_missing() -> None:
    assert not may_be_missing(known(since=NOW - timedelta(minutes=9)), NOW)
    assert may_be_missing(known(since=NOW - timedelta(minutes=11)), NOW)


def test_audits_are_frequent_at_first_and_then_every_quarter_of_an_hour() -> None:
    minutes = [audit_interval(number) / timedelta(minutes=1) for number in range(6)]
    assert minutes == [1, 2, 4, 8, 15, 15]
    assert audit_interval(10**9) == AUDIT_INTERVAL


# ---- unknown runs ----


def attempt(**more: Any) -> MarkedAttempt:
    usual = {"attempt_id": 1, "submission_id": 9, "run_id": None, "is_open": False, "job_id": 5}
    return MarkedAttempt(**{**usual, "needs_run": False, **more})


def unknown(run_id: str = "new", text: str | None = None) -> Difference:
    return Difference(kind=DifferenceKind.UNKNOWN, run_id=run_id, marker=text or marker())


def taken(found: MarkedAttempt, *verified: str, runs: int = 1) -> Taking:
    some = [unknown(f"new-{number}") for number in range(runs)]
    return take_unknown(some, {marker(): found}, verified)


def test_a_job_that_needs_a_run_gets_one_and_the_others_are_orphans() -> None:
    assert taken(attempt(needs_run=True), runs=2) == Taking(
        adopt={1: "new-0"}, orphans={"new-1": 9}
    )


def test_a_run_that_no_job_needs_is_an_orphan() -> None:
    assert taken(attempt(run_id="first")) == Taking(adopt={}, orphans={"new-0": 9})


def test_an_open_attempt_without_a_run_is_left_to_the_search() -> None:
    assert taken(attempt(is_open=True)) == Taking(adopt={}, orphans={})


def test_a_run_is_an_orphan_beside_an_open_attempt_only_if_that_has_its_own_run() -> None:
    beside = attempt(is_open=True, run_id="first")
    assert taken(beside) == Taking(adopt={}, orphans={})  # its run may be another job's
    assert taken(beside, "first") == Taking(adopt={}, orphans={"new-0": 9})


def test_a_run_whose_marker_names_no_attempt_is_left_alone() -> None:
    assert take_unknown([unknown(text=marker(position="77"))], {}, ()) == Taking(
        adopt={}, orphans={}
    )


def test_a_run_whose_marker_names_another_databases_submission_is_foreign() -> None:
    runs = [shown(marker(), "ours"), shown(marker(THEIRS), "theirs"), shown(None, "unmarked")]
    assert foreign_runs(runs, {f"{BATCH}-{OURS}"}) == {"theirs"}


# ---- the stop-loss ----


def losses(**more: Any) -> Losses:
    usual = {"runs": 100, "orphans": 0, "lost": 0, "steps": 0, "unbilled": 0, "typical": 20}
    return Losses(**{**usual, **more})


def test_a_few_lost_runs_stop_no_batch_and_more_than_one_in_a_hundred_do() -> None:
    rule = StopLoss()
    assert stop_loss_reached(rule, losses(runs=20, lost=MIN_LOST_RUNS), None) is None
    assert stop_loss_reached(rule, losses(runs=20, lost=6, orphans=5), None) == StopLossReached(
        losses="11 runs of 20 are orphans or lost (55.0%)", limit="1%"
    )
    assert stop_loss_reached(rule, losses(runs=5000, orphans=50), None) is None
    assert stop_loss_reached(rule, losses(runs=5000, orphans=51), None) is not None


def test_a_sum_counts_runs_of_unknown_cost_as_average_runs() -> None:
    rule = StopLoss(share=None, cost=Budget(money=Decimal(1)))
    assert stop_loss_reached(rule, losses(orphans=3, steps=22, unbilled=2), RATE) is None
    reached = stop_loss_reached(rule, losses(orphans=3, steps=23, unbilled=2), RATE)
    assert reached == StopLossReached(
        losses="3 runs that are orphans or lost cost about 63 steps ($1.01)", limit="$1"
    )
    assert stop_loss_reached(rule, losses(orphans=99, steps=10**6), None) is None  # no rate
    in_steps = StopLoss(share=None, cost=Budget(steps=10))
    assert stop_loss_reached(in_steps, losses(orphans=1, steps=10), None) is None
    assert stop_loss_reached(in_steps, losses(orphans=1, steps=11), None) is not None


def test_a_stop_loss_that_is_switched_off_stops_nothing() -> None:
    assert stop_loss_reached(StopLoss(share=None), losses(orphans=100), RATE) is None
    assert str(StopLoss(share=None)) == "never"
    assert str(StopLoss(cost=Budget(money=Decimal(5)))) == "1% or $5"


# ---- in words ----


def report(*differences: Difference, **more: Any) -> AuditReport:
    columns = {
        "ours": AuditColumn(runs=1200, steps=23000),
        "theirs": AuditColumn(runs=1201, steps=23019),
    }
    return AuditReport(**{"at": NOW, "full": True, **columns, "differences": differences, **more})


def batch(rate: Rate | None = RATE) -> Batch:
    return Batch(id=1, name="prices", settings=Settings(), api_origin=None, step_price=rate)


def page(found: AuditReport, rate: Rate | None = RATE) -> str:
    return "\n".join(audit_lines(found, batch(rate), " --db x.db"))


def test_the_page_shows_both_columns_and_says_where_there_is_no_difference() -> None:
    text = page(report())
    assert "runs              1,200    1,201" in text
    assert "estimate        $368.00  $368.31   at $0.016 a step" in text
    assert text.endswith("\nno difference")
    assert "estimate" not in page(report(), None)


def test_the_page_names_each_difference_and_what_to_do() -> None:
    foreign = Difference(kind=DifferenceKind.FOREIGN, run_id="f-1", theirs=1)
    alive = Difference(kind=DifferenceKind.ALIVE, run_id="a-1", job="lamp")
    adopted = Difference(kind=DifferenceKind.UNKNOWN, run_id="u-1", taken=Taken.ADOPTED)
    over = Difference(kind=DifferenceKind.UNKNOWN, run_id="u-2", theirs=4, taken=Taken.ORPHAN)
    steps = Difference(kind=DifferenceKind.STEPS, run_id="s-1", ours=3, theirs=5)
    text = page(report(foreign, alive, adopted, over, steps))
    assert "5 differences:" in text
    assert "    f-1  1 step\n" in text
    assert "batchrunner recover jobs.yaml --db x.db" in text
    assert "    a-1  job lamp\n" in text
    assert "batchrunner runs cancel a-1" in text
    assert "    u-1  adopted\n    u-2  4 steps, over, and in the bill now\n" in text
    assert "    s-1  3 steps here, 5 steps at the API\n" in text


def test_a_hostile_id_in_the_list_does_not_reach_the_terminal() -> None:
    text = page(report(Difference(kind=DifferenceKind.FOREIGN, run_id="f\x1b[31m")))
    assert "\x1b" not in text


def test_the_page_says_what_it_cannot_see() -> None:
    text = page(
        report(unfinished="it has no end", not_yet_shown=2, unlisted=1, lost=3, unmarked=4,
               old_submissions=5, other_account=6)
    )  # fmt: skip
    for line in (
        "could not be read to its end: it has no end",
        "2 runs not yet shown",
        "1 run shown by the API, and not yet in its list",
        "3 runs lost",
        "6 runs not compared: the batch was run with another account's key then",
        "4 runs without a marker",
        "5 create requests of an older version",
        "no difference in what could be compared",
    ):
        assert line in text


def test_the_summary_of_a_run_is_one_line() -> None:
    assert list(audit_summary(None, batch(), "")) == []
    assert list(audit_summary(report(), batch(), "")) == [
        "audited: no difference (1200 runs here, 1201 at the API): batchrunner audit prices"
    ]
    assert list(audit_summary(replace(report(), full=False), batch(), "")) == [
        "audited in part: no difference in the newest runs (1201 at the API): "
        "batchrunner audit prices"
    ]
    found = report(Difference(kind=DifferenceKind.MISSING, run_id="m"))
    (line,) = audit_summary(found, batch(), " --db x.db")
    assert line == (
        "audited: 1 difference between this database and the API's list: "
        "batchrunner audit prices --db x.db"
    )


def test_programs_get_all_differences() -> None:
    found = audit_as_json(report(Difference(kind=DifferenceKind.MISSING, run_id="m")), batch())
    assert found["agrees"] is False
    assert found["ours"]["estimate"] == "368.000"
    assert [each["run_id"] for each in found["differences"]] == ["m"]


def test_a_stop_names_the_possible_causes_and_the_commands() -> None:
    foreign = ForeignRunsFound(run_ids=("r1", "r2", "r3", "r4"))
    assert audit_stop_text(foreign).endswith("did not start (r1, r2, r3 and 1 more)")
    error = stopped_by_audit(foreign, "prices", db=" --db x.db", files="'my jobs.yaml'")
    for part in ("copied", "backup", "colleague", "batchrunner audit prices --db x.db"):
        assert part in error.next
    assert "batchrunner recover 'my jobs.yaml' --db x.db" in error.next
    losing = StopLossReached(losses="11 runs of 20 are orphans or lost (55.0%)", limit="1%")
    error = stopped_by_audit(losing, "prices")
    assert "`stop_loss` allows 1%" in error.what
    assert "batchrunner audit prices" in error.next
