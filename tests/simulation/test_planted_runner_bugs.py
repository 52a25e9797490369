"""Each bug that is planted in the client, the policy or the loops breaks the invariant named."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from batchrunner.classify import classify_fault
from batchrunner.model import (
    ApiFault,
    FailureCategory,
    Job,
    Outcome,
    RequestFailed,
    Retry,
    Run,
    RunStatus,
    Snooze,
    StopLoss,
    Throttle,
    Transition,
    Unanswered,
)
from batchrunner.model.audit import Difference, KnownRun, Records
from batchrunner.policy.account_limit import is_about_runs
from batchrunner.policy.audit import (
    Taking,
    VisibleRuns,
    foreign_runs,
    may_be_missing,
    take_unknown,
)
from batchrunner.policy.backpressure import is_barred_for_good, is_key_refused
from batchrunner.policy.control_runs import ControlEvidence
from batchrunner.policy.create_outcome import next_search, refused_as_batch
from batchrunner.policy.retry import decide
from batchrunner.policy.retry_rules import Policy
from batchrunner.policy.run_decision import (
    believed_after,
    is_overdue,
    next_cancel,
    reset_after_clock_jump,
    with_cancel_answer,
)
from batchrunner.policy.stop_loss import stop_loss_reached
from batchrunner.runner.mismatch_fixer import MismatchFixer
from batchrunner.runner.run_fetcher import RunFetcher
from batchrunner.runner.run_search import SearchResult, search_runs
from batchrunner.runner.stop_state import StopState
from batchrunner.store.audit import audit_records
from batchrunner.store.orphans import late_run_watchlist
from batchrunner.tinyfish.client import TinyFishClient
from batchrunner.tinyfish.repeat_guard import RepeatGuard
from tests.simulation.audited_batches import (
    beside_a_copy,
    newest_run_not_yet_shown,
    orphan_of_another_database,
    stops_at_its_stop_loss,
)
from tests.simulation.barred_way import (
    barred_for_a_minute,
    barred_for_good,
    barred_from_the_start,
)
from tests.simulation.planting import Bug, Planter, check_caught, each_of
from tests.simulation.short_batches import (
    behind_gateway,
    clock_set_forward,
    faulty_batch,
    key_refused_for_good,
    late_run,
    refused_above_limit,
    search_finds_nothing,
    small_batch,
    stuck_run,
)
from tests.simulator.simulated_batch import pages, simulate

# ---- creates whose answer was lost ----


def send_again(planter: Planter, which: Callable[[ApiFault], bool]) -> None:
    real = TinyFishClient.create

    async def create(api: TinyFishClient, *args: Any) -> Any:
        answer = await real(api, *args)
        again = isinstance(answer, Unanswered) and which(answer.fault)
        return await real(api, *args) if again else answer

    planter.replace(real, create)


def put_back_without_a_search(planter: Planter) -> None:
    async def search_nothing(*_: Any) -> SearchResult:
        return SearchResult(runs={}, spare=(), listed=frozenset(), complete=True)

    planter.replace(search_runs, search_nothing)
    give_up_after_one_search(planter)


def give_up_after_one_search(planter: Planter) -> None:
    planter.replace(next_search, lambda *_: None)
    trust_every_search(planter)


def trust_every_search(planter: Planter) -> None:
    planter.replace(ControlEvidence.proves_absence, lambda *_: True)


def trust_the_order_of_ids(planter: Planter) -> None:
    async def fix_nothing(*_: Any) -> frozenset[int]:
        return frozenset()

    planter.replace(MismatchFixer.fix, fix_nothing)


def ignore_unknown_runs(planter: Planter) -> None:
    planter.replace(take_unknown, lambda *_: Taking(adopt={}, orphans={}))


def touch_runs_of_another_database(planter: Planter) -> None:
    planter.replace(foreign_runs, lambda *_: set())


def take_every_submission_for_our_own(planter: Planter) -> None:
    def with_every_token(tx: Any, run_ids: Any, tokens: Any) -> Records:
        found = audit_records(tx, run_ids, tokens)
        return replace(found, submissions=dict.fromkeys(tokens, True))

    def cancel_all(unknown: Iterable[Difference], *_: Any) -> Taking:
        return Taking(adopt={}, orphans={each.run_id: 1 for each in unknown})

    planter.replace(audit_records, with_every_token)
    planter.replace(take_unknown, cancel_all)


def go_on_beside_another_database(planter: Planter) -> None:
    planter.replace(StopState.stop_for_audit, lambda *_: None)


def go_on_at_any_loss(planter: Planter) -> None:
    planter.replace(stop_loss_reached, lambda *_: None)


def believe_every_absence(planter: Planter) -> None:
    def oldest(visible: VisibleRuns, _: KnownRun) -> str:
        return seen[0]

    seen: list[str] = []
    note = VisibleRuns.add

    def add(visible: VisibleRuns, known: KnownRun) -> None:
        seen.append(known.run_id)
        note(visible, known)

    planter.replace(note, add)
    planter.replace(VisibleRuns.control_run, oldest)
    planter.replace(may_be_missing, lambda *_: True)


def ignore_late_runs(planter: Planter) -> None:
    planter.replace(late_run_watchlist, lambda *_: [])
    ignore_unknown_runs(planter)  # an audit finds late runs, too


# ---- a way to the API that is barred ----


def take_an_untrusted_certificate_for_an_outage(planter: Planter) -> None:
    planter.replace(is_barred_for_good, lambda since, succeeded_at, now: False)


def wait_for_ever_for_a_certificate(planter: Planter) -> None:
    planter.replace(is_barred_for_good, lambda since, succeeded_at, now: succeeded_at is None)


def stop_at_the_first_untrusted_certificate(planter: Planter) -> None:
    planter.replace(is_barred_for_good, lambda since, succeeded_at, now: True)


# ---- policy ----


def ignore_retry_after(planter: Planter) -> None:
    planter.replace(classify_fault, lambda fault: replace(classify_fault(fault), retry_after=None))


def count_throttling(planter: Planter) -> None:
    def decide_counted(policy: Policy, job: Job, outcome: Outcome, now: datetime) -> Transition:
        decided = decide(policy, job, outcome, now)
        if isinstance(decided, Snooze) and decided.failure.category is FailureCategory.THROTTLED:
            return Retry(at=decided.at, failure=decided.failure)
        return decided

    planter.replace(decide, decide_counted)


def count_without_end(planter: Planter) -> None:
    def forgetful(policy: Policy, job: Job, outcome: Outcome, now: datetime) -> Transition:
        unfailed = replace(job, failures=0, failures_by_category={})
        return decide(policy, unfailed, outcome, now)

    planter.replace(decide, forgetful)


def believe_not_found_at_once(planter: Planter) -> None:
    planter.replace(believed_after, lambda _: timedelta(0))


# ---- clocks and polls ----


def count_a_clock_jump_as_running_time(planter: Planter) -> None:
    def is_overdue_by_our_clock(policy: Policy, attempt: Any, seen: Any, *args: Any) -> bool:
        undated = replace(seen, shown_at=None) if isinstance(seen, Run) else seen
        return is_overdue(policy, attempt, undated, *args)

    planter.replace(reset_after_clock_jump, lambda attempt, jumped_at: attempt)
    planter.replace(is_overdue, is_overdue_by_our_clock)


def take_a_failed_poll_for_a_failed_run(planter: Planter) -> None:
    real = RunFetcher.fetch

    async def fetch(fetcher: RunFetcher, run_ids: list[str]) -> Any:
        try:
            return await real(fetcher, run_ids)
        except RequestFailed:
            return {id: Run(run_id=id, status=RunStatus.FAILED) for id in run_ids}

    planter.replace(real, fetch)


# ---- limits and refusals ----


def learn_no_limit(planter: Planter) -> None:
    planter.replace(is_about_runs, lambda *_, **__: False)


def take_every_429_for_the_limit_of_runs(planter: Planter) -> None:
    planter.replace(is_about_runs, lambda fault, **_: fault.status == 429)


def believe_details_for_ever(planter: Planter) -> None:
    def believing(fault: ApiFault, **more: Any) -> bool:
        return fault.throttle is not Throttle.REQUESTS and is_about_runs(fault, **more)

    planter.replace(is_about_runs, believing)


def stop_at_the_first_refusal(planter: Planter) -> None:
    planter.replace(is_key_refused, lambda *_, **__: True)


def try_a_wrong_key_for_ever(planter: Planter) -> None:
    planter.replace(is_key_refused, lambda *_, **__: False)


def stop_where_run_batch_is_forbidden(planter: Planter) -> None:
    planter.replace(refused_as_batch, lambda *_, **__: False)


def wait_for_runs_that_have_ended(planter: Planter) -> None:
    planter.replace(Run.as_ended, lambda run: run)


def ignore_answers_to_cancels(planter: Planter) -> None:
    planter.replace(with_cancel_answer, lambda observation, _: observation)


def repeat_cancels_at_once(planter: Planter) -> None:
    planter.replace(next_cancel, lambda *_: timedelta(0))


def repeat_requests_at_once(planter: Planter) -> None:
    async def pass_on(*_: Any) -> None:
        pass

    planter.replace(RepeatGuard.wait, pass_on)


ODD = {"script": {"http://site.test/odd": "expired"}}
SILENT = {"script": {"http://site.test/odd": "expired_silently"}}

BUGS = [
    Bug(learn_no_limit, refused_above_limit, "no limit was learned"),
    Bug(
        take_every_429_for_the_limit_of_runs,
        partial(behind_gateway, "throttled_per_minute", 0, 50),
        "a limit on requests lowered the bound",
    ),
    Bug(
        believe_details_for_ever,
        partial(refused_above_limit, "refused_in_detail", (300.0, 400.0)),
        "no limit was learned",
    ),
    Bug(
        stop_at_the_first_refusal,
        partial(behind_gateway, "revoked_key", 20, 60),
        "the batch ended before a job was final",
    ),
    Bug(
        stop_at_the_first_refusal,
        partial(behind_gateway, "forbidden", 20, 60),
        "the batch ended before a job was final",
        label="stop_at_the_first_403",
    ),
    Bug(try_a_wrong_key_for_ever, key_refused_for_good, "a wrong key was tried for ever"),
    Bug(
        stop_where_run_batch_is_forbidden,
        partial(behind_gateway, "no_run_batch", 0, 3600),
        "the batch ended before a job was final",
    ),
    Bug(
        wait_for_runs_that_have_ended,
        partial(small_batch, ["http://site.test/odd", *pages(1)], **ODD),
        "the batch did not end",
    ),
    Bug(
        ignore_answers_to_cancels,
        partial(small_batch, ["http://site.test/odd", *pages(1)], **SILENT),
        "the batch did not end",
    ),
    Bug(repeat_cancels_at_once, stuck_run, "a cancel without effect was repeated at once"),
    Bug(
        repeat_requests_at_once,
        partial(small_batch, pages(2)),
        "a request was sent twice within a second",
    ),
    Bug(
        partial(send_again, which=lambda fault: fault.status == 500),
        faulty_batch("error_after/1"),
        "two runs have the same marker",
        label="send_again_after_a_500",
    ),
    Bug(
        partial(send_again, which=lambda fault: fault.status is None),
        faulty_batch("dropped_after/1"),
        "two runs have the same marker",
        label="send_again_after_a_dropped_connection",
    ),
    Bug(
        put_back_without_a_search,
        faulty_batch("dropped_after/1"),
        "although its run existed",
    ),
    Bug(
        give_up_after_one_search,
        faulty_batch("dropped_before/1"),
        "before the grace period was over",
    ),
    Bug(trust_every_search, search_finds_nothing, "although its run existed"),
    Bug(
        trust_the_order_of_ids,
        partial(small_batch, pages(3), variants={"run_ids": "reversed"}),
        "in the row of another job",
    ),
    Bug(
        ignore_late_runs,
        late_run,
        "a run was created that belongs to no attempt",
    ),
    Bug(
        ignore_unknown_runs,
        faulty_batch("replayed/1"),
        "a run was created that belongs to no attempt",
    ),
    Bug(
        touch_runs_of_another_database,
        orphan_of_another_database,
        "a run of another database was cancelled",
    ),
    Bug(
        take_every_submission_for_our_own,
        beside_a_copy,
        "a run of another database was cancelled",
    ),
    Bug(
        go_on_beside_another_database,
        beside_a_copy,
        "submitting went on beside another database",
    ),
    Bug(believe_every_absence, newest_run_not_yet_shown, "an audit's false alarm"),
    Bug(go_on_at_any_loss, partial(stops_at_its_stop_loss, StopLoss()), "went on"),
    Bug(ignore_retry_after, faulty_batch("rate_limited/1"), "before Retry-After was over"),
    Bug(count_throttling, faulty_batch("rate_limited/1"), "waiting used up an attempt"),
    Bug(count_without_end, faulty_batch("system_failure/9"), "more often than its policy allows"),
    Bug(believe_not_found_at_once, faulty_batch("lost/1"), "lost at the first poll"),
    Bug(
        count_a_clock_jump_as_running_time,
        clock_set_forward,
        "a run was cancelled before its limit",
    ),
    Bug(
        take_a_failed_poll_for_a_failed_run,
        partial(small_batch, ["http://faults.test/unreachable/1"], durations=(60, 60)),
        "closed before its run had ended",
    ),
    Bug(take_an_untrusted_certificate_for_an_outage, barred_from_the_start, "did not stop at once"),
    Bug(wait_for_ever_for_a_certificate, barred_for_good, "it waited for ever"),
    Bug(stop_at_the_first_untrusted_certificate, barred_for_a_minute, "a hiccup ended"),
]

#: Bugs whose simulated batches take long.
SLOW = frozenset(
    {
        "ignore_late_runs",
        "count_a_clock_jump_as_running_time",
        "count_without_end",
        "touch_runs_of_another_database",
        "take_a_failed_poll_for_a_failed_run",
        "wait_for_ever_for_a_certificate",
        "try_a_wrong_key_for_ever",
        "learn_no_limit",
        "take_every_429_for_the_limit_of_runs",
        "believe_details_for_ever",
        "stop_where_run_batch_is_forbidden",
        "wait_for_runs_that_have_ended",
        "ignore_answers_to_cancels",
        "repeat_cancels_at_once",
        "go_on_at_any_loss",
        "go_on_beside_another_database",
        "take_every_submission_for_our_own",
    }
)

every_bug = each_of(BUGS, slow=SLOW)


@pytest.mark.sweep
@every_bug
def test_the_batch_passes_without_the_bug(bug: Bug) -> None:
    simulate(bug.scenario)


@every_bug
def test_the_bug_is_caught(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    check_caught(bug, monkeypatch)
