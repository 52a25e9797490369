"""Sends webhooks: reports the end of a run to the address that its request named."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import anyio
import httpx

#: Seconds before the second, third and fourth attempt.
_RETRY_WAITS = (1.0, 2.0, 4.0)
_WEBHOOK_SECONDS = 10.0
#: Most attempts at the same time.
_MAX_PARALLEL_ATTEMPTS = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookMessage:
    """One message to deliver: its address, its next attempt, and the attempts so far."""

    address: str
    body: dict[str, Any]
    due: datetime
    attempts: int = 0


class WebhookSender:
    """Sends messages to the addresses that were named, and to no other."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._messages: list[WebhookMessage] = []

    def take(self, address: str, body: dict[str, Any]) -> None:
        """Take a message; its first attempt is due at once."""
        self._messages.append(WebhookMessage(address=address, body=body, due=self._now()))

    async def deliver(self, client: httpx.AsyncClient) -> None:
        """Make the attempts that are due; a failed message is due again later, or dropped."""
        now = self._now()
        due = [message for message in self._messages if message.due <= now]
        self._messages = [message for message in self._messages if message.due > now]
        await self._deliver_all(client, iter(due), workers=min(_MAX_PARALLEL_ATTEMPTS, len(due)))

    async def _deliver_all(
        self, client: httpx.AsyncClient, due: Iterable[WebhookMessage], workers: int
    ) -> None:
        async def work() -> None:
            for message in due:
                if not await _attempt(client, message) and message.attempts < len(_RETRY_WAITS):
                    pause = timedelta(seconds=_RETRY_WAITS[message.attempts])
                    again = replace(message, due=self._now() + pause, attempts=message.attempts + 1)
                    self._messages.append(again)

        async with anyio.create_task_group() as tasks:
            for _ in range(workers):
                tasks.start_soon(work)


async def _attempt(client: httpx.AsyncClient, message: WebhookMessage) -> bool:
    """Send a message once; return False if it is worth another attempt."""
    try:
        with anyio.fail_after(_WEBHOOK_SECONDS):
            answer = await client.post(
                message.address,
                content=json.dumps(message.body).encode(),
                headers={"Content-Type": "application/json"},
                follow_redirects=False,
            )
    except (httpx.RequestError, TimeoutError):
        return False
    except (httpx.InvalidURL, ValueError):
        return True  # no attempt can ever reach this address
    return answer.is_success or 400 <= answer.status_code < 500
