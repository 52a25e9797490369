"""Webhooks: who asked for it is told how a run ended, four times at most."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import anyio
import httpx

#: Seconds before the second, third and fourth attempt.
_PAUSES = (1.0, 2.0, 4.0)
_WEBHOOK_SECONDS = 10.0
#: Most attempts at the same time.
_HANDS = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookMessage:
    """Hold one message on its way: where it goes, when next, and how often it went."""

    address: str
    message: dict[str, Any]
    due: datetime
    attempts: int = 0


class WebhookSender:
    """Send messages to the addresses that were given, and to no other."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._letters: list[WebhookMessage] = []

    def take(self, address: str, message: dict[str, Any]) -> None:
        """Take a message; its first attempt is due at once."""
        self._letters.append(WebhookMessage(address=address, message=message, due=self._now()))

    async def deliver(self, client: httpx.AsyncClient) -> None:
        """Make the attempts that are due; what failed is due again later, or dropped."""
        now = self._now()
        due = [letter for letter in self._letters if letter.due <= now]
        self._letters = [letter for letter in self._letters if letter.due > now]
        await self._all(client, iter(due), hands=min(_HANDS, len(due)))

    async def _all(
        self, client: httpx.AsyncClient, due: Iterable[WebhookMessage], hands: int
    ) -> None:
        async def hand() -> None:
            for letter in due:
                if not await _attempt(client, letter) and letter.attempts < len(_PAUSES):
                    pause = timedelta(seconds=_PAUSES[letter.attempts])
                    again = replace(letter, due=self._now() + pause, attempts=letter.attempts + 1)
                    self._letters.append(again)

        async with anyio.create_task_group() as tasks:
            for _ in range(hands):
                tasks.start_soon(hand)


async def _attempt(client: httpx.AsyncClient, letter: WebhookMessage) -> bool:
    """Send a message once; False if it is worth another attempt."""
    try:
        with anyio.fail_after(_WEBHOOK_SECONDS):
            answer = await client.post(
                letter.address,
                content=json.dumps(letter.message).encode(),
                headers={"Content-Type": "application/json"},
                follow_redirects=False,
            )
    except (httpx.RequestError, TimeoutError):
        return False
    except (httpx.InvalidURL, ValueError):
        return True  # no attempt will ever find its way there
    return answer.is_success or 400 <= answer.status_code < 500
