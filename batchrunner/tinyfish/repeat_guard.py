"""Keeps the same request from being sent twice within a second, whatever asks for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import anyio

#: Seconds between two requests with the same method, address and body.
MIN_REPEAT_SECONDS = 1.0


class RepeatGuard:
    """When each request of the last second may be sent again."""

    def __init__(self) -> None:
        self._free_at: dict[bytes, float] = {}

    async def wait(
        self, method: str, path: str, query: Mapping[str, str] | None, body: Any
    ) -> None:
        """Wait until this request may be sent; many callers of one request take turns."""
        now = anyio.current_time()
        self._free_at = {key: at for key, at in self._free_at.items() if at > now}
        content = json.dumps([method, path, query and dict(query), body], sort_keys=True)
        key = hashlib.blake2b(content.encode(), digest_size=16).digest()
        free_at = max(self._free_at.get(key, now), now)
        self._free_at[key] = free_at + MIN_REPEAT_SECONDS
        if free_at > now:
            await anyio.sleep_until(free_at)
