"""Follows one run at a terminal by looking at it: what it does, where to see it, how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import click

from batchrunner.classify import classify, classify_fault
from batchrunner.cli.output.run_text import run_lines, step_line
from batchrunner.model import ApiError, Succeeded
from batchrunner.model.categories import CATEGORIES
from batchrunner.text.terminal import term_safe
from batchrunner.tinyfish.console_views import RunDetails

if TYPE_CHECKING:
    from batchrunner.tinyfish.console_client import ConsoleClient

#: Seconds between two looks, for the first of them and for all that follow.
FIRST_LOOKS, SHORT, LONG = 30, 2.0, 10.0


class Follower:
    """Tells of a run only what it has not told before."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet  # of what a stream has told already
        self._steps = 0
        self._said: set[str] = set()

    async def follow(self, reader: ConsoleClient, run_id: str) -> RunDetails:
        """
        Look at a run until it is over, telling what is new; return how it ended.

        A look that fails because the API is away or busy is made again: it says nothing of the run.

        Raises:
            ApiError: The API does not know the run, or does not take the key.
        """
        looks = 0
        while True:
            shown = await self._look(reader, run_id)
            if shown is not None:
                self._tell(shown)
                if shown.run.status.is_final:
                    return shown
            await anyio.sleep(SHORT if looks < FIRST_LOOKS else LONG)
            looks += 1

    async def _look(self, reader: ConsoleClient, run_id: str) -> RunDetails | None:
        try:
            return await reader.show(run_id)
        except ApiError as error:
            failure = classify_fault(error.fault)
            passing = CATEGORIES[failure.category].passes_by_itself
            if not passing or error.fault.status == 404:
                raise
            self.say(f"no look at the run: {failure.message}; looking again")
            return None

    def _tell(self, shown: RunDetails) -> None:
        if self._quiet:
            return
        self.say(f"run {shown.run.run_id} is {shown.run.status}")
        if shown.run.streaming_url and not shown.run.status.is_final:
            self.say(f"live view, while it runs: {shown.run.streaming_url}")
        for number, step in list(enumerate(shown.steps, 1))[self._steps :]:
            click.echo(step_line(number, step))
        self._steps = max(self._steps, len(shown.steps))

    def say(self, line: str) -> None:
        """Say something, once."""
        if line not in self._said:
            self._said.add(line)
            click.echo(term_safe(line))


def conclude(shown: RunDetails, *, steps: bool) -> bool:
    """Show how a run ended; whether it brought something that is no failure by its own words."""
    for line in run_lines(shown, steps=steps):
        click.echo(line)
    return isinstance(classify(shown.run), Succeeded)
