"""Bytes of a stream of events → what happened to a run, however the bytes were cut."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from batchrunner.tinyfish.parse import words_of
from batchrunner.tinyfish.raw_json import plain


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamEvent:
    """One thing that a stream told; members that it did not name are None."""

    kind: str  #: as the API says it: STARTED, STREAMING_URL, PROGRESS, HEARTBEAT, COMPLETE, …
    run_id: str | None = None
    says: str | None = None
    address: str | None = None
    status: str | None = None


#: Longest line that is taken; what is longer is passed over, and the run looked at instead.
MAX_LINE_BYTES = 1024 * 1024


class EventDecoder:
    """Puts lines together into frames; ids, names of events and comments are passed over."""

    def __init__(self) -> None:
        self._rest = b""
        self._too_long = False  # what follows belongs to a line that is passed over
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> Iterator[str]:
        """Give the data of each frame that is complete now."""
        for line in self._lines(chunk):
            if line:
                self._take(line.decode("utf-8", "replace"))
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
            if not self._too_long and len(line) <= MAX_LINE_BYTES:
                yield line
            self._too_long = False
        self._too_long = self._too_long or len(rest) > MAX_LINE_BYTES
        self._rest = (b"" if self._too_long else rest) + held

    def _take(self, line: str) -> None:
        name, _, value = line.removeprefix("\ufeff").partition(":")
        if name == "data":
            self._data.append(value.removeprefix(" "))


def read_event(data: str) -> StreamEvent | None:
    """Return what a frame tells; None where it is no event of the API."""
    said = plain(data)
    kind = words_of(said.get("type")) if isinstance(said, dict) else None
    if kind is None:
        return None
    return StreamEvent(
        kind=kind.upper(),
        run_id=_id_of(said),
        says=words_of(said.get("purpose")) or _error_of(said.get("error")),
        address=words_of(said.get("streaming_url") or said.get("streamingUrl")),
        status=words_of(said.get("status")),
    )


def _id_of(said: dict[str, Any]) -> str | None:
    run_id = words_of(said.get("run_id") or said.get("runId"))
    return run_id if run_id and run_id.isprintable() else None


def _error_of(error: Any) -> str | None:
    return words_of(error.get("message") if isinstance(error, dict) else error)
