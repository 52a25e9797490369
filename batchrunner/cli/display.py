"""Shows a batch at work: a live picture on a terminal, plain lines elsewhere."""

from __future__ import annotations

import re
import sys
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from batchrunner.cli.terminal import shorten, term_safe
from batchrunner.model import (
    Failed,
    Finish,
    JobState,
    Pause,
    Postpone,
    Retry,
    Tally,
    Verdict,
)
from batchrunner.policy.windows import Phase, Window
from batchrunner.runner.events import (
    Event,
    Held,
    Judged,
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
)

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

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show it while the block runs."""
        yield

    def say(self, line: str) -> None:
        """Tell the user something."""
        self._console.print(Text(term_safe(line)))

    def update(self, tally: Tally, now: datetime) -> None:
        """Show how the batch stands, if that has changed."""
        line = summary(tally)
        if line != self._said:
            self.say(line)
        self._said = line

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

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Draw while the block runs; afterwards the screen is as it was."""
        with self._live:
            yield

    def say(self, line: str) -> None:
        """Put a line under the picture."""
        self._recent.append(line)
        self._draw()

    def update(self, tally: Tally, now: datetime) -> None:
        """Draw how the batch stands."""
        self._first = self._first or (now, tally.done)
        self._tally, self._now = tally, now
        self._draw()

    def tell(self, event: Event) -> None:
        """Show what happened, and, for as long as it lasts, why nothing is submitted."""
        if isinstance(event, Paused | Resumed | Timed):
            goes_on = isinstance(event, Timed) and event.phase is Phase.OPEN
            self._waits = "" if goes_on or isinstance(event, Resumed) else _wait(event)
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
        eta = _eta(tally, elapsed, done_before)
        head.add_row(Text(term_safe(self._name), style="bold"), bar, counts, Text(eta))
        why = [Text(term_safe(f"‖ {self._waits}"), style="yellow")] if self._waits else []
        return Group(head, Text("  ").join(_parts(tally)), *why)


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
            yield f"searching for {_runs(runs)} that may exist: {why}"
        case Strayed(adopted=adopted, orphans=orphans):
            yield (
                f"{_runs(adopted + orphans)} turned up late: {adopted} adopted, {orphans} cancelled"
            )
        case Stalled() | Slept() | Held() | Paused() | Resumed() | Timed():
            yield _wait(event)
        case Recalled(runs=runs):
            yield f"cancelling {_runs(runs)} for the deadline: their jobs are available again"
        case Judged(verdicts=verdicts):
            yield from _verdict_lines(verdicts)


def _wait(event: Stalled | Slept | Held | Paused | Resumed | Timed) -> str:
    match event:
        case Stalled(why=why):
            return f"waiting for the database: {why}"
        case Slept(seconds=seconds):
            return f"this machine slept for {seconds:.0f} s, or its clock was set forward"
        case Held(until=until, failure=failure):
            return f"waiting until {local(until)}: {_reason(failure)}"
        case Paused(pause=pause):
            return paused(pause)
        case Resumed():
            return "resumed"
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


def paused(pause: Pause) -> str:
    """Return that a batch is paused, since when and why, and what ends that."""
    why = f": {pause.reason}" if pause.reason else ""
    return f"paused since {local(pause.since)}{why} (batchrunner resume lets it go on)"


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
    return f"{failure.category}: {failure.message}"


def _runs(count: int) -> str:
    return counted(count, "run")


def counted(count: int, thing: str) -> str:
    """Return so many things, with an s where it belongs."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
