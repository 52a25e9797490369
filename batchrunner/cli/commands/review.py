"""`batchrunner review`: a person looks at results, and the judge learns from it."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchrunner.cli.options import batch_of, db_option, help_option, json_option, note, opened
from batchrunner.errors import UsageError
from batchrunner.text.format import counted

if TYPE_CHECKING:
    from batchrunner.model import Batch
    from batchrunner.store.store import Store

_ACCEPT, _REJECT, _QUIT = ("a", "accept"), ("r", "reject"), ("q", "quit")
#: How far these words go on.
_STEPS = {"s": 1, "skip": 1, "b": -1, "back": -1}


@click.command("review")
@click.argument("batch", required=False)
@click.option(
    "--sample",
    type=click.IntRange(min=0),
    metavar="N",
    default=10,
    show_default=True,
    help="Results to show beside all suspect ones.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Another one, another sample.")
@click.option(
    "--accept",
    "accepted",
    multiple=True,
    metavar="ID",
    help="Accept the result of this job without a question; may be given more than once.",
)
@click.option(
    "--reject", "rejected", multiple=True, metavar="ID", help="Reject it; in the same way."
)
@click.option(
    "--because", default="", metavar="TEXT", help="Why; it may begin with the field that is wrong."
)
@click.option(
    "--undo", "undone", multiple=True, metavar="ID", help="Take back what was said of this job."
)
@click.option(
    "--write",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write what was learned to a file for `judge --expect`.",
)
@db_option
@json_option
@help_option
def command(
    batch: str | None,
    sample: int,
    seed: int,
    accepted: tuple[str, ...],
    rejected: tuple[str, ...],
    because: str,
    undone: tuple[str, ...],
    target: Path | None,
    db: str,
    as_json: bool,
) -> None:
    """
    Show suspect results of BATCH and a sample of the others, one by one: accept or reject each.

    Keys are read line by line. `a` accepts: what the rules found counts no longer, in this job and
    in later editions. `r` rejects: the job fails as invalid_result, and runs again only when you
    say so. `r price` names the field that is wrong. Each word is written at once; the same command
    goes on where you stopped. What follows for the job file is printed at the end. Nothing costs.

    With --json, print what would be shown.

    \b
    Examples:
      batchrunner review example
      batchrunner review example --sample 30 --write expect.yaml
      batchrunner review example --reject lamp --because 'price: it is null'
      batchrunner review example --undo lamp
    """
    if because and not rejected:
        raise click.UsageError("--because goes with --reject")
    with opened(db) as store:
        found = batch_of(store, batch)
        said = _say(store, found, accepted, rejected, because, undone)
        name = _name(found, db)
        if as_json:
            _print_json(store, found, sample, seed, said, target)
            return
        if not said:
            _ask(store, found, sample, seed)
        _finish(store, found, name, target)


def _name(batch: Batch, db: str) -> str:
    from batchrunner.cli.output.batch_text import db_given

    return shlex.quote(batch.name) + db_given(db)


def _say(
    store: Store,
    batch: Batch,
    accepted: Sequence[str],
    rejected: Sequence[str],
    because: str,
    undone: Sequence[str],
) -> dict[str, int]:
    """Do what options say; return how many results each has changed."""
    from batchrunner.app.review import accept, reject, take_back

    said = {}
    if undone:
        said["undone"] = take_back(store, batch, undone)
    if accepted:
        said["accepted"] = accept(store, batch, accepted)
    if rejected:
        said["rejected"] = reject(store, batch, rejected, because)
    for word, count in said.items():
        note(f"{counted(count, 'result')} {word}")
    return said


def _ask(store: Store, batch: Batch, sample: int, seed: int) -> None:
    """Show the results one by one, and do what each line of standard input says."""
    from batchrunner.app.review import review_rows
    from batchrunner.cli.output.review_text import KEYS, row_lines

    rows = review_rows(store, batch, sample=sample, seed=seed)
    if rows.reviewed:
        note(f"{counted(rows.reviewed, 'result')} reviewed before")
    if not len(rows):
        note(f"nothing left to review of {batch.name!r}")
        return
    note(KEYS)
    lines, place = iter(sys.stdin), 0
    while place < len(rows):
        row = rows[place]
        for line in row_lines(row, place + 1, len(rows)):
            click.echo(line)
        step = _answer(store, batch, row.job.key, lines)
        if step is None:
            note(f"stopped at {place + 1} of {len(rows)}; the same command goes on")
            return
        place = max(0, place + step)


def _answer(store: Store, batch: Batch, key: str, lines: Iterator[str]) -> int | None:
    """Do what the next line says that is an answer; return how far to go on, None: to the end."""
    from batchrunner.app.review import accept, reject
    from batchrunner.cli.output.review_text import KEYS

    while True:
        click.echo("? ", nl=False, err=True)
        word, _, rest = next(lines, "q").strip().partition(" ")
        answer = word.lower()
        if answer in _QUIT:
            return None
        if answer in _STEPS:
            return _STEPS[answer]
        if answer in _ACCEPT or answer in _REJECT:
            try:
                if answer in _ACCEPT:
                    accept(store, batch, [key])
                else:
                    reject(store, batch, [key], rest.strip())
            except UsageError as error:  # it has changed since it was shown, or the reason is long
                note(str(error))
            return 1
        note(KEYS)


def _finish(store: Store, batch: Batch, name: str, target: Path | None) -> None:
    from batchrunner.app.review_rules import learned_rules, write_learned_rules
    from batchrunner.cli.output.review_text import learned_lines

    learned = learned_rules(store, batch)
    for line in learned_lines(learned, name):
        click.echo(line)
    if target is not None:
        write_learned_rules(learned, target)
        note(f"written to {target}")


def _print_json(
    store: Store,
    batch: Batch,
    sample: int,
    seed: int,
    said: dict[str, Any],
    target: Path | None,
) -> None:
    from batchrunner.app.review import review_rows
    from batchrunner.app.review_rules import learned_rules, write_learned_rules
    from batchrunner.cli.output.review_text import learned_as_json, row_json

    rows = review_rows(store, batch, sample=sample, seed=seed)
    learned = learned_rules(store, batch)
    shown = {
        "batch": batch.name,
        "changed": said,
        "reviewed": rows.reviewed,
        "learned": learned_as_json(learned),
    }
    # Row by row: all suspect results of a batch may not fit into memory.
    click.echo(f'{json.dumps(shown)[:-1]}, "rows": [', nl=False)
    for number, row in enumerate(rows):
        click.echo(f"{', ' if number else ''}{row_json(row)}", nl=False)
    click.echo("]}")
    if target is not None:
        write_learned_rules(learned, target)
