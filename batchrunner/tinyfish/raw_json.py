"""Splits JSON text into its parts without parsing them, so that one bad value spoils no other."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Collection, Iterator, Mapping
from itertools import accumulate
from typing import Any

from batchrunner.text.json_size import is_parsable, pieces, without_strings

#: Text of this length is not parsed only to find where a value in it ends.
LONG_TEXT_LENGTH = 1024**2
#: Maximum entries of a list of runs, and members of an object: no answer of the API has so many.
MAX_ENTRIES = 10_000
#: Longest text of an answer once it is ASCII: three times the longest answer, as UTF-8 takes.
MAX_SAFE_LENGTH = 100 * 1024**2

_DECODER = json.JSONDecoder(strict=False)
#: Brackets, commas, colons, and whole strings, so that brackets inside strings do not count.
#: A string that is never closed reaches to the end, so that no text is scanned more than once.
_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|(?P<open>\\?\Z))|[\[\]{},:]', re.DOTALL)
#: The only white space in JSON.
_SPACES = " \t\n\r"
_SPACE = re.compile(r"[ \t\n\r]*")
_DEPTH_CHANGE = {"{": 1, "[": 1, "}": -1, "]": -1}
_CLOSING = {"{": "}", "[": "]"}
#: Characters outside printable ASCII.
_NOT_ASCII = re.compile("[^\t\n\r\x20-\x7e]+")
#: What is not a bracket.
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[{]}")
#: Brackets as changes of the depth, one byte each.
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
#: Bytes of an answer that are made ASCII at once.
_CHUNK_BYTES = 1024**2


def members(
    text: str, start: int = 0, end: int | None = None, without: Collection[str] = ()
) -> dict[str, str]:
    """
    Return the members of the JSON object *text* by name, each value as unparsed text.

    Values may be of any kind and depth. If a name occurs twice, the last value counts. *start* and
    *end* are where the object is in the text. Those named in *without* are left out.

    Raises:
        ValueError: *text* is not an object, it has too many members, or its quotes or brackets do
            not match.
    """
    spans: dict[str, tuple[int, int]] = {}
    at, end = _inside(text, "{", start, len(text) if end is None else end)
    while at < end:
        name = _TOKEN.match(text, at, end)
        colon = _after_space(text, name.end()) if name else end
        if name is None or not text.startswith(":", colon):
            raise ValueError("a member without a name")
        value = _after_space(text, colon + 1)
        value_end = _value_end(text, value, end)
        spans[str(_DECODER.decode(name.group()))] = value, value_end
        if len(spans) > MAX_ENTRIES:
            raise ValueError("too many members")
        at = _after_space(text, value_end + 1)
    return {
        name: text[first:last].rstrip(_SPACES)
        for name, (first, last) in spans.items()
        if name not in without
    }


def items(text: str) -> list[str]:
    """Return the items of the JSON array *text* as unparsed text; or ValueError."""
    return [text[start:end].rstrip(_SPACES) for start, end in item_spans(text)]


def item_spans(text: str) -> Iterator[tuple[int, int]]:
    """Give the start and end of each item of the JSON array *text*; or ValueError."""
    at, end = _inside(text, "[", 0, len(text))
    for _ in range(MAX_ENTRIES):
        if at >= end:
            return
        value_end = _value_end(text, at, end)
        yield at, value_end
        at = _after_space(text, value_end + 1)
    raise ValueError("too many items")


def _inside(text: str, bracket: str, start: int, end: int) -> tuple[int, int]:
    """Return the start and end of what is inside the outermost brackets."""
    start = _after_space(text, start)
    while end > start and text[end - 1] in _SPACES:
        end -= 1
    if end - 1 <= start or text[start] != bracket or text[end - 1] != _CLOSING[bracket]:
        raise ValueError(f"no {bracket} that is closed again")
    return _after_space(text, start + 1), end - 1


def _after_space(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _value_end(text: str, start: int, end: int) -> int:
    """
    Return the index of the comma after a value, or *end*.

    The JSON parser finds it; if the parser fails or stops early, or the text is so long that its
    values may fill the memory, quotes and brackets do.
    """
    if len(text) <= LONG_TEXT_LENGTH and (found := _parsed_end(text, start, end)) is not None:
        return found
    depth = 0
    for first, last in pieces(text, start, end):
        if (
            depth
            and depth + min(accumulate(steps := _depth_steps(text[first:last])), default=0) > 0
        ):
            depth += sum(steps)
            continue
        depth, comma = _comma_outside(text, first, last, depth)
        if comma is not None:
            return comma
    if depth != 0:
        raise ValueError("brackets that do not match")
    return end


def _parsed_end(text: str, start: int, end: int) -> int | None:
    """Return the end of a value by parsing it; None if it fails, or stops before the end."""
    try:
        value_end = _after_space(text, _DECODER.raw_decode(text, start)[1])
    except (ValueError, RecursionError):
        return None
    is_end = value_end == end or (start < value_end < end and text[value_end] == ",")
    return value_end if is_end else None


def _comma_outside(text: str, start: int, end: int, depth: int) -> tuple[int, int | None]:
    """Return the depth at the end of a piece, and the first comma outside brackets, if any."""
    for token in _TOKEN.finditer(text, start, end):
        sign = text[token.start()]  # a token may be a long string, which is not copied
        if depth == 0 and sign == ",":
            return depth, token.start()
        depth += _DEPTH_CHANGE.get(sign, 0)
        if depth < 0:
            raise ValueError("brackets that do not match")
    return depth, None


def _depth_steps(piece: str) -> memoryview:
    """Return each bracket of a piece outside strings as 1 or -1; pairs are left out."""
    outside = without_strings(piece).encode("ascii", "replace")
    brackets = outside.translate(None, delete=_NO_BRACKETS).replace(b"{}", b"").replace(b"[]", b"")
    return memoryview(brackets.translate(_STEPS)).cast("b")


def parsed(text: str | None) -> Any:
    """Return the value of JSON text; None if it is not JSON, or takes too much memory."""
    if text is None or not is_parsable(text):
        return None
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None


def parsed_members(values: Mapping[str, str], *without: str) -> dict[str, Any]:
    """Return the parsed values of members, except for those named in *without*."""
    return {name: parsed(text) for name, text in values.items() if name not in without}


def ascii_safe(text: str) -> str:
    """Return JSON text of the same meaning, with everything outside printable ASCII escaped."""
    if text.isascii() and text.isprintable():
        return text
    return _NOT_ASCII.sub(lambda match: json.dumps(match.group())[1:-1], text)


def ascii_safe_bytes(body: bytes) -> str:
    """
    Do the same for the bytes of a long answer, without a wide copy of the whole.

    Raises:
        OverflowError: The text is longer than MAX_SAFE_LENGTH: the answer is not UTF-8 throughout.
    """
    if body.isascii():
        text = body.decode("ascii")
        return text if text.isprintable() else "".join(_ascii_chunks(body))
    return "".join(_ascii_chunks(body))


def _ascii_chunks(body: bytes) -> Iterator[str]:
    decoder, length = codecs.getincrementaldecoder("utf-8")("surrogateescape"), 0
    for start in range(0, len(body), _CHUNK_BYTES):
        last = start + _CHUNK_BYTES >= len(body)
        chunk = ascii_safe(decoder.decode(body[start : start + _CHUNK_BYTES], final=last))
        length += len(chunk)
        if length > MAX_SAFE_LENGTH:
            raise OverflowError
        yield chunk
