"""`batchrunner sandbox`: serve a stand-in for the API on this machine."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchrunner.app.error_translation import errors_for_people
from batchrunner.cli.options import help_option

if TYPE_CHECKING:
    from batchrunner.sandbox import SandboxConfig


@click.command("sandbox")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8787,
    show_default=True,
    metavar="N",
    help="The port on 127.0.0.1; 0 chooses a free one and prints it.",
)
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    metavar="N",
    help="The same seed gives the same random choices.",
)
@click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help="Maximum runs at once; others wait as PENDING.",
)
@click.option(
    "--durations",
    default="1-4",
    show_default=True,
    metavar="FROM-TO",
    help="The duration of runs, in seconds.",
)
@click.option(
    "--rate",
    "rates",
    multiple=True,
    metavar="FAULT=SHARE",
    help="Give this share of runs or requests a fault; may be given more than once.",
)
@click.option(
    "--script",
    "scripts",
    multiple=True,
    metavar="GLOB=FAULT",
    help="Give urls that match a fault (FAULT/N: the first N times).",
)
@click.option(
    "--credits",
    "balance",
    metavar="AMOUNT",
    help="What the wallet holds.  [default: no wallet; no run is refused]",
)
@click.option(
    "--deposit",
    "deposits",
    multiple=True,
    metavar="SECONDS=AMOUNT",
    help="Pay in this amount after so many seconds; may be given more than once.",
)
@click.option(
    "--late",
    type=click.FloatRange(0),
    default=0.0,
    metavar="SECONDS",
    help="How long new runs are missing from the list of runs.",
)
@click.option(
    "--variant",
    "variants",
    multiple=True,
    metavar="NAME=ANSWER",
    help="Choose an answer that the API's sources leave open; may be given more than once.",
)
@click.option("--apart", is_flag=True, help="Make each key a separate account with its own runs.")
@click.option(
    "--ledger",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Keep the journal in this file, over restarts.",
)
@help_option
def command(port: int, ledger: Path | None, **conditions: Any) -> None:
    """
    Serve a stand-in for the API and sample websites on this machine, until Ctrl-C.

    Its agent reads real pages over HTTP. It keeps a journal of every run that it created and
    charged.

    \b
    Examples:
      batchrunner sandbox --port 8787
      batchrunner sandbox --rate system_failure=0.1 --limit 5
      batchrunner sandbox --variant over_limit=refused --limit 5
      batchrunner sandbox --credits 0.5 --deposit 60=10
      TINYFISH_API_KEY=x batchrunner run jobs.yaml --api-url http://127.0.0.1:8787
    """
    from batchrunner.sandbox.http.server import serve_forever

    config = _config(**conditions)
    with errors_for_people():
        serve_forever(config, port, ledger, _print_address)


def _config(
    *,
    seed: int,
    limit: int | None,
    durations: str,
    rates: tuple[str, ...],
    scripts: tuple[str, ...],
    balance: str | None,
    deposits: tuple[str, ...],
    late: float,
    variants: tuple[str, ...],
    apart: bool,
) -> SandboxConfig:
    from batchrunner.sandbox import SandboxConfig

    try:
        return SandboxConfig(
            seed=seed,
            durations=_seconds_range(durations),
            limit=limit,
            rates={fault: float(share) for fault, share in map(_pair, rates)},
            script=dict(map(_pair, scripts)),
            credits=None if balance is None else _amount(balance),
            deposits=tuple((float(at), _amount(paid)) for at, paid in map(_pair, deposits)),
            retry_after=1.0,
            late=late,
            variants=dict(map(_pair, variants)),
            apart=apart,
        )
    except (KeyError, ValueError) as error:
        raise click.UsageError(str(error)) from error


def _print_address(url: str) -> None:
    click.echo(url)
    click.echo(f"serving the sandbox on {url}; sample sites at {url}/sites/shop/", err=True)


def _seconds_range(text: str) -> tuple[float, float]:
    shortest, _, longest = text.partition("-")
    try:
        return float(shortest), float(longest or shortest)
    except ValueError as error:
        raise ValueError(f"--durations takes seconds as FROM-TO, not {text!r}") from error


def _amount(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"not an amount: {text!r}") from error


def _pair(text: str) -> tuple[str, str]:
    left, equals, right = text.rpartition("=")
    if not equals:
        raise ValueError(f"{text!r} lacks a '='")
    return left, right
