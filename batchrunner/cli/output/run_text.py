"""A run of the API as lines for a terminal: everything that the API said of it, made safe."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from batchrunner.classify import MAX_MESSAGE_LENGTH, classify, shortened
from batchrunner.cli.output.run_help_text import run_help_texts
from batchrunner.model import Failed, Run, RunError, marker_in
from batchrunner.model.marker_removal import unmarked_run, without_marker
from batchrunner.text.format import clock, dated
from batchrunner.text.terminal import shorten, term_safe
from batchrunner.tinyfish.console_views import RunDetails, Step
from batchrunner.tinyfish.raw_json import parsed

#: Columns of a goal in a list.
GOAL_WIDTH = 60
_LABEL = 16
#: Longest result that is shown, in characters.
MAX_RESULT_LENGTH = 1_000_000
#: Members that have a line of their own; all others are shown as they stand.
_OWN_LINE = frozenset(
    {
        "run_id",
        "status",
        "goal",
        "created_at",
        "started_at",
        "finished_at",
        "num_of_steps",
        "error",
        "streaming_url",
        "video_url",
        "help_url",
        "help_message",
        "profile_hint",
    }
)


def list_line(shown: RunDetails) -> str:
    """Return a run as one line of a list."""
    run = shown.run
    steps = "" if run.steps is None else f"{run.steps} steps"
    goal = shorten(term_safe(run.goal or ""), GOAL_WIDTH)
    at = f"{run.created_at.astimezone():%Y-%m-%d %H:%M:%S}" if run.created_at else ""
    return f"{term_safe(run.run_id)}  {run.status:<9}  {at:<19}  {steps:>9}  {goal}".rstrip()


def run_lines(shown: RunDetails, *, steps: bool = True) -> Iterator[str]:
    """Give what is known of a run, line by line; a terminal may print each as it is."""
    run, more = shown.run, shown.more
    yield f"run {term_safe(run.run_id)}  {run.status}"
    yield from _line("goal", run.goal)
    yield from _line("means", _meaning(run))
    for label, moment in (
        ("created", run.created_at),
        ("started", run.started_at),
        ("finished", run.finished_at),
    ):
        yield from _line(label, dated(moment))
    yield from _line("took", _span(run.started_at, run.finished_at))
    yield from _line("steps", None if run.steps is None else str(run.steps))
    if run.error is not None:
        yield from _error_lines(run.error)
    for label, text in run_help_texts(run.help):
        yield from _line(label, text)
    yield from _line("live view", run.streaming_url)
    yield from _line("video", more.get("video_url"))
    for name, value in more.items():
        if name not in _OWN_LINE and value is not None:
            yield from _line(name, value if isinstance(value, str) else json.dumps(value))
    yield from _result_lines(run)
    if steps:
        yield from _steps_lines(shown.steps)


def step_line(number: int, step: Step) -> str:
    """Return one step as a line."""
    said = [step.duration or "", step.action or "(no action given)"]
    odd = "" if step.status in (None, "COMPLETED") else f"  [{step.status}]"
    return term_safe(f"{number:>4}  {said[0]:>6}  {said[1]}{odd}")


def _line(label: str, value: Any) -> Iterator[str]:
    if value not in (None, ""):
        text = term_safe(shortened(str(value), MAX_MESSAGE_LENGTH))
        yield f"  {term_safe(shortened(label, GOAL_WIDTH)):<{_LABEL}} {text}"


def _meaning(run: Run) -> str | None:
    """Say what the run brought: COMPLETED is no success by itself."""
    outcome = classify(unmarked_run(run, marker_in(run.goal)))
    if isinstance(outcome, Failed):
        return f"{outcome.category}: {outcome.message}"
    return None if outcome is None else "its result is no failure by its own words"


def _span(start: datetime | None, end: datetime | None) -> str | None:
    return clock(end - start) if start and end and end >= start else None


def _error_lines(error: RunError) -> Iterator[str]:
    named = " ".join(part for part in (error.category, error.code) if part)
    yield from _line("error", f"{named}: {error.message}" if named else error.message)
    if error.retry_after is not None:
        yield from _line("retry after", clock(error.retry_after))


def _result_lines(run: Run) -> Iterator[str]:
    if run.result is None:
        return
    if len(run.result) > MAX_RESULT_LENGTH:
        size = f"{len(run.result) / 1e6:.1f} MB"
        yield from _line("result", f"{size}, too long to be shown here; --json prints all of it")
        return
    yield "  result"
    result = without_marker(run.result, marker_in(run.goal)) or ""
    value = parsed(result)
    # What no parser takes is shown as it was sent.
    text = result if value is None else json.dumps(value, indent=2, ensure_ascii=False)
    for line in text.splitlines():
        yield f"    {term_safe(line)}"


def _steps_lines(steps: tuple[Step, ...]) -> Iterator[str]:
    if steps:
        yield "  steps"
    for number, step in enumerate(steps, 1):
        yield step_line(number, step)
        for address in (step.screenshot, step.html):
            if address:
                yield f"              {term_safe(address)}"
