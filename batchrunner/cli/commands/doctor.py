"""`batchrunner doctor`: check whether the machine, the database and the account are ready."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from batchrunner.cli.exit_codes import ALL_SUCCEEDED, CANNOT_GO_ON
from batchrunner.cli.options import help_option, json_option, key_option, new_db_option, url_option
from batchrunner.cli.standard_streams import styled_stdout

if TYPE_CHECKING:
    from batchrunner.app.doctor import Finding, Parts
    from batchrunner.store.disk_usage import DiskUsage

#: Columns before the text of a finding.
INDENT = 4
#: Mark → its sign and its colour.
SIGN_BY_MARK = {"ok": ("✔", "green"), "warning": ("!", "yellow"), "bad": ("✘", "red")}


@click.command("doctor")
@url_option
@key_option
@new_db_option
@click.option(
    "--recount", is_flag=True, help="Count batches again whose numbers differ from their jobs."
)
@json_option
@help_option
def command(
    api_url: str | None, api_key_file: str | None, db: str, recount: bool, as_json: bool
) -> None:
    """
    Check whether this machine, the database and the account are ready for a long batch.

    It says what the database takes on disk, per queued and per finished job, and what can be
    removed. It costs nothing, and changes nothing without --recount. If there is a key, it reads
    one run from the API. Each problem comes with a command that fixes it. The exit code is 3 if
    anything is bad, else 0.

    \b
    Examples:
      batchrunner doctor
      batchrunner doctor --db prices.db --json
      batchrunner doctor --recount
    """
    from batchrunner.app.doctor import Mark, findings, summary
    from batchrunner.app.doctor.collect import collect
    from batchrunner.cli.output.batch_text import db_given

    facts = collect(db, api_url, api_key_file, db_option=db_given(db), recount=recount)
    parts = findings(facts)
    overall = summary(parts)
    if as_json:
        usage = facts.store.usage if facts.store else None
        click.echo(json.dumps(_as_json(parts, usage, fit=overall.mark is not Mark.BAD)))
    else:
        _show(parts, overall)
    raise SystemExit(CANNOT_GO_ON if overall.mark is Mark.BAD else ALL_SUCCEEDED)


def _as_json(parts: Parts, usage: DiskUsage | None, *, fit: bool) -> dict[str, object]:
    return {
        "fit": fit,
        "size": None if usage is None else asdict(usage),
        "checks": [
            {
                "part": part,
                "check": finding.about,
                "mark": finding.mark,
                "found": finding.found,
                "fix": finding.fix,
            }
            for part, found in parts.items()
            for finding in found
        ],
    }


def _show(parts: Parts, overall: Finding) -> None:
    out = styled_stdout()
    for part, found in parts.items():
        if found:
            click.secho(part, bold=True, file=out)
        for finding in found:
            click.echo(f"  {_line(finding)}", file=out)
    click.echo(_line(overall), file=out)


def _line(finding: Finding) -> str:
    """Return the text of a finding; a command that helps has its own line."""
    from batchrunner.text.terminal import term_safe

    sign, colour = SIGN_BY_MARK[finding.mark]
    text = term_safe(finding.found)
    if sys.stdout.isatty():
        # Elsewhere a finding stays on one line, for grep.
        width = max(shutil.get_terminal_size().columns - INDENT, 20)
        lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
        text = f"\n{' ' * INDENT}".join(lines)
    fix = f"\n{' ' * (INDENT + 2)}{term_safe(finding.fix)}" if finding.fix else ""
    return f"{click.style(sign, fg=colour)} {text}{fix}"
