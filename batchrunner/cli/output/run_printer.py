"""Prints what a run does while it does it: steps, live view, status."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from batchrunner.cli.output.event_text import event_lines
from batchrunner.cli.output.run_help_text import run_help_texts
from batchrunner.cli.output.run_text import step_line
from batchrunner.text.terminal import term_safe

if TYPE_CHECKING:
    from batchrunner.model import Failed, RunStatus
    from batchrunner.runner.events import Event
    from batchrunner.tinyfish.console_views import Step
    from batchrunner.tinyfish.event_stream import StreamEvent


class RunPrinter:
    """Prints what polls of a run bring."""

    def status_changed(self, run_id: str, status: RunStatus) -> None:
        """Print a new status."""
        click.echo(term_safe(f"run {run_id} is {status}"))

    def live_view_opened(self, address: str) -> None:
        """Print where the run's browser can be watched."""
        click.echo(term_safe(f"live view, while it runs: {address}"))

    def step_done(self, number: int, step: Step) -> None:
        """Print a step."""
        click.echo(step_line(number, step))

    def poll_failed(self, failure: Failed) -> None:
        """Print that the run is polled again."""
        click.echo(term_safe(f"the run could not be polled: {failure.message}; polling again"))


class OneRunPrinter:
    """Prints what the stream of a new run brings; what the runner reports goes to stderr."""

    def waiting(self, line: str) -> None:
        """Print why nothing has begun yet."""
        click.echo(line, err=True)

    def runner_event(self, event: Event) -> None:
        """Print what the runner reports while no run is known."""
        for line in event_lines(event):
            click.echo(term_safe(line), err=True)

    def run_event(self, event: StreamEvent, *, is_first: bool) -> None:
        """Print what the run does."""
        if is_first:
            click.echo(term_safe(f"run {event.run_id} has begun"))
        if event.address is not None:
            click.echo(term_safe(f"live view, while it runs: {event.address}"))
        if event.kind == "PROGRESS" and event.says is not None:
            click.echo(term_safe(f"  {event.says}"))
        for label, text in run_help_texts(event.help):
            click.echo(term_safe(f"{label}: {text}"))
