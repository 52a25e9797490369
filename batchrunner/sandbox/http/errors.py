"""The errors that the API answers with, and the case without an answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from batchrunner.sandbox.faults import RequestFault

#: Where users add money to an empty wallet.
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
    """The API sends no answer: the connection drops, or stays open."""

    def __init__(self, *, hangs: bool) -> None:
        super().__init__("no answer")
        self.hangs = hangs


def invalid(issues: Sequence[Issue]) -> ApiErrorAnswer:
    """Return the refusal of a request for its issues; the message names the first one."""
    first = issues[0]
    field = ".".join(str(part) for part in first["path"])
    message = f'Field "{field}": {first["message"]}' if field else first["message"]
    return ApiErrorAnswer(400, "INVALID_INPUT", message, details=list(issues))


def not_found(message: str = "Run not found") -> ApiErrorAnswer:
    """Return the refusal of a request for something that does not exist."""
    return ApiErrorAnswer(404, "NOT_FOUND", message)


def error_of_fault(
    fault: RequestFault, paths: Sequence[list[str | int]], wait: int
) -> ApiErrorAnswer | NoAnswer:
    """Return the answer to a create request with this fault; *paths* lead to the refused urls."""
    if fault.status is None:
        return NoAnswer(hangs=fault.hangs)
    if fault.names:
        return invalid([_url_refused(path) for path in paths])
    if fault.waits:
        message = f"Rate limit exceeded. Try again in {wait} seconds."
        details = dict(fault.details) if fault.details else None
        return ApiErrorAnswer(fault.status, fault.code, message, details=details, wait=wait)
    details = {"wallet_url": WALLET_URL} if fault.status == 402 else None
    return ApiErrorAnswer(fault.status, fault.code, fault.message, details=details)


def _url_refused(path: list[str | int]) -> Issue:
    message = "This URL cannot be visited"
    return {"code": "custom", "path": path, "message": message}
