"""`batchrunner vault`: list the credentials that runs may use, never what is in them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from batchrunner.cli.options import api_options, db_option, help_option, json_option

if TYPE_CHECKING:
    from batchrunner.tinyfish.console_client import ConsoleClient


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
    from batchrunner.app.api_call import api_of, call_api

    with api_of(**given) as api:
        found = call_api(api, _asked, about="the vault")
    if as_json:
        click.echo(json.dumps(found))
        return
    for line in _lines(found):
        click.echo(line)


async def _asked(reader: ConsoleClient) -> dict[str, list[dict[str, Any]]]:
    """Return the connections and the items; where nothing is connected there is none of either."""
    from batchrunner.model import ApiError
    from batchrunner.tinyfish.console_views import VAULT_CONNECTIONS, VAULT_ITEMS

    connections = await reader.entries(VAULT_CONNECTIONS)
    try:
        items = await reader.entries(VAULT_ITEMS)
    except ApiError as error:
        if error.fault.status != 404 or connections:
            raise
        items = []  # the API has no list of items where no password manager is connected
    return {"connections": connections, "items": items}


def _lines(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[str]:
    from batchrunner.text.terminal import term_safe

    for connection in found["connections"]:
        told = "  ".join(str(value) for value in connection.values() if value is not None)
        yield term_safe(f"connected: {told}")
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
