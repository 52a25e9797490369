"""What the API says instead of an answer, and silence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from batchrunner.sandbox.faults import RequestFault

#: Where an empty wallet is filled.
WALLET_URL = "https://agent.tinyfish.ai/wallet"

Issue = dict[str, Any]


class ApiErrorAnswer(Exception):
    """The API answers with an error in its envelope."""

    def __init__(
        self, status: int, code: str, message: str, *, details: Any = None, wait: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.wait = wait
        self.error: dict[str, Any] = {"code": code, "message": message}
        if details is not None:
            self.error["details"] = details


class NoAnswer(Exception):
    """The API gives no answer: the connection drops, or stays open for ever."""

    def __init__(self, *, hangs: bool) -> None:
        super().__init__("no answer")
        self.hangs = hangs


def invalid(issues: Sequence[Issue]) -> ApiErrorAnswer:
    """Refuse a request for its issues; the message tells the first of them."""
    first = issues[0]
    field = ".".join(str(part) for part in first["path"])
    message = f'Field "{field}": {first["message"]}' if field else first["message"]
    return ApiErrorAnswer(400, "INVALID_INPUT", message, details=list(issues))


def not_found(message: str = "Run not found") -> ApiErrorAnswer:
    """Refuse to show what is not there."""
    return ApiErrorAnswer(404, "NOT_FOUND", message)


def error_of_fault(
    fate: RequestFault, paths: Sequence[list[str | int]], wait: int
) -> ApiErrorAnswer | NoAnswer:
    """Give what a create request gets that met this fate; `paths` lead to the urls to name."""
    if fate.status is None:
        return NoAnswer(hangs=fate.hangs)
    if fate.names:
        return invalid([_url_refused(path) for path in paths])
    if fate.waits:
        message = f"Rate limit exceeded. Try again in {wait} seconds."
        return ApiErrorAnswer(fate.status, fate.code, message, wait=wait)
    details = {"wallet_url": WALLET_URL} if fate.status == 402 else None
    return ApiErrorAnswer(fate.status, fate.code, fate.message, details=details)


def _url_refused(path: list[str | int]) -> Issue:
    message = "This URL cannot be visited"
    return {"code": "custom", "path": path, "message": message}
