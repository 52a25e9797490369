"""What a runner's events say, line by line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from batchrunner.app.audit_stop import audit_stop_text
from batchrunner.classify import verdict_of_transition
from batchrunner.cli.output.status_text import DIGEST, held, parked_line, paused
from batchrunner.model import (
    AttemptDecision,
    Failed,
    FailureCategory,
    Finish,
    Retry,
    Snooze,
    Verdict,
)
from batchrunner.policy.schedule import Phase, Window
from batchrunner.runner.events import (
    AccountLimitMet,
    AttemptsClosed,
    AttemptsRescued,
    BadDataFound,
    BatchPaused,
    BatchResumed,
    CancelledAtStop,
    CancelledForDeadline,
    ClockJumped,
    ConcurrencyChanged,
    CreateUnanswered,
    CreditsBack,
    Event,
    GroundingDropped,
    HostsParked,
    LateRunsFound,
    OutOfCredits,
    RequestsDelayed,
    RunsSubmitted,
    ScheduleChanged,
    StartedBeforeCancel,
    StoreUnavailable,
    SubmittingStopped,
    UnknownRunsFound,
    WebhookDropped,
)
from batchrunner.text.format import counted, dated, local
from batchrunner.text.terminal import SHOWN, shorten, term_safe

#: What begins or ends a time in which nothing is submitted.
Lasting = BatchPaused | BatchResumed | ScheduleChanged | OutOfCredits | CreditsBack
Waiting = StoreUnavailable | ClockJumped | RequestsDelayed
Cancelled = CancelledForDeadline | CancelledAtStop | StartedBeforeCancel
#: Stands for how many jobs share a line, until they are counted.
MANY = "\0"


def event_lines(event: Event) -> Iterator[str]:
    """Give what an event says, line by line."""
    match event:
        case RunsSubmitted(runs=runs):
            yield f"started {_runs(runs)}"
        case AttemptsRescued(attempts=attempts):
            left = counted(attempts, "attempt")
            yield f"took over {left} that another process left: none is paid again"
        case CreateUnanswered(runs=runs, reason=why):
            why = shorten(term_safe(why), SHOWN)
            yield f"searching for {_runs(runs)} that may exist: {why}"
        case HostsParked() | ConcurrencyChanged() | AccountLimitMet():
            yield from _limits(event)
        case AttemptsClosed(decisions=decisions):
            yield from _decision_lines(decisions)
        case WebhookDropped(reason=why) | GroundingDropped(reason=why):
            what = "the webhook" if isinstance(event, WebhookDropped) else "grounding"
            yield f"going on without {what}: {shorten(term_safe(why), SHOWN)}"
        case LateRunsFound() | UnknownRunsFound() | SubmittingStopped() | BadDataFound():
            yield from _found(event)
        case _:
            yield _wait_or_cancel(event)


def _found(
    event: LateRunsFound | UnknownRunsFound | SubmittingStopped | BadDataFound,
) -> Iterator[str]:
    if not isinstance(event, BadDataFound):
        yield _audited(event)
        return
    if event.stopped:
        yield "the data went bad: nothing more is submitted; runs in flight are collected"
    mark = "" if event.stopped else "look: "
    for reason in event.reasons:
        yield f"{mark}{shorten(term_safe(reason.text), SHOWN)}"


def is_outage(event: Event) -> bool:
    """Return whether an event says that the API cannot be reached."""
    return (
        isinstance(event, RequestsDelayed) and event.failure.category is FailureCategory.UNREACHABLE
    )


def _limits(
    event: HostsParked | ConcurrencyChanged | AccountLimitMet,
) -> Iterable[str]:
    match event:
        case HostsParked(hosts=hosts):
            return map(parked_line, hosts) if hosts else ["no host is parked any more"]
        case ConcurrencyChanged(most=most, slots=slots, found=found):
            seems = f"the account has {counted(slots, 'slot')}" if found else "no queue so far"
            return [f"up to {_runs(most)} in flight: {seems}"]
        case AccountLimitMet(most=most):
            return [f"up to {_runs(most)} in flight: the API refuses more (429)"]


def _wait_or_cancel(event: Waiting | Lasting | Cancelled) -> str:
    if isinstance(event, Cancelled):
        return _cancelled(event)
    return _wait(event)


def _cancelled(event: Cancelled) -> str:
    match event:
        case CancelledForDeadline(runs=runs):
            return f"cancelling {_runs(runs)} for the deadline: their jobs are available again"
        case CancelledAtStop(runs=runs):
            return f"cancelling {_runs(runs)} not started yet: their jobs are available again"
        case StartedBeforeCancel(runs=runs, steps=steps):
            return f"{_runs(runs)} had started before the cancel: {counted(steps, 'step')} used"


def _audited(event: LateRunsFound | UnknownRunsFound | SubmittingStopped) -> str:
    match event:
        case LateRunsFound(adopted=adopted, orphans=orphans):
            found = _runs(adopted + orphans)
            return f"{found} turned up late: {adopted} adopted, {orphans} cancelled"
        case UnknownRunsFound(adopted=adopted, orphans=orphans):
            found = _runs(adopted + orphans)
            return f"the audit found {found} not known here: {adopted} adopted, {orphans} cancelled"
        case SubmittingStopped(reason=reason):
            return f"nothing more is submitted: {audit_stop_text(reason)}"


def _wait(event: Waiting | Lasting) -> str:
    match event:
        case StoreUnavailable(reason=why):
            return f"waiting for the database: {why}"
        case ClockJumped(seconds=seconds):
            return f"this machine slept for {seconds:.0f} s, or its clock was set forward"
        case RequestsDelayed(until=until, failure=failure):
            return f"waiting until {local(until)}: {_reason(failure)}"
        case _:
            return lasting_lines(event)


def lasting_lines(event: Lasting) -> str:
    """Return why nothing is submitted from now on, or that this is over."""
    match event:
        case BatchPaused(pause=pause):
            return paused(pause)
        case OutOfCredits(hold=hold):
            return held(hold)
        case BatchResumed():
            return "resumed"
        case CreditsBack():
            return "credits are back"
        case ScheduleChanged(phase=phase, window=window):
            return _in_window(phase, window)


def _in_window(phase: Phase, window: Window) -> str:
    match phase:
        case Phase.EARLY:
            return f"waiting until {dated(window.opens)}: nothing is submitted before"
        case Phase.OPEN:
            return "jobs are submitted"
        case Phase.LANDING | Phase.OVER:
            return f"nothing more is submitted: what is in flight has until {dated(window.closes)}"


def _decision_lines(decisions: tuple[AttemptDecision, ...]) -> Iterator[str]:
    alike = Counter(line for decision in decisions if (line := _put_back(decision)))
    for line, count in alike.items():
        yield line.replace(MANY, counted(count, "job"))
    for decision in decisions:
        failure = decision.transition.failure
        if failure is not None and not isinstance(decision.transition, Snooze):
            yield f"{_what_follows(decision):<15} {_who(decision)}  {_reason(failure)}"
    succeeded = sum(1 for decision in decisions if decision.transition.failure is None)
    if succeeded:
        verdicts = Counter(verdict_of_transition(each.transition) for each in decisions)
        suspect = verdicts[Verdict.SUSPECT]
        flagged = f" ({suspect} suspect)" if suspect else ""
        yield f"{_runs(succeeded)} succeeded{flagged}"


def _put_back(decision: AttemptDecision) -> str | None:
    """Return the line about a job that waits through no fault of its own; many share one."""
    if not isinstance(decision.transition, Snooze):
        return None
    return f"{_what_follows(decision):<15} {MANY}  {_reason(decision.transition.failure)}"


def _who(decision: AttemptDecision) -> str:
    """Name a job: by the user's own id, or by its url where the key is only a digest."""
    key = decision.attempt.job.key
    return decision.attempt.url if DIGEST.fullmatch(key) else key


def _what_follows(decision: AttemptDecision) -> str:
    match decision.transition:
        case Finish(state=state):
            return str(state)
        case Retry(at=at):
            return f"again {local(at)}"
        case Snooze(at=at):
            return f"later {local(at)}"


def _reason(failure: Failed) -> str:
    return f"{failure.category}: {shorten(term_safe(failure.message), SHOWN)}"


def _runs(count: int) -> str:
    return counted(count, "run")
