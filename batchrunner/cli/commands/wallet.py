"""`batchrunner wallet`: what the account has, and what things cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from batchrunner.cli.options import api_options, db_option, help_option, json_option

#: State of the automatic reload → what it means.
RELOAD_TEXT_BY_STATE = {
    "unconfigured": "not set up",
    "on": "on",
    "off": "off",
    "paused_payment_failed": "paused, because a payment failed",
    "needs_payment_method": "waits for a way to pay",
}


@click.command("wallet")
@api_options
@db_option
@json_option
@help_option
def command(as_json: bool, **given: Any) -> None:
    """
    Show what the account has, what a step costs, and whether it fills up by itself.

    An account that pays by a plan has no wallet. Then the command says so, with exit code 2.

    \b
    Example:
      batchrunner wallet --json
    """
    from batchrunner.app.account_info import read_wallet
    from batchrunner.app.api_call import api_of

    with api_of(**given) as api:
        wallet, text = read_wallet(api)
    for line in [text] if as_json else _lines(wallet):
        click.echo(line)


def _lines(wallet: Mapping[str, Any]) -> Iterator[str]:
    from batchrunner.text.terminal import term_safe

    currency = wallet.get("currency") or ""
    yield term_safe(
        f"the account has {wallet.get('available_balance', 'an unknown sum')} {currency}"
    )
    for meter in _list(_mapping(wallet.get("rates")).get("meters")):
        price, per = meter.get("unit_amount"), meter.get("per")
        unit = f" a {per}" if per else ""
        yield term_safe(f"{meter.get('label')}: {price} {meter.get('currency') or currency}{unit}")
    reload = _mapping(wallet.get("auto_reload"))
    if reload:
        state = str(reload.get("state"))
        threshold, target = reload.get("threshold"), reload.get("recharge_to")
        filled = f": below {threshold} it is filled up to {target}" if threshold and target else ""
        yield term_safe(f"automatic reload: {RELOAD_TEXT_BY_STATE.get(state, state)}{filled}")
    pending = _mapping(wallet.get("pending_top_up"))
    if pending:
        yield term_safe(f"on its way: {pending.get('amount')} since {pending.get('started_at')}")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
