"""Cuts JSON text into its parts without parsing them: one strange value spoils nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

#: What structure is made of; strings are taken whole, so that brackets inside them do not count.
_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{},:]', re.DOTALL)
_DEEPER = {"{": 1, "[": 1, "}": -1, "]": -1}
#: What neither both databases nor ASCII can hold as it is.
_UNSAFE = re.compile("[^\t\n\r\x20-\x7e]")


def members(text: str) -> dict[str, str]:
    """
    Return the members of the JSON object *text* by name, each value as the text it stands as.

    Values may be anything of any depth; of a name that stands twice the last one counts.

    Raises:
        ValueError: *text* is not an object, or its brackets do not match.
    """
    found: dict[str, str] = {}
    for part in _parts(text, "{"):
        name = _TOKEN.match(part)
        rest = part[name.end() :].lstrip() if name else ""
        if name is None or not rest.startswith(":"):
            raise ValueError("a member without a name")
        found[str(json.loads(name.group(), strict=False))] = rest[1:].strip()
    return found


def items(text: str) -> list[str]:
    """Return the items of the JSON array *text*, each as the text it stands as; or ValueError."""
    return list(_parts(text, "["))


def _parts(text: str, bracket: str) -> Iterator[str]:
    text = text.strip()
    if not text.startswith(bracket):
        raise ValueError(f"no {bracket} at the start")
    depth, start = 0, 1
    for token in _TOKEN.finditer(text):
        depth += _DEEPER.get(token.group(), 0)
        at_end = depth == 0
        if at_end or (depth == 1 and token.group() == ","):
            part = text[start : token.start()].strip()
            if part or not at_end:
                yield part
            start = token.end()
        if at_end:
            break
    if depth != 0 or text[start:].strip():
        raise ValueError("brackets that do not match")


def plain(text: str | None) -> Any:
    """Return the value that JSON text stands for; None where it cannot be read."""
    if text is None:
        return None
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def plain_members(values: Mapping[str, str], *leave: str) -> dict[str, Any]:
    """Return the values of members, without those named in *leave*."""
    return {name: plain(text) for name, text in values.items() if name not in leave}


def ascii_safe(text: str) -> str:
    """Return JSON text with everything outside printable ASCII escaped, unchanged in meaning."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub(lambda match: json.dumps(match.group())[1:-1], text)
