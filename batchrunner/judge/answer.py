"""The one reading of an answer: JSON in strings, in fenced blocks, in wrappers and after words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, NamedTuple

from batchrunner.text.json_size import is_nested_deeper, is_parsable

#: Fields that wrap an answer where they stand alone, in lower case.
WRAPPERS = frozenset({"result", "data", "output", "answer", "response"})
#: Most levels of nesting that are read, as in exports.
MAX_NESTING = 100
#: Most times that text inside of text, or a wrapper inside of a wrapper, is opened.
MAX_LAYERS = 6
#: Most characters of words before and after JSON; a longer text is an answer in words.
MAX_WORDS_BESIDE = 400
#: Most places in a text where JSON is looked for.
MAX_STARTS = 4
#: Most fenced blocks of a text that are read.
MAX_BLOCKS = 20

_NOT_JSON: Final = object()
#: What may stand around an answer and is not part of it: white space and byte order marks.
_PADDING = " \t\r\n\f\v\0\ufeff\u200b\u2060\xa0"
_FENCE = re.compile(r"(```+|~~~+)[ \t]{0,9}(?:[A-Za-z0-9_+-]{0,20}[ \t]{0,9}(?:\r?\n|(?=[{\[])))?")
_EMPTY_FENCE = re.compile(r"(```|~~~)[A-Za-z0-9_+-]{0,20}\s{0,99}(?:```|~~~)?")
_START = re.compile(r"[\s:：](?=[{\[])")
_OWN_LINE_BEFORE = re.compile(r"(?:[:：\n][ \t]{0,9}|^)$")
_OWN_LINE_AFTER = re.compile(r"[ \t]{0,9}(?:\n|$)")


class Answer(NamedTuple):
    """What a run answered, as every part of the program reads it."""

    value: Any  #: parsed and without wrappers; a text that holds no JSON is a `str`
    path: str = ""  #: the fields that wrapped it, such as `data.result`; empty: none
    is_json: bool = True  #: False: it is text that holds no JSON
    set_aside: bool = False  #: True: it is too large or nested too deep, and *value* is None

    def path_of(self, path: str) -> str:
        """Return a path in *value* as a path in the whole result; `.` stands for the whole."""
        if not self.path or path in ("", "."):
            return self.path or path or "."
        return f"{self.path}{path}" if path.startswith("[") else f"{self.path}.{path}"


_SET_ASIDE = Answer(None, set_aside=True)


def read_answer(text: str, named: frozenset[str] = frozenset()) -> Answer:
    """
    Read a result's text: its value, without what an agent wraps it in.

    JSON is read where it is inside a string, in the only fenced block with JSON, between a short
    sentence before it and one after it, and in a sole field of WRAPPERS. *named* are the top-level
    fields that the job's schema or `expect` names: they wrap nothing.
    """
    if not is_parsable(text) or is_nested_deeper(text, MAX_NESTING):
        return _SET_ASIDE
    whole = _decoded(text)
    is_json = whole is not _NOT_JSON
    value, path = _opened(whole if is_json else text), list[str]()
    while len(path) < MAX_LAYERS and (name := wrapper_of(value, named)) is not None:
        inner = _opened(value[name])
        if not isinstance(inner, dict | list):
            break
        value = inner
        path.append(name)
    return Answer(value, ".".join(path), is_json or isinstance(value, dict | list))


def wrapper_of(value: Any, named: frozenset[str] = frozenset()) -> str | None:
    """Return the sole field of a value if it is a wrapper that the job does not name."""
    if not isinstance(value, dict) or len(value) != 1:
        return None
    (name,) = value
    return name if name not in named and name.lower() in WRAPPERS else None


def holds_no_text(text: str) -> bool:
    """Say whether a text holds nothing, or a fenced block that holds nothing."""
    text = text.strip()
    return not text or _EMPTY_FENCE.fullmatch(text) is not None


def begins_with_json(text: str) -> bool:
    """Say whether a text begins with a whole object or list."""
    try:
        _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return False
    return True


def _opened(value: Any) -> Any:
    """Return the object, list or null that a text holds, and anything else as it is."""
    for _ in range(MAX_LAYERS):
        if not isinstance(value, str):
            break
        inner = _json_in(value.strip(_PADDING))
        if inner is _NOT_JSON:
            break
        value = inner
    return value


def _json_in(text: str) -> Any:
    """Return the JSON that a text holds; a number or a word in a text stays text."""
    if is_nested_deeper(text, MAX_NESTING):
        return _NOT_JSON
    first = text[:1]
    if first and first in '{["' and (whole := _decoded(text)) is not _NOT_JSON:
        return whole
    if text == "null":
        return None
    if "{" not in text and "[" not in text:
        return _NOT_JSON
    return _in_fence(text) if "```" in text or "~~~" in text else _between_words(text)


def _in_fence(text: str) -> Any:
    """Return the JSON of the only fenced block that has some."""
    found, at = _NOT_JSON, 0
    for _ in range(MAX_BLOCKS):
        fence = _FENCE.search(text, at)
        end = text.find(fence[1], fence.end()) if fence else -1
        if fence is None or end < 0:
            return found
        inner = _decoded(text[fence.end() : end])
        if isinstance(inner, dict | list):
            if found is not _NOT_JSON:
                return _NOT_JSON
            found = inner
        at = end + len(fence[1])
    return _NOT_JSON


def _between_words(text: str) -> Any:
    """Return the JSON between a short sentence before it and one after it."""
    for start in _starts(text):
        try:
            value, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict | list) and value and _is_main_part(text, start, end):
            return value
    return _NOT_JSON


def _starts(text: str) -> Iterator[int]:
    """Give the places where JSON may begin: no object is before them."""
    if text[0] in "{[":
        yield 0
    first_object = text.find("{") % len(text)
    for start in islice(_START.finditer(text, 0, MAX_WORDS_BESIDE), MAX_STARTS):
        if start.end() <= first_object:
            yield start.end()


def _is_main_part(text: str, start: int, end: int) -> bool:
    """Say whether a part of a text is an answer, and the rest a sentence before and after it."""
    before, after = text[:start], text[end : end + MAX_WORDS_BESIDE + 1]
    if len(after) > MAX_WORDS_BESIDE or "{" in after:
        return False
    words = before.strip(_PADDING + ":：") + after.strip(_PADDING)
    on_own_lines = _OWN_LINE_BEFORE.search(before) and _OWN_LINE_AFTER.match(after)
    return len(words) <= end - start or bool(on_own_lines)


def _decoded(text: str) -> Any:
    text = text.strip(_PADDING)
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError:
        return _NOT_JSON
    except (ValueError, RecursionError):  # a number of more digits than Python converts
        return _decoded_with_long_numbers(text)


def _decoded_with_long_numbers(text: str) -> Any:
    try:
        return _LONG_NUMBERS.decode(text)
    except (ValueError, RecursionError):
        return _NOT_JSON


_DECODER = json.JSONDecoder(strict=False)
_LONG_NUMBERS = json.JSONDecoder(strict=False, parse_int=float)
