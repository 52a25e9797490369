"""What is asked on a terminal before a large edit, and what is printed elsewhere."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner, Result

from batchrunner.app.follow_edit import edit_lines, guard_line
from batchrunner.cli.edit_options import EditOptions, edit_options
from batchrunner.cli.edit_questions import ask, with_commands
from batchrunner.cli.output.exit_text import continue_command
from batchrunner.errors import EditNeedsDecision
from batchrunner.model import Batch, Settings
from batchrunner.model.comparison import (
    UNDECIDED,
    Comparison,
    EditDecision,
    FieldChange,
    Guard,
)

BOTH = Comparison(
    batch="prices",
    total=200,
    changed=90,
    changed_final=60,
    fields={"goal": FieldChange(jobs=90, final=60), "use_vault": FieldChange(jobs=2)},
    withdrawn=40,
    withdrawn_final=30,
    withdrawn_in_flight=2,
    steps_before=420,
)


def undecided(*guards: Guard) -> EditNeedsDecision:
    return EditNeedsDecision("an edit", comparison=BOTH, guards=guards)


def answered(text: str, *guards: Guard) -> tuple[Result, list[EditDecision]]:
    found: list[EditDecision] = []
    command = click.Command(
        "load", callback=lambda: found.append(ask(undecided(*guards), UNDECIDED))
    )
    return CliRunner().invoke(command, input=text), found


@pytest.mark.parametrize(
    ("text", "guards", "decision"),
    [
        ("rerun\n", (Guard.CHANGED,), EditDecision(run_changed=True)),
        ("keep\n", (Guard.CHANGED,), EditDecision(run_changed=False)),
        ("withdraw\n", (Guard.WITHDRAWN,), EditDecision(withdraw=True)),
        ("nonsense\nappend\n", (Guard.WITHDRAWN,), EditDecision(withdraw=False)),
        (
            "keep\nwithdraw\n",
            (Guard.CHANGED, Guard.WITHDRAWN),
            EditDecision(run_changed=False, withdraw=True),
        ),
    ],
)
def test_an_answer_is_a_decision(
    text: str, guards: tuple[Guard, ...], decision: EditDecision
) -> None:
    result, found = answered(text, *guards)
    assert found == [decision]
    assert "they cost 420 steps before" in result.stderr or Guard.CHANGED not in guards
    assert result.stdout == ""


@pytest.mark.parametrize("text", ["\n", "stop\n", ""])
def test_without_an_answer_nothing_is_decided(text: str) -> None:
    result, found = answered(text, Guard.CHANGED)
    assert found == []
    assert result.exit_code != 0


def test_elsewhere_the_commands_that_continue_are_shown() -> None:
    args = ["run", "my prices.csv", "--url-column", "link"]
    error = with_commands(undecided(Guard.CHANGED, Guard.WITHDRAWN), args)
    commands = [line.split("   #")[0].strip() for line in error.next.splitlines()]
    start = "batchrunner run 'my prices.csv' --url-column link"
    assert commands == [
        f"{start} --rerun changed --withdraw",
        f"{start} --rerun changed --append",
        f"{start} --keep changed --withdraw",
        f"{start} --keep changed --append",
    ]


def test_what_an_edit_does_is_said_by_number_field_and_cost() -> None:
    assert guard_line(BOTH, Guard.CHANGED) == (
        "this edit would buy 60 finished jobs again (goal, use_vault of 2); "
        "they cost 420 steps before"
    )
    assert edit_lines(BOTH) == [
        "90 changed (goal, use_vault of 2): 60 of them finished, which run again; "
        "they cost 420 steps before",
        "40 withdrawn, no longer in the file: 30 finished, out of the export, "
        "2 in flight, whose runs end and are kept, 8 cancelled",
    ]


def test_the_command_that_goes_on_never_runs_finished_jobs_once_more() -> None:
    batch = Batch(id=1, name="prices", settings=Settings(), api_origin=None)
    args = ["run", "prices.csv", "--rerun", "all", "--rerun=older-than 7d", "-q"]
    assert continue_command(batch, None, args, "batchrunner.db") == (
        "batchrunner run prices.csv -q"
    )


@pytest.mark.parametrize(
    ("given", "decided"),
    [
        (["--rerun", "all"], True),
        (["--rerun", "changed"], True),
        (["--rerun", "all", "--keep", "changed"], False),
        (["--keep", "changed"], False),
        (["--rerun", "older-than 7d"], None),
    ],
)
def test_all_jobs_run_again_as_the_file_says_now(given: list[str], decided: bool | None) -> None:
    found: list[EditOptions] = []

    @click.command()
    @edit_options
    def load(edits: EditOptions) -> None:
        found.append(edits)

    CliRunner().invoke(load, given, catch_exceptions=False)
    assert found[0].decision.run_changed is decided
