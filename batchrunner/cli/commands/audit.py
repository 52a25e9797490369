"""`batchrunner audit`: a batch's runs in this database and in the API's own list."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from batchrunner.cli.exit_codes import AUDIT_DIFFERS
from batchrunner.cli.options import (
    api_options,
    batch_of,
    db_option,
    help_option,
    json_option,
    note,
    opened,
)


@click.command("audit")
@click.argument("batch", required=False)
@api_options
@db_option
@json_option
@help_option
def command(batch: str | None, db: str, as_json: bool, **given: Any) -> None:
    """
    Compare BATCH with the API's own list of runs: how many there are, what they cost.

    An unknown run, of a create that this database sent, is adopted if its job needs one, and
    otherwise cancelled. A run of another database is never touched. A run that the API does not
    show yet is no difference. Dollars are an estimate, steps times the rate: the list shows no
    bill.

    Exit code 1 says that there is a difference.

    \b
    Examples:
      batchrunner audit
      batchrunner audit example --json
    """
    from batchrunner.app.api_call import api_of
    from batchrunner.app.audit import audit_batch
    from batchrunner.cli.output.audit_text import audit_as_json, audit_lines
    from batchrunner.cli.output.batch_text import db_given
    from batchrunner.cli.same_api import on_same_api
    from batchrunner.text.wrapping import say

    with opened(db) as store, api_of(db=db, **given) as api:
        found = batch_of(store, batch)
        report = audit_batch(store, found, api, say=note)
    if as_json:
        click.echo(json.dumps({"batch": found.name, **audit_as_json(report, found)}))
    else:
        for line in audit_lines(report, found, db_given(db)):
            say(on_same_api(line, sys.argv[1:]))
    if not report.agrees:
        raise SystemExit(AUDIT_DIFFERS)
