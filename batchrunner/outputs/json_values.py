"""Reads results of any kind, and writes JSON that every parser accepts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from json import JSONDecoder
from json.encoder import encode_basestring, encode_basestring_ascii
from math import isfinite
from types import NoneType
from typing import Any, TypeAlias

from batchrunner.text.json_size import is_nested_deeper, may_have_long_integer

#: Maximum levels of nesting; other parsers refuse more, for example serde_json at 128.
MAX_DEPTH = 100


class Number(str):
    """A number as the API wrote it: 1.10 stays 1.10, with all digits."""

    __slots__ = ()


Json: TypeAlias = "Number | str | bool | list[Json] | dict[str, Json] | None"

_VALUES = JSONDecoder(parse_int=Number, parse_float=Number, parse_constant=Number)
_GRAMMAR = JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)

# Possessive, with an optional closing quote: linear time, also for broken text.
_TOKEN = re.compile(
    r'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]|-?(?:NaN|Infinity|[0-9][0-9.eE+-]*)', re.DOTALL
)
#: Many tokens; it ends where none goes on.
_PART = re.compile(r'(?:"(?:[^"\\]++|\\.)*+"?|[^",]++|,){1,4096}+', re.DOTALL)
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(?P<surrogate>u[dD][89a-fA-F]..)|.)", re.DOTALL
)
_NON_ASCII = re.compile(r"[^\x00-\x7f]+")

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
#: A pair of surrogates, unless it may follow an escaped backslash.
_PAIR = re.compile(r"\\u(?<!\\\\u)[dD][89abAB]..\\u[dD][c-fC-F]..")
#: A number that may be too large for a float: three digits in the exponent, or 200 digits.
_HUGE = re.compile(r"[0-9](?:[eE]\+?[0-9]{3}|[0-9.]{200})")


_BRACKETS = frozenset("[]{}")


def read(text: str) -> Json:
    """
    Return the value of a result; if an object has a name twice, the last value counts.

    Raises:
        ValueError: It is not JSON, or nested deeper than MAX_DEPTH.
    """
    _check_nesting(text)
    value: Json = _VALUES.decode(text)
    return value


def write(value: Json) -> str:
    """Return *value* as strict JSON, without escapes for readable characters."""
    return _WRITERS[type(value)](value)


def _write_array(value: list[Json]) -> str:
    return f"[{', '.join([_WRITERS[type(item)](item) for item in value])}]"


def _write_object(value: dict[str, Json]) -> str:
    members = [
        f"{encode_basestring(key)}: {_WRITERS[type(item)](item)}" for key, item in value.items()
    ]
    return f"{{{', '.join(members)}}}"


def _strict_number(text: str) -> str:
    if isfinite(float(text)):
        return text
    return "null" if text.endswith(("NaN", "Infinity")) else f'"{text}"'


_WRITERS: Mapping[type, Callable[[Any], str]] = {
    Number: _strict_number,
    str: encode_basestring,
    list: _write_array,
    dict: _write_object,
    bool: {True: "true", False: "false"}.__getitem__,
    NoneType: {None: "null"}.__getitem__,
}


def strict(text: str) -> Iterator[str]:
    """
    Give a result in parts of one line of ASCII that strict JSON parsers accept.

    It is changed only if needed: NaN and infinities become null, unpaired surrogates U+FFFD, and
    numbers that are too large for a float become text. Everything else stays, including repeated
    names and all digits.

    Raises:
        ValueError: It is not JSON, or nested deeper than MAX_DEPTH; before the first part.
    """
    return iter((line,)) if (line := strict_line(text)) is not None else _strict(text)


def strict_line(text: str) -> str | None:
    """
    Return the one line that `strict` gives for most results; None where only `strict` can tell.

    A parser that knows strict JSON alone has read it. It also takes an integer of any length.
    """
    if not text.isascii() or text.count("[") + text.count("{") > MAX_DEPTH:
        return None
    if not _is_accepted(text) or may_have_long_integer(text):
        return None
    return text.replace("\n", " ").replace("\r", " ") if "\n" in text or "\r" in text else text


def _is_accepted(text: str) -> bool:
    decode, refused = _strict_parser()
    try:
        decode(str(text))  # it takes no subclass, such as a Number
    except refused:
        return False
    return True


@cache
def _strict_parser() -> tuple[Callable[[str], Any], type[Exception]]:
    # Imported when something is exported: a help text needs the formats, and not this.
    import msgspec  # noqa: PLC0415

    return msgspec.json.Decoder().decode, msgspec.DecodeError


def _strict(text: str) -> Iterator[str]:
    _check_nesting(text)
    _GRAMMAR.decode(text)
    line = text.replace("\n", " ").replace("\r", " ")
    return iter((line,)) if _is_strict(line) else _strict_parts(line)


def _strict_parts(line: str) -> Iterator[str]:
    for part in _PART.finditer(line):
        yield _TOKEN.sub(_strict_token, part[0])


def _check_nesting(text: str) -> None:
    if is_nested_deeper(text, MAX_DEPTH):
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")


def _is_strict(text: str) -> bool:
    """Return whether JSON that Python accepts is surely strict; a quick check for most text."""
    return not (
        not text.isascii()
        or "NaN" in text
        or "Infinity" in text
        or _HUGE.search(text)
        or ("\\u" in text and _SURROGATE.search(_PAIR.sub("", text)))
    )


def _strict_token(token: re.Match[str]) -> str:
    text = token[0]
    if text in _BRACKETS:
        return text
    return strict_string(text) if text.startswith('"') else _strict_number(text)


def strict_string(text: str) -> str:
    """Return a JSON string in ASCII, with U+FFFD for each unpaired surrogate."""
    ascii_only = _NON_ASCII.sub(lambda match: encode_basestring_ascii(match[0])[1:-1], text)
    return _ESCAPE.sub(lambda part: r"\ufffd" if part["surrogate"] else part[0], ascii_only)
