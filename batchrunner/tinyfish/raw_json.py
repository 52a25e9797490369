"""Splits JSON text into its parts without parsing them, so that one bad value spoils no other."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

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
_NOT_ASCII = re.compile("[^\t\n\r\x20-\x7e]")


def members(text: str) -> dict[str, str]:
    """
    Return the members of the JSON object *text* by name, each value as unparsed text.

    Values may be of any kind and depth. If a name occurs twice, the last value counts.

    Raises:
        ValueError: *text* is not an object, or its quotes or brackets do not match.
    """
    found: dict[str, str] = {}
    at, end = _inside(text, "{")
    while at < end:
        name = _TOKEN.match(text, at)
        colon = _after_space(text, name.end()) if name else end
        if name is None or not text.startswith(":", colon):
            raise ValueError("a member without a name")
        value = _after_space(text, colon + 1)
        value_end = _value_end(text, value, end)
        found[str(_DECODER.decode(name.group()))] = text[value:value_end].rstrip(_SPACES)
        at = _after_space(text, value_end + 1)
    return found


def items(text: str) -> list[str]:
    """Return the items of the JSON array *text* as unparsed text; or ValueError."""
    found: list[str] = []
    at, end = _inside(text, "[")
    while at < end:
        value_end = _value_end(text, at, end)
        found.append(text[at:value_end].rstrip(_SPACES))
        at = _after_space(text, value_end + 1)
    return found


def _inside(text: str, bracket: str) -> tuple[int, int]:
    """Return the start and end of what is inside the outermost brackets."""
    start, end = _after_space(text, 0), len(text.rstrip(_SPACES)) - 1
    if end <= start or text[start] != bracket or text[end] != _CLOSING[bracket]:
        raise ValueError(f"no {bracket} that is closed again")
    return _after_space(text, start + 1), end


def _after_space(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _value_end(text: str, start: int, end: int) -> int:
    """
    Return the index of the comma after a value, or *end*.

    The JSON parser finds it; if the parser fails or stops early, quotes and brackets do.
    """
    try:
        value_end = _after_space(text, _DECODER.raw_decode(text, start)[1])
    except (ValueError, RecursionError):
        value_end = start
    if value_end == end or (start < value_end < end and text[value_end] == ","):
        return value_end
    depth = 0
    for token in _TOKEN.finditer(text, start, end):
        if token["open"] is not None:
            raise ValueError("a string that is not closed")
        if depth == 0 and token.group() == ",":
            return token.start()
        depth += _DEPTH_CHANGE.get(token.group(), 0)
        if depth < 0:
            break
    if depth != 0:
        raise ValueError("brackets that do not match")
    return end


def parsed(text: str | None) -> Any:
    """Return the value of JSON text; None if it is not JSON."""
    if text is None:
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
