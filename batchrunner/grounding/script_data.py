"""The values that a page keeps in its scripts: JSON, and literals of JavaScript."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

from batchrunner.text.json_size import is_parsable

#: A value with the name beside it; "" where it has none.
KeyedText = tuple[str, str]
#: Values of one script that are kept.
MAX_VALUES = 100_000
#: How often text inside of text is read as JSON.
MAX_LAYERS = 3
_TAG = re.compile(r"<[a-zA-Z/!][^<>]{0,2000}>")
_ASSIGNED = re.compile(r"[=(]\s*(?=[{\[])")
_LITERAL = re.compile(
    r"""(?:(?<=[:=\[,])|(?<=[:=\[,]\s))(?:("(?:[^"\\\n]++|\\.)*+"|'(?:[^'\\\n]++|\\.)*+')(?!\s*+:)"""
    r"""|(-?\d[\d.]*+)(?![\w.]))"""
)
_KEY_BEFORE = re.compile(r"""(?:^|[^\w$-])([A-Za-z_$][\w$-]{0,60})["']?\s?[:=]\s?\Z""")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_CONTROL = {"n": "\n", "t": " ", "r": " ", "b": "", "f": ""}
_SURROGATES = re.compile("[\ud800-\udbff][\udc00-\udfff]")


def json_values(text: str) -> list[KeyedText]:
    """Return the values of a JSON text with their names; [] if it is no JSON."""
    stripped = text.strip().removeprefix("<!--").removesuffix("-->").strip().rstrip(";")
    try:
        if not is_parsable(stripped):
            return []
        return _values(json.loads(stripped, strict=False), MAX_LAYERS)
    except (ValueError, RecursionError):
        return []


def script_values(text: str) -> list[KeyedText]:
    """Return the values in a script: those of its JSON, else its literals with their names."""
    whole = json_values(text) if text.lstrip()[:1] in ("{", "[") else []
    if whole:
        return whole
    start = _ASSIGNED.search(text) if is_parsable(text) else None
    if start and (inner := _decoded_at(text, start.end())):
        value, end = inner
        if end - start.end() > len(text) // 2:
            return _values(value, MAX_LAYERS)
    found = list[KeyedText]()
    for literal in _LITERAL.finditer(text):
        if len(found) >= MAX_VALUES:
            break
        at = literal.start()
        before = _KEY_BEFORE.search(text, max(0, at - 66), at)
        key = before[1] if before else ""
        if literal[1] and len(literal[1]) > 2:
            found.extend(_of_text(key, _unescaped(literal[1][1:-1]), 1))
        elif literal[2] and key:
            found.append((key, literal[2]))
    return found


def _decoded_at(text: str, start: int) -> tuple[Any, int] | None:
    try:
        return json.JSONDecoder(strict=False).raw_decode(text, start)
    except (ValueError, RecursionError):
        return None


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    plain = _ESCAPE.sub(_character, text)
    return _SURROGATES.sub(
        lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), plain
    )


def _character(found: re.Match[str]) -> str:
    code = found[1] or found[2]
    return chr(int(code, 16)) if code else _CONTROL.get(found[3], found[3])


def _values(value: Any, layers: int) -> list[KeyedText]:
    found = list[KeyedText]()
    stack: list[tuple[str, Any]] = [("", value)]
    while stack and len(found) < MAX_VALUES:
        key, each = stack.pop()
        if isinstance(each, dict):
            stack.extend((str(name), part) for name, part in reversed(each.items()))
        elif isinstance(each, list):
            stack.extend((key, part) for part in reversed(each))
        elif isinstance(each, str):
            found.extend(_of_text(key, each, layers))
        elif isinstance(each, bool):
            found.append((key, "true" if each else "false"))
        elif each is not None:
            found.append((key, _number(each)))
    return found


def _number(value: float) -> str:
    try:
        return str(value)
    except ValueError:  # it has more digits than Python writes
        return ""


def _of_text(key: str, text: str, layers: int) -> list[KeyedText]:
    if layers and text[:1] in ("{", "[") and len(text) > 10:
        try:
            if is_parsable(text):
                return _values(json.loads(text, strict=False), layers - 1)
        except (ValueError, RecursionError):
            pass
    if "&" in text:
        text = unescape(text)
    return [(key, _TAG.sub("\n", text) if "<" in text else text)]
