"""What a runner's events say, line by line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from batchrunner.cli.phrases import counted, dated, local
from batchrunner.cli.state import DIGEST, held, parked_line, paused
from batchrunner.cli.terminal import SHOWN, shorten, term_safe
from batchrunner.model import Failed, Finish, Postpone, Retry, Verdict
from batchrunner.policy.windows import Phase, Window
from batchrunner.runner.events import (
    Bounded,
    CreditsBack,
    Event,
    Held,
    Judged,
    OutOfCredits,
    Parked,
    Paused,
    Recalled,
    Rescued,
    Resumed,
    Searching,
    Slept,
    Stalled,
    Strayed,
    Submitted,
    Timed,
    Unhooked,
)

#: What begins or ends a time in which nothing is submitted.
Lasting = Paused | Resumed | Timed | OutOfCredits | CreditsBack
#: Stands for how many jobs share a line, until they are counted.
MANY = "\0"


def lines_of(event: Event) -> Iterator[str]:
    """Give what an event says, line by line."""
    match event:
        case Submitted(runs=runs):
            yield f"started {_runs(runs)}"
        case Rescued(attempts=attempts):
            left = counted(attempts, "attempt")
            yield f"took over {left} that another process left: none is paid again"
        case Searching(runs=runs, why=why):
            why = shorten(term_safe(why), SHOWN)
            yield f"searching for {_runs(runs)} that may exist: {why}"
        case Strayed(adopted=adopted, orphans=orphans):
            yield (
                f"{_runs(adopted + orphans)} turned up late: {adopted} adopted, {orphans} cancelled"
            )
        case Parked() | Bounded() | Recalled():
            yield from _limits(event)
        case Judged(verdicts=verdicts):
            yield from _verdict_lines(verdicts)
        case Unhooked(why=why):
            yield f"going on without the webhook: {shorten(term_safe(why), SHOWN)}"
        case _:
            yield _wait(event)


def _limits(event: Parked | Bounded | Recalled) -> Iterable[str]:
    match event:
        case Parked(hosts=hosts):
            return map(parked_line, hosts) if hosts else ["no host is parked any more"]
        case Bounded(most=most, slots=slots, found=found):
            seems = f"the account has {counted(slots, 'slot')}" if found else "no queue so far"
            return [f"up to {_runs(most)} in flight: {seems}"]
        case Recalled(runs=runs):
            return [f"cancelling {_runs(runs)} for the deadline: their jobs are available again"]


def _wait(event: Stalled | Slept | Held | Lasting) -> str:
    match event:
        case Stalled(why=why):
            return f"waiting for the database: {why}"
        case Slept(seconds=seconds):
            return f"this machine slept for {seconds:.0f} s, or its clock was set forward"
        case Held(until=until, failure=failure):
            return f"waiting until {local(until)}: {_reason(failure)}"
        case _:
            return lasting(event)


def lasting(event: Lasting) -> str:
    """Return why nothing is submitted from now on, or that this is over."""
    match event:
        case Paused(pause=pause):
            return paused(pause)
        case OutOfCredits(hold=hold):
            return held(hold)
        case Resumed():
            return "resumed"
        case CreditsBack():
            return "credits are back"
        case Timed(phase=phase, window=window):
            return _in_window(phase, window)


def _in_window(phase: Phase, window: Window) -> str:
    match phase:
        case Phase.EARLY:
            return f"waiting until {dated(window.opens)}: nothing is submitted before"
        case Phase.OPEN:
            return "jobs are submitted"
        case Phase.LANDING | Phase.OVER:
            return f"nothing more is submitted: what is in flight has until {dated(window.closes)}"


def _verdict_lines(verdicts: tuple[Verdict, ...]) -> Iterator[str]:
    alike = Counter(line for verdict in verdicts if (line := _put_back(verdict)))
    for line, count in alike.items():
        yield line.replace(MANY, counted(count, "job"))
    for verdict in verdicts:
        failure = verdict.transition.failure
        if failure is not None and not isinstance(verdict.transition, Postpone):
            yield f"{_what_follows(verdict):<15} {_who(verdict)}  {_reason(failure)}"
    succeeded = sum(1 for verdict in verdicts if verdict.transition.failure is None)
    if succeeded:
        yield f"{_runs(succeeded)} succeeded"


def _put_back(verdict: Verdict) -> str | None:
    """Return the line about a job that waits through no fault of its own; many share one."""
    if not isinstance(verdict.transition, Postpone):
        return None
    return f"{_what_follows(verdict):<15} {MANY}  {_reason(verdict.transition.failure)}"


def _who(verdict: Verdict) -> str:
    """Name a job: by the user's own id, or by its url where the key is only a digest."""
    key = verdict.attempt.job.key
    return verdict.attempt.url if DIGEST.fullmatch(key) else key


def _what_follows(verdict: Verdict) -> str:
    match verdict.transition:
        case Finish(state=state):
            return str(state)
        case Retry(at=at):
            return f"again {local(at)}"
        case Postpone(at=at):
            return f"later {local(at)}"


def _reason(failure: Failed) -> str:
    return f"{failure.category}: {shorten(term_safe(failure.message), SHOWN)}"


def _runs(count: int) -> str:
    return counted(count, "run")
