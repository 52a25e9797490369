"""The vault of an account: connections to password managers, and the items in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from batchrunner.sandbox.http.errors import ApiErrorAnswer, Issue, invalid, not_found
from batchrunner.sandbox.http.response_bodies import instant
from batchrunner.sandbox.http.validators import issue
from batchrunner.sandbox.scenario import SandboxConfig
from batchrunner.sandbox.seeded_random import seeded_id

#: The logins in every vault: label, domain, and whether it has a one-time password.
_LOGINS = (("Portal", "portal.test", False), ("Shop", "shop.test", True))

Body = Mapping[str, Any]
Path = Sequence[str | int]


class Vault:
    """The connections, in memory: a new sandbox has those of its config."""

    def __init__(self, config: SandboxConfig, now: datetime) -> None:
        self._plays = config.answers("vault")
        self._seed = config.seed
        self._connected = 0
        self._connections: dict[str, dict[str, Any]] = {}
        if self._plays != "none":
            self.connect("1password", now)

    def connect(self, provider: str, now: datetime) -> dict[str, Any]:
        """Connect a password manager, in place of an earlier connection to it."""
        self._connections = {
            key: each for key, each in self._connections.items() if each["provider"] != provider
        }
        connection = seeded_id(self._seed, "vault", self._connected)
        self._connected += 1
        self._connections[connection] = {
            "id": connection,
            "provider": provider,
            "connectionStatus": "expired" if self._plays == "expired" else "connected",
            "lastValidatedAt": instant(now),
        }
        items = list(_items(connection))
        shown = {"connectionId": connection, "connected": True, "provider": provider}
        return {**shown, "items": items}

    def connections(self) -> dict[str, Any]:
        """Show the connections."""
        self._check_up()
        return {"connections": list(self._connections.values())}

    def disconnect(self, connection: str) -> dict[str, Any]:
        """Remove a connection and its items."""
        self._check_up()
        if self._connections.pop(connection, None) is None:
            raise not_found("Connection not found")
        return {"disconnected": True, "connectionId": connection}

    def items(self) -> dict[str, Any]:
        """Show the items of all connections."""
        self._check_up()
        if not self._connections:
            raise not_found("No vault connections found")
        return {"items": [item for each in self._connections for item in _items(each)]}

    def sync(self) -> dict[str, Any]:
        """Synchronize the items; there are never new ones."""
        shown = self.items()
        if self._plays == "expired":
            raise _expired()
        return {**shown, "sync_summary": {"added": 0, "updated": 0, "removed": 0}}

    def admit(self, body: Body, path: Path) -> None:
        """Refuse a run that names a login that does not exist."""
        if not body.get("use_vault"):
            return
        self._check_up()
        if self._plays == "expired":
            raise _expired()
        if not self._connections:
            raise invalid([issue("custom", (*path, "use_vault"), "No vault is connected")])
        issues = list(self._strange(body.get("credential_item_ids", ()), path))
        if issues:
            raise invalid(issues)

    def _strange(self, asked: Sequence[str], path: Path) -> Iterator[Issue]:
        known = {item["itemId"] for each in self._connections for item in _items(each)}
        for index, item in enumerate(asked):
            if item not in known:
                at = (*path, "credential_item_ids", index)
                yield issue("custom", at, "Credential item not found")

    def _check_up(self) -> None:
        if self._plays == "down":
            raise ApiErrorAnswer(503, "SERVICE_BUSY", "The vault is unavailable")


def _expired() -> ApiErrorAnswer:
    return ApiErrorAnswer(401, "UNAUTHORIZED", "Authentication failed")


def _items(connection: str) -> Iterator[dict[str, Any]]:
    for label, domain, has_totp in _LOGINS:
        kinds = [("username", "STRING"), ("password", "CONCEALED")]
        kinds += [("one-time password", "OTP")] if has_totp else []
        yield {
            "itemId": f"cred:{connection[:8]}:Sandbox:{label.lower()}",
            "connectionId": connection,
            "label": label,
            "vaultName": "Sandbox",
            "domains": [domain],
            "fieldMetadata": [
                {"fieldId": name.replace(" ", "-"), "label": name, "type": kind}
                for name, kind in kinds
            ],
            "hasTotp": has_totp,
        }
