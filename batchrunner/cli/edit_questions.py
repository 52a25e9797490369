"""Asks on a terminal what to do with a large edit; elsewhere, names the commands that continue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import click

from batchrunner.app.follow_edit import guard_line
from batchrunner.cli.options import note
from batchrunner.cli.output.batch_text import same_command
from batchrunner.errors import EditNeedsDecision
from batchrunner.model.comparison import EditDecision, Guard

#: What decides a guard: to go on with the edit, or to keep what there is.
_ANSWERS = {
    Guard.CHANGED: (("--rerun", "changed"), ("--keep", "changed")),
    Guard.WITHDRAWN: (("--withdraw",), ("--append",)),
}
_MEANINGS = {
    ("--rerun", "changed"): "run them again",
    ("--keep", "changed"): "keep their results",
    ("--withdraw",): "withdraw them",
    ("--append",): "only add what is new",
}
_QUESTIONS = {
    Guard.CHANGED: "Run them again, or keep their results?",
    Guard.WITHDRAWN: "Withdraw them, or only add what is new?",
}
_WORDS = {Guard.CHANGED: ("rerun", "keep"), Guard.WITHDRAWN: ("withdraw", "append")}
STOP = "stop"


def with_commands(undecided: EditNeedsDecision, args: Sequence[str]) -> EditNeedsDecision:
    """Return the error with the commands that continue after a command with these arguments."""
    lines = commands_that_decide(undecided.guards, args)
    return EditNeedsDecision(
        f"{undecided.what}; nothing was changed",
        comparison=undecided.comparison,
        guards=undecided.guards,
        next="\n       ".join(lines),
        why=undecided.why,
    )


def commands_that_decide(guards: Sequence[Guard], args: Sequence[str]) -> list[str]:
    """Return a command with these arguments for each decision, and what it does."""
    lines = []
    for answers in product(*(_ANSWERS[guard] for guard in guards)):
        meaning = ", ".join(_MEANINGS[answer] for answer in answers)
        command = same_command([*args, *(word for answer in answers for word in answer)])
        lines.append(f"{command}   # {meaning}")
    return lines


def ask(undecided: EditNeedsDecision, decision: EditDecision) -> EditDecision:
    """Return the decision with the answers of the person at the terminal; they may also stop."""
    for guard in undecided.guards:
        note(guard_line(undecided.comparison, guard))
        words = (*_WORDS[guard], STOP)
        answer = click.prompt(
            _QUESTIONS[guard], type=click.Choice(words), default=STOP, err=True, show_choices=True
        )
        if answer == STOP:
            raise click.Abort
        goes_on = answer == words[0]
        if guard is Guard.CHANGED:
            decision = replace(decision, run_changed=goes_on)
        else:
            decision = replace(decision, withdraw=goes_on)
    return decision
