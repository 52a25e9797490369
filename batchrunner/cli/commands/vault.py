"""`batchrunner vault`: list the credentials that runs may use, never what is in them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from batchrunner.cli.options import api_options, db_option, help_option, json_option


@click.command("vault")
@api_options
@db_option
@json_option
@help_option
def command(as_json: bool, **given: Any) -> None:
    """
    List the password managers that are connected to the account, and the credentials in them.

    Use the first column for `credential_item_ids` in a job file. Only names are shown. The API does
    not give out secrets, and anything else that it shows is left out.

    \b
    Examples:
      batchrunner vault
      batchrunner vault --json | jq -r '.items[].itemId'
    """
    from batchrunner.app.account_info import read_vault
    from batchrunner.app.api_call import api_of

    with api_of(**given) as api:
        found = read_vault(api)
    if as_json:
        click.echo(json.dumps(found))
        return
    for line in _lines(found):
        click.echo(line)


def _lines(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[str]:
    from batchrunner.text.terminal import term_safe

    for connection in found["connections"]:
        values = "  ".join(str(value) for value in connection.values() if value is not None)
        yield term_safe(f"connected: {values}")
    for item in found["items"]:
        fields = ", ".join(str(field.get("label")) for field in item["fieldMetadata"])
        parts = [
            item.get("itemId"),
            item.get("label"),
            ", ".join(map(str, item.get("domains") or ())),
            f"({fields})" if fields else "",
            "one-time codes" if item.get("hasTotp") else "",
        ]
        yield term_safe("  ".join(str(part) for part in parts if part))
    if not found["connections"] and not found["items"]:
        yield "no password manager is connected to the account"
