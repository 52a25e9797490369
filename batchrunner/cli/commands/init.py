"""`batchrunner init`: write a job file to start from."""

from __future__ import annotations

from pathlib import Path

import click

from batchrunner.app.error_translation import errors_for_people
from batchrunner.cli.options import help_option
from batchrunner.errors import UsageError

TEMPLATE = """\
# A batch: each job is a page and what to do there.
# Try it without a key and without cost:  batchrunner run {file} --sandbox
name: {name}

settings:
  concurrency: 5        # at most 5 runs in flight
  max_attempts: 3       # counted attempts per job
  backoff: 15s          # longest wait after the first failure; doubles with each

defaults:               # for all jobs; every option of the API may be here or in a job
  goal: Read the product's title and price

jobs:                   # *.test pages exist only in the sandbox
  - url: http://shop.test/products/1
  - url: http://shop.test/products/2
  # `id` is your own name for a job, to find its row in the results.
  - id: plans
    url: http://pricing.test/
    goal: List the plans with their prices
# The rows of a table are jobs, too; a column's name in braces is its cell:
#   jobs: {{from: pairs.csv, url: '{{link}}', goal: 'Read the price of {{product}}'}}
"""


@click.command("init")
@click.argument("file", type=click.Path(path_type=Path), default="jobs.yaml")
@help_option
def command(file: Path) -> None:
    """
    Write a job file to start from; FILE is jobs.yaml if it is not given.

    \b
    Example:
      batchrunner init && batchrunner run jobs.yaml --sandbox
    """
    if file.exists():
        raise UsageError(
            f"{file} exists already, and is left as it is",
            next=f"name another file: batchrunner init my-{file.name}",
        )
    with errors_for_people():
        file.write_text(TEMPLATE.format(file=file, name=file.stem), encoding="utf-8")
    click.echo(f"wrote {file}; try it: batchrunner run {file} --sandbox", err=True)
