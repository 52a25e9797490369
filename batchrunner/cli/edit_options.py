"""The options that decide what a load does where the file has changed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from batchrunner.app.rerun import RerunChoice
    from batchrunner.model.comparison import EditDecision

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True, slots=True)
class EditOptions:
    """What the user decided about an edit, and which jobs are to be run again."""

    decision: EditDecision
    rerun: RerunChoice


_RERUN = click.option(
    "--rerun",
    metavar="WHICH",
    multiple=True,
    help="Run finished jobs again: `changed`, `all`, `suspect`, 'older-than 7d', or an id; may be "
    "given more than once.",
)
_KEEP = click.option(
    "--keep",
    type=click.Choice(["changed"]),
    help="Keep the results of finished jobs that the file changes.",
)
_WITHDRAW = click.option(
    "--withdraw/--append",
    default=None,
    help="Withdraw jobs that FILE has no longer, however many; or only add jobs.",
)


def edit_options(command: F) -> F:
    """Add the options; the command receives them as one value `edits`."""

    @functools.wraps(command)
    def with_edits(*args: Any, **given: Any) -> Any:
        return command(*args, edits=_options(given), **given)

    decorated: Any = with_edits
    for option in (_WITHDRAW, _KEEP, _RERUN):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]


def _options(given: dict[str, Any]) -> EditOptions:
    from batchrunner.app.rerun import rerun_choice
    from batchrunner.errors import UsageError
    from batchrunner.model.comparison import EditDecision

    rerun, keep, withdraw = (given.pop(name) for name in ("rerun", "keep", "withdraw"))
    choice = rerun_choice(rerun)
    if choice.changed and keep:
        raise UsageError(
            "--rerun changed and --keep changed say the opposite", next="give one of them"
        )
    decision = EditDecision(withdraw=withdraw)
    if choice.changed or choice.all or keep:
        # All jobs run again as the file says now, also those that were kept once.
        decision = replace(decision, run_changed=not keep)
    return EditOptions(decision=decision, rerun=choice)
