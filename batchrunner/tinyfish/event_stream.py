"""Decodes a run's stream of server-sent events, however its bytes are split."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from batchrunner.model import RunHelp
from batchrunner.tinyfish.parse import read_help, storable_text
from batchrunner.tinyfish.raw_json import parsed


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamEvent:
    """One event of a stream; a member that it does not have is None."""

    kind: str  #: in the API's words: STARTED, STREAMING_URL, PROGRESS, HEARTBEAT, COMPLETE, …
    run_id: str | None = None
    says: str | None = None
    address: str | None = None
    status: str | None = None
    help: RunHelp | None = None


#: Maximum length of a line; a longer one is skipped, and the run is read instead.
MAX_LINE_BYTES = 1024 * 1024


class EventDecoder:
    """Joins lines into frames; ids, event names and comments are skipped."""

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False  # the next bytes belong to a line that is too long
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> Iterator[str]:
        """Yield the data of each frame that *chunk* completes."""
        for line in self._lines(chunk):
            if line:
                self._add(line.decode("utf-8", "replace"))
            elif self._data:
                yield "\n".join(self._data)
                self._data = []

    def _lines(self, chunk: bytes) -> Iterator[bytes]:
        text = self._rest + chunk
        # A carriage return at the very end may be half of a line break.
        held = b"\r" if text.endswith(b"\r") else b""
        lines = text.removesuffix(held).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        rest = lines.pop()
        for line in lines:
            if not self._skipping and len(line) <= MAX_LINE_BYTES:
                yield line
            self._skipping = False
        self._skipping = self._skipping or len(rest) > MAX_LINE_BYTES
        self._rest = (b"" if self._skipping else rest) + held

    def _add(self, line: str) -> None:
        name, _, value = line.removeprefix("\ufeff").partition(":")
        if name == "data":
            self._data.append(value.removeprefix(" "))


def read_event(data: str) -> StreamEvent | None:
    """Return the event in a frame; None if it is no event of the API."""
    event = parsed(data)
    kind = storable_text(event.get("type")) if isinstance(event, dict) else None
    if kind is None:
        return None
    return StreamEvent(
        kind=kind.upper(),
        run_id=_run_id(event),
        says=storable_text(event.get("purpose")) or _error_message(event.get("error")),
        address=storable_text(event.get("streaming_url") or event.get("streamingUrl")),
        status=storable_text(event.get("status")),
        help=read_help(event, event.get("error")),
    )


def _run_id(event: dict[str, Any]) -> str | None:
    run_id = storable_text(event.get("run_id") or event.get("runId"))
    return run_id if run_id and run_id.isprintable() else None


def _error_message(error: Any) -> str | None:
    return storable_text(error.get("message") if isinstance(error, dict) else error)
