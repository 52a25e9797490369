"""Reads what an account has: its wallet, browser profiles and credentials (never their secrets)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

from batchrunner.app.api_call import call_api
from batchrunner.model import RequestFailed
from batchrunner.tinyfish.console_views import PROFILES, VAULT_CONNECTIONS, VAULT_ITEMS
from batchrunner.tinyfish.http import AddressError

if TYPE_CHECKING:
    from batchrunner.app.api_access import ApiAccess
    from batchrunner.model import Wallet
    from batchrunner.tinyfish.console_client import ConsoleClient


def read_wallet(api: ApiAccess) -> tuple[dict[str, Any], str]:
    """
    Return what the API says about the wallet, as values and as the text that it sent.

    Raises:
        BatchrunnerError: It could not be read, or the account has no wallet.
    """
    return call_api(api, lambda client: client.wallet_details(), about="a wallet")


def wallet_if_readable(api: ApiAccess) -> Wallet | None:
    """Return the wallet; None if the account has none or the API does not answer."""
    from batchrunner.tinyfish.client import TinyFishClient

    async def read() -> Wallet | None:
        async with TinyFishClient(api.url, api.key) as client:
            return await client.wallet()

    try:
        return anyio.run(read)
    except (RequestFailed, AddressError):
        return None


def read_profiles(api: ApiAccess) -> list[dict[str, Any]]:
    """
    Return the account's browser profiles.

    Raises:
        BatchrunnerError: They could not be read.
    """
    return call_api(api, lambda client: client.entries(PROFILES), about="browser profiles")


def read_vault(api: ApiAccess) -> dict[str, list[dict[str, Any]]]:
    """
    Return the connected password managers and the names of the credentials in them.

    Raises:
        BatchrunnerError: They could not be read.
    """
    return call_api(api, _read_vault, about="the vault")


async def _read_vault(client: ConsoleClient) -> dict[str, list[dict[str, Any]]]:
    connections = await client.entries(VAULT_CONNECTIONS)
    try:
        items = await client.entries(VAULT_ITEMS)
    except RequestFailed as error:
        if error.fault.status != 404 or connections:
            raise
        items = []  # without a password manager, the API has no list of credentials
    return {"connections": connections, "items": items}
