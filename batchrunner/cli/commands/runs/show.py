"""`batchrunner runs show`: show everything that is known of runs."""

from __future__ import annotations

from typing import Any

import click

from batchrunner.cli.options import api_options, db_option, help_option


@click.command("show")
@click.argument("run_ids", metavar="RUN_ID...", nargs=-1, required=True)
@click.option(
    "--screenshots",
    type=click.Choice(["url", "base64", "none"]),
    default="url",
    show_default=True,
    help="The picture of each step: its address, or with --json the picture itself.",
)
@click.option(
    "--html",
    type=click.Choice(["url", "none"]),
    default="url",
    show_default=True,
    help="The page at each step: its address, if the run kept it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print each run as the API sent it.")
@api_options
@db_option
@help_option
def command(
    run_ids: tuple[str, ...],
    screenshots: str,
    html: str,
    as_json: bool,
    **given: Any,
) -> None:
    """
    Show runs: the goal, the outcome, the result and the steps of each.

    COMPLETED says that the browser worked; `means` says whether the result itself reports a
    failure. The live view exists while the run is active. The address of a video works for 15
    minutes: give the command again for a new one.

    \b
    Examples:
      batchrunner runs show 6f1f0c3e-7a57-4b2c-9d0e-2f7f4c1e8a11
      batchrunner runs show 6f1f0c3e-7a57-4b2c-9d0e-2f7f4c1e8a11 --json | jq .steps
    """
    if screenshots == "base64" and not as_json:
        raise click.UsageError("--screenshots base64 is for --json: no terminal shows a picture")
    from batchrunner.app.api_call import api_of
    from batchrunner.app.read_runs import read_run
    from batchrunner.cli.output.run_text import run_lines

    with api_of(**given) as api:
        for number, run_id in enumerate(run_ids):
            if number and not as_json:
                click.echo()
            details = read_run(api, run_id, screenshots=screenshots, html=html)
            for line in [details.text] if as_json else run_lines(details):
                click.echo(line)
