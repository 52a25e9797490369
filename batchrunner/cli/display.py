"""Shows a batch at work: a live picture on a terminal, plain lines elsewhere."""

from __future__ import annotations

import re
import sys
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from batchrunner.cli.terminal import SHOWN, shorten, term_safe
from batchrunner.model import (
    Failed,
    Finish,
    JobState,
    ParkedHost,
    Pause,
    Postpone,
    Retry,
    Tally,
    Verdict,
)
from batchrunner.model.account import Hold
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
#: Lines of what happened lately, under the picture.
RECENT = 6
#: Stands for how many jobs share a line, until they are counted.
MANY = "\0"
#: Key of a job to which the user gave no id of their own.
DIGEST = re.compile("[0-9a-f]{32}")
#: Jobs that must be done in this session before it is worth telling when the rest will be.
ENOUGH = 3


class Display:
    """What the user sees of a batch while it runs."""

    seconds = 10.0  #: between two updates

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: str | None = None
        self._stops_since: datetime | None = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show it while the block runs."""
        yield

    def say(self, line: str) -> None:
        """Tell the user something."""
        self._console.print(Text(term_safe(line)))

    def update(self, tally: Tally, now: datetime, parked: Sequence[ParkedHost] = ()) -> None:
        """Show how the batch stands, if that has changed; hosts that are parked at first, too."""
        if self._said is None and parked:
            self.say(standing_still(parked))
        line = summary(tally)
        if self._stops_since is not None:
            line = stopping(tally, now - self._stops_since)
        if line != self._said:
            self.say(line)
        self._said = line

    def stops(self, now: datetime) -> None:
        """Show from now on what is still waited for."""
        self._stops_since = now

    def tell(self, event: Event) -> None:
        """Show what happened."""
        for line in lines_of(event):
            self.say(line)


class Silence(Display):
    """No display at all."""

    def say(self, line: str) -> None:
        """Say nothing."""


class LiveDisplay(Display):
    """A picture that changes in place, with the latest events under it."""

    seconds = 0.5

    def __init__(self, console: Console, name: str) -> None:
        super().__init__(console)
        self._name = name
        self._recent: deque[str] = deque(maxlen=RECENT)
        self._live = Live(console=console, refresh_per_second=4, transient=True)
        self._tally: Tally | None = None
        self._first: tuple[datetime, int] | None = None
        self._now: datetime | None = None
        self._waits = ""  # why nothing is submitted, for as long as that lasts
        self._parked: Sequence[ParkedHost] = ()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Draw while the block runs; afterwards the screen is as it was."""
        with self._live:
            yield

    def say(self, line: str) -> None:
        """Put a line under the picture."""
        self._recent.append(line)
        self._draw()

    def update(self, tally: Tally, now: datetime, parked: Sequence[ParkedHost] = ()) -> None:
        """Draw how the batch stands, and which hosts are kept back."""
        self._first = self._first or (now, tally.done)
        self._tally, self._now = tally, now
        self._parked = [host for host in parked if host.waiting]
        self._draw()

    def tell(self, event: Event) -> None:
        """Show what happened, and, for as long as it lasts, why nothing is submitted."""
        if isinstance(event, Lasting):
            opens = isinstance(event, Timed) and event.phase is Phase.OPEN
            goes_on = opens or isinstance(event, Resumed | CreditsBack)
            self._waits = "" if goes_on else _lasting(event)
            if self._waits:
                self._draw()
                return
        super().tell(event)

    def _draw(self) -> None:
        if self._tally is None or self._now is None or self._first is None:
            return
        width = self._console.width
        recent = [Text(shorten(term_safe(line), width - 2), style="dim") for line in self._recent]
        picture = self._picture(self._tally, self._now - self._first[0], self._first[1])
        self._live.update(Group(picture, *recent))

    def _picture(self, tally: Tally, elapsed: timedelta, done_before: int) -> Group:
        head = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=max(tally.total, 1), completed=tally.done, width=30)
        counts = Text(f"{tally.done}/{tally.total}")
        eta = clock(elapsed) if self._stands(tally) else _eta(tally, elapsed, done_before)
        head.add_row(Text(term_safe(self._name), style="bold"), bar, counts, Text(eta))
        waits = [self._waits] if self._waits else []
        if self._parked:
            waits.append(standing_still(self._parked))
        if self._stops_since is not None and self._now is not None:
            waits.append(stopping(tally, self._now - self._stops_since))
        why = [Text(term_safe(f"‖ {line}"), style="yellow") for line in waits]
        return Group(head, Text("  ").join(_parts(tally)), *why)

    def _stands(self, tally: Tally) -> bool:
        """Say whether nothing is in flight and nothing can be: no rate tells when that ends."""
        kept_back = sum(host.waiting for host in self._parked)
        return not tally.jobs[JobState.RUNNING] and (
            bool(self._waits) or 0 < tally.open <= kept_back
        )


def make_display(name: str, *, quiet: bool) -> Display:
    """Return the display that suits where stderr goes."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if quiet:
        return Silence(console)
    if sys.stderr.isatty() and console.is_terminal and not console.is_dumb_terminal:
        return LiveDisplay(Console(stderr=True, highlight=False), name)
    return Display(console)


def _eta(tally: Tally, elapsed: timedelta, done_before: int) -> str:
    spent = clock(elapsed)
    done = tally.done - done_before
    if done < ENOUGH or not tally.open:
        return spent
    # From this session's rate: what was done before says nothing about how quick it is now.
    return f"{spent}, about {clock(elapsed / done * tally.open)} left"


def clock(span: timedelta) -> str:
    """Return a span of time as a person says it: 8s, 3m 20s, 2h 05m."""
    seconds = round(span.total_seconds())
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m {seconds % 60:02}s"
    return f"{seconds // 3600}h {seconds % 3600 // 60:02}m"


def local(moment: datetime) -> str:
    """Return a moment as the clock on the user's wall shows it."""
    return f"{moment.astimezone():%H:%M:%S}"


def dated(moment: datetime | None) -> str:
    """Return a moment that may be on another day, as the user's wall shows it; "" for none."""
    return f"{moment.astimezone():%a %Y-%m-%d %H:%M:%S %Z}" if moment else ""


def _parts(tally: Tally) -> list[Text]:
    running = tally.jobs[JobState.RUNNING]
    queued = f" ({tally.queued} queued)" if tally.queued else ""
    parts = [
        (f"✔ {tally.jobs[JobState.SUCCEEDED]} succeeded", "green"),
        (f"▶ {running} running{queued}", "cyan" if running else "dim"),
        (f"○ {tally.jobs[JobState.AVAILABLE] - tally.retrying} not started", "dim"),
        (f"↻ {tally.retrying} waiting", "yellow" if tally.retrying else ""),
        (f"✘ {tally.jobs[JobState.FAILED]} failed{_named(tally)}", "red" if tally.failed else ""),
        (f"⊘ {tally.jobs[JobState.CANCELLED]} cancelled", ""),
        (f"? {tally.unsettled} being searched for", "magenta"),
        (f"! {counted(tally.orphans, 'orphan')} cancelled", "magenta"),
        (f"{tally.steps} steps", "dim"),
    ]
    return [
        Text(text, style=style)
        for text, style in parts
        if text.startswith("✔") or text.endswith("steps") or text.split()[1] != "0"
    ]


def _named(tally: Tally) -> str:
    named = [f"{count} {category}" for category, count in sorted(tally.failed.items())]
    return f" ({', '.join(named)})" if named else ""


def summary(tally: Tally) -> str:
    """Return a batch in one line."""
    return f"{tally.done}/{tally.total} done: " + ", ".join(
        part.plain.partition(" ")[2] if part.plain[0] in "✔▶○↻✘⊘?!" else part.plain
        for part in _parts(tally)
    )


def stopping(tally: Tally, since: timedelta) -> str:
    """Return what a runner waits for that was asked to stop, and since how many minutes."""
    doubtful = tally.unsettled
    flying = tally.jobs[JobState.RUNNING] - doubtful
    what = [f"{counted(flying, 'run')} in flight"] if flying > 0 else []
    if doubtful:
        what.append(f"{counted(doubtful, 'run')} that may exist: the API has yet to say")
    minutes = int(since.total_seconds() // 60)
    waited = f"for {counted(minutes, 'minute')} " if minutes else ""
    waits = " and ".join(what) or "the last writes"
    return f"stopping: waits {waited}for {waits} (Ctrl-C again leaves that to the next start)"


# ---- events as lines ----


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
            return _lasting(event)


def _lasting(event: Lasting) -> str:
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


def parked_line(host: ParkedHost) -> str:
    """Return that a host is kept back, since when and why, and when it is tried again."""
    probes = f", {counted(host.probes, 'probe')} failed" if host.probes else ""
    return (
        f"{host.host} is parked since {local(host.since)}: {host.failures} failures in a row"
        f"{probes}; {_waiting(host.waiting)}, the next probe is at {local(host.probe_at)}"
    )


def standing_still(hosts: Sequence[ParkedHost]) -> str:
    """Return in one short line which hosts are parked: the one that is tried next, and how many."""
    first = min(hosts, key=lambda host: host.probe_at)
    waits = _waiting(sum(host.waiting for host in hosts))
    others = f" (+{counted(len(hosts) - 1, 'host')})" if len(hosts) > 1 else ""
    return f"{first.host} is parked until {local(first.probe_at)}, {waits}{others}"


def _waiting(jobs: int) -> str:
    return f"{counted(jobs, 'job')} wait{'s' if jobs == 1 else ''}"


def paused(pause: Pause) -> str:
    """Return that a batch is paused, since when and why, and what ends that."""
    why = f": {pause.reason}" if pause.reason else ""
    return f"paused since {local(pause.since)}{why} (batchrunner resume lets it go on)"


def held(hold: Hold) -> str:
    """Return since when and why there are no credits, and when that is checked again."""
    again = f"checked again at {local(hold.check_at)}"
    return f"no credits since {local(hold.since)}: {hold.why} ({again}, nothing fails meanwhile)"


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


def counted(count: int, thing: str) -> str:
    """Return so many things, with an s where it belongs."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
