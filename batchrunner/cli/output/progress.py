"""The live progress display of a terminal, and its plain-text form elsewhere."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from batchrunner.app.run_observer import CountsRead, Notice, RunEvent, StopRequested
from batchrunner.cli.output.event_text import Lasting, event_lines, is_outage, lasting_lines
from batchrunner.cli.output.status_text import parts, standing_still, stopping, summary
from batchrunner.cli.standard_streams import styled_stderr
from batchrunner.model import BatchCounts, JobState, ParkedHost
from batchrunner.policy.schedule import Phase
from batchrunner.runner.events import BatchResumed, CreditsBack, Event, ScheduleChanged
from batchrunner.text.format import clock
from batchrunner.text.terminal import shorten, term_safe

#: Lines about the latest events, under the picture.
RECENT_LINES = 6
#: Jobs that must be done in this session before the rest is estimated.
MIN_DONE_FOR_ETA = 3


class Display:
    """What the user sees of a batch while it runs."""

    count_seconds: float = 10.0  #: between two updates

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: str | None = None
        self._stops_since: datetime | None = None
        self._has_failed = False
        self._advised = False  # of what to do while the API cannot be reached

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show it while the block runs."""
        yield

    def notify(self, event: RunEvent) -> None:
        """Show what happened; a display that fails shows nothing more, and stops no runner."""
        if self._has_failed:
            return
        try:
            self._show(event)
        except Exception:
            self._has_failed = True

    def _show(self, event: RunEvent) -> None:
        match event:
            case CountsRead(counts=counts, at=at, parked=parked):
                self.update(counts, at, parked)
            case Notice(text=text):
                self.say(text)
            case StopRequested(at=at):
                self.say("stopping: nothing more is submitted; waiting for runs in flight")
                self.say("runs that have not started are cancelled, and their jobs stay available")
                self.say("Ctrl-C again leaves at once: they go on, the next start adopts them")
                self.stops(at)
            case _:
                self.show_event(event)

    def say(self, line: str) -> None:
        """Show a sentence."""
        self._console.print(Text(term_safe(line)))

    def update(self, counts: BatchCounts, now: datetime, parked: Sequence[ParkedHost] = ()) -> None:
        """Show the batch in numbers where they changed; at the start, hosts that are parked."""
        if self._said is None and parked:
            self.say(standing_still(parked))
        line = summary(counts)
        if self._stops_since is not None:
            line = stopping(counts, now - self._stops_since)
        if line != self._said:
            self.say(line)
        self._said = line

    def stops(self, now: datetime) -> None:
        """Show from now on what the runner waits for."""
        self._stops_since = now

    def show_event(self, event: Event) -> None:
        """Show what happened."""
        for line in event_lines(event):
            self.say(line)
        if not self._advised and is_outage(event):
            self._advised = True
            self.say("batchrunner doctor checks the network, the address and the key")


class QuietDisplay(Display):
    """No display at all."""

    def say(self, line: str) -> None:
        """Show nothing."""


class LiveDisplay(Display):
    """A picture that changes in place, with the latest events under it."""

    count_seconds = 0.5

    def __init__(self, console: Console, name: str) -> None:
        super().__init__(console)
        self._name = name
        self._recent: deque[str] = deque(maxlen=RECENT_LINES)
        self._live = Live(console=console, refresh_per_second=4, transient=True)
        self._counts: BatchCounts | None = None
        self._first: tuple[datetime, int] | None = None
        self._now: datetime | None = None
        self._waits = ""  # why nothing is submitted, for as long as that lasts
        self._parked: Sequence[ParkedHost] = ()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Draw while the block runs; afterwards the screen is as it was."""
        with suppress(Exception):
            self._live.start()
        try:
            yield
        finally:
            with suppress(Exception):
                self._live.stop()

    def say(self, line: str) -> None:
        """Put a line under the picture; before there is one, above it."""
        if self._counts is None:
            super().say(line)
            return
        self._recent.append(line)
        self._draw()

    def update(self, counts: BatchCounts, now: datetime, parked: Sequence[ParkedHost] = ()) -> None:
        """Draw the batch in numbers, and the hosts that are held back."""
        self._first = self._first or (now, counts.done)
        self._counts, self._now = counts, now
        self._parked = [host for host in parked if host.waiting]
        self._draw()

    def show_event(self, event: Event) -> None:
        """Show what happened, and, for as long as it lasts, why nothing is submitted."""
        if isinstance(event, Lasting):
            opens = isinstance(event, ScheduleChanged) and event.phase is Phase.OPEN
            goes_on = opens or isinstance(event, BatchResumed | CreditsBack)
            self._waits = "" if goes_on else lasting_lines(event)
            if self._waits:
                self._draw()
                return
        super().show_event(event)

    def _draw(self) -> None:
        if self._counts is None or self._now is None or self._first is None:
            return
        width = self._console.width
        recent = [Text(shorten(term_safe(line), width - 2), style="dim") for line in self._recent]
        picture = self._picture(self._counts, self._now - self._first[0], self._first[1])
        self._live.update(Group(picture, *recent))

    def _picture(self, counts: BatchCounts, elapsed: timedelta, done_before: int) -> Group:
        head = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=max(counts.total, 1), completed=counts.done, width=30)
        done = Text(f"{counts.done}/{counts.total}")
        eta = clock(elapsed) if self._stands(counts) else _eta(counts, elapsed, done_before)
        head.add_row(Text(term_safe(self._name), style="bold"), bar, done, Text(eta))
        waits = [self._waits] if self._waits else []
        if self._parked:
            waits.append(standing_still(self._parked))
        if self._stops_since is not None and self._now is not None:
            waits.append(stopping(counts, self._now - self._stops_since))
        why = [Text(term_safe(f"‖ {line}"), style="yellow") for line in waits]
        said = [Text(text, style=style) for text, style in parts(counts)]
        return Group(head, Text("  ").join(said), *why)

    def _stands(self, counts: BatchCounts) -> bool:
        """Return whether nothing is in flight and nothing can be: no rate can be estimated."""
        kept_back = sum(host.waiting for host in self._parked)
        return not counts.jobs[JobState.RUNNING] and (
            bool(self._waits) or 0 < counts.open <= kept_back
        )


def make_display(name: str, *, quiet: bool) -> Display:
    """Return the display that suits where stderr goes."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if quiet:
        return QuietDisplay(console)
    if sys.stderr.isatty() and console.is_terminal and not console.is_dumb_terminal:
        return LiveDisplay(Console(file=styled_stderr(), highlight=False), name)
    return Display(console)


def _eta(counts: BatchCounts, elapsed: timedelta, done_before: int) -> str:
    spent = clock(elapsed)
    done = counts.done - done_before
    if done < MIN_DONE_FOR_ETA or not counts.open:
        return spent
    # From this session's rate: an earlier one says nothing about the present speed.
    return f"{spent}, about {clock(elapsed / done * counts.open)} left"
