"""Reads results from JSONL as our exports write it, several times as quickly as any other table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from batchrunner.differences import ComparedResult
from batchrunner.outputs.json_values import strict_line

#: Columns by which such results can be paired.
KEYS: Final = ("id", "url", "goal")
#: Longest line that is read here.
MAX_LINE: Final = 32 * 1024**2


class NotOurs(Exception):
    """A line is not as our exports write it: the file has to be read as a table."""


class _Line(msgspec.Struct):
    """What a comparison needs of a line; each export of all columns has these keys."""

    id: str
    url: str
    goal: str
    state: str
    category: str | None
    verdict: str | None
    result: msgspec.Raw
    result_unreadable: str | None = None


_decode = msgspec.json.Decoder(_Line).decode


def own_results(lines: Iterable[bytes], by: str) -> Iterator[ComparedResult]:
    """
    Give the results that lines of our exports have, with one of KEYS as the key.

    `ExportedResults` gives the same of such a file; a result has the text of the file here.

    Raises:
        NotOurs: A line is something else, or needs a closer look.
    """
    for line in lines:
        if len(line) > MAX_LINE:
            raise NotOurs
        try:
            found = _decode(line)
            result = bytes(found.result).decode("ascii")
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise NotOurs from error
        if strict_line(result) is None:
            raise NotOurs
        yield _compared(found, result, getattr(found, by))


def _compared(line: _Line, result: str, key: str) -> ComparedResult:
    state = line.state or "succeeded"
    text = result if line.result_unreadable is None else line.result_unreadable
    return ComparedResult(
        key,
        line.id or key,
        line.url,
        line.goal,
        state,
        line.category or None,
        line.verdict or None,
        text if state == "succeeded" else None,
    )


def is_own(first_line: bytes) -> bool:
    """Return whether a file that begins with this line may be an export of ours."""
    try:
        return any(True for _ in own_results([first_line], "id"))
    except NotOurs:
        return False
