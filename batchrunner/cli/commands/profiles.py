"""`batchrunner profiles`: list the saved browser profiles that runs may start from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from batchrunner.cli.options import api_options, db_option, help_option, json_option
from batchrunner.text.format import counted


@click.command("profiles")
@api_options
@db_option
@json_option
@help_option
def command(as_json: bool, **given: Any) -> None:
    """
    List the browser profiles of the account.

    Use the first column for `profile_id` in a job file. A run with `use_profile` alone starts from
    the default one.

    \b
    Example:
      batchrunner profiles
    """
    from batchrunner.app.account_info import read_profiles
    from batchrunner.app.api_call import api_of

    with api_of(**given) as api:
        found = read_profiles(api)
    if as_json:
        click.echo(json.dumps(found))
        return
    for profile in found:
        click.echo(_line(profile))
    if not found:
        click.echo("the account has no browser profiles")


def _line(profile: Mapping[str, Any]) -> str:
    from batchrunner.text.terminal import term_safe

    domains, country = profile.get("domain_count"), profile.get("proxy_country_code")
    parts = [
        str(profile.get("id")),
        str(profile.get("name") or ""),
        counted(domains, "domain") if isinstance(domains, int) else "",
        f"proxy in {country}" if country else "",
        "default" if profile.get("is_default") is True else "",
    ]
    return term_safe("  ".join(part for part in parts if part))
