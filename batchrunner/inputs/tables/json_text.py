"""Values of JSON with all their digits, and where the members of an object are in its text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from batchrunner.outputs import json_values
from batchrunner.outputs.json_values import MAX_DEPTH, Number

_SPACE = re.compile(r"[ \t\n\r]*")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_SINGLE_QUOTED = re.compile(r"[\[{,:]\s*'")
_PYTHON_WORD = re.compile(r"\b(?:True|False|None)\b")


class JsonFault(ValueError):
    """What is wrong with JSON, and where in its text."""

    def __init__(self, message: str, at: int, tip: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.at = at
        self.tip = tip


class Member(NamedTuple):
    """A member of an object, and where its value is."""

    name: str
    start: int
    end: int


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for number, name in enumerate(names) if name in names[:number])
        raise JsonFault(f"the key `{repeated}` is given twice in one object", -1, "remove one")
    return found


def _constant(name: str) -> None:
    if name != "NaN":  # which Python's json and pandas write where there is no value
        raise JsonFault(f"{name} is no value of JSON", -1, "write null")


_DECODER: Final = json.JSONDecoder(
    parse_int=Number, parse_float=Number, parse_constant=_constant, object_pairs_hook=_members
)


def read_value(text: str, start: int = 0) -> tuple[Any, int]:
    """
    Return the value that begins at *start*, and where it ends.

    Raises:
        JsonFault: It is not JSON, is nested too deep, or has a key twice.
    """
    start = start if text.startswith("{", start) else after_space(text, start)
    try:
        value, end = _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise JsonFault(*_syntax(error, text, start)) from None
    except RecursionError:
        raise JsonFault(f"it is nested deeper than {MAX_DEPTH} levels", start) from None
    except JsonFault as fault:
        raise JsonFault(fault.message, start, fault.tip) from None
    brackets = text.count("[", start, end) + text.count("{", start, end)
    if brackets > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise JsonFault(f"it is nested deeper than {MAX_DEPTH} levels", start)
    if "\\u" in text:
        _check_surrogates(value, text, start, end)
    return value, end


def _check_surrogates(value: Any, text: str, start: int, end: int) -> None:
    if _SURROGATE.search(text, start, end):
        try:
            json_values.write(value).encode()
        except UnicodeEncodeError:
            at = _SURROGATE.search(text, start, end)
            message = "half of a character (an unpaired surrogate) is no text"
            raise JsonFault(message, at.start() if at else start, "remove it") from None


def _depth(value: Any) -> int:
    deepest, rest = 0, [(value, 1)]
    while rest:
        node, depth = rest.pop()
        if isinstance(node, dict | list):
            deepest = max(deepest, depth)
            inside = node.values() if isinstance(node, dict) else node
            rest.extend((each, depth + 1) for each in inside)
    return deepest


def _syntax(error: json.JSONDecodeError, text: str, start: int) -> tuple[str, int, str | None]:
    around = text[max(start, error.pos - 30) : error.pos + 30]
    tip = None
    if _SINGLE_QUOTED.search(around):
        tip = "JSON has double quotes only; Python's json.dumps writes them"
    elif _PYTHON_WORD.search(around):
        tip = "JSON writes true, false and null"
    elif re.match(
        r"\s*,\s*[}\]]|[}\]]", text[max(start, error.pos - 2) : error.pos + 5].lstrip(",")
    ):
        tip = "remove the comma in front of the closing bracket"
    return f"this is not JSON: {error.msg[0].lower()}{error.msg[1:]}", error.pos, tip


def after_space(text: str, at: int) -> int:
    """Return the index of the next character that is not white space."""
    space = _SPACE.match(text, at)
    return space.end() if space else at


def items(text: str, start: int) -> Iterator[tuple[Any, int, int]]:
    """
    Give each item of the array that begins at *start*: its value, start and end.

    Raises:
        JsonFault: It is not JSON.
    """
    at = after_space(text, start + 1)
    while not text.startswith("]", at):
        value, end = read_value(text, at)
        yield value, at, end
        following = after_space(text, end)
        if text.startswith(",", following):
            at = after_space(text, following + 1)
            if text.startswith("]", at):
                tip = "remove the comma in front of the closing bracket"
                raise JsonFault("this is not JSON: a comma ends the list", following, tip)
        elif text.startswith("]", following):
            return
        else:
            raise JsonFault("this is not JSON: a comma or `]` is missing", following)


def members(text: str, start: int) -> Iterator[Member]:
    """Give the members of the object that begins at *start*; it is known to be JSON."""
    at = after_space(text, start + 1)
    while at < len(text) and text[at] == '"':
        name, end = json.JSONDecoder().raw_decode(text, at)
        value = after_space(text, after_space(text, end) + 1)
        _, end = _DECODER.raw_decode(text, value)
        yield Member(name, value, end)
        at = after_space(text, after_space(text, end) + 1)
