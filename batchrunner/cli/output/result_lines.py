"""A result as lines of JSON for a terminal: bounded, safe, and with one place marked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from batchrunner.judge.answer import Answer
from batchrunner.judge.result_values import named
from batchrunner.text.terminal import shorten, term_safe

#: Most lines and columns of a result that are shown.
MAX_LINES, MAX_WIDTH = 60, 160
#: Most entries of one list or object that are shown, and most levels.
MAX_ENTRIES, MAX_LEVELS = 20, 12
#: Most entries that are shown of a list in which a place is marked, beside that place.
_MAX_BESIDE_MARK = 3
#: Most entries among which those that lead to a marked place are looked for.
_MAX_SCANNED = 10_000
#: Longest text that is escaped before it is cut.
_MAX_TEXT = 4 * MAX_WIDTH
_MARK = "> "


class _Line(NamedTuple):
    path: str
    text: str


class _Part(NamedTuple):
    path: str
    value: Any
    head: str = ""  #: what stands before it, such as the name of a field
    tail: str = ""  #: what stands after it: a comma, if more follows


def result_lines(answer: Answer, marked: frozenset[str]) -> Iterator[str]:
    """Give the lines of an answer; `>` stands before what is at one of the *marked* paths."""
    lines = _value_lines(answer, _Part("", answer.value), 0, marked)
    for line in islice(lines, MAX_LINES):
        is_marked = named(answer.path_of(line.path)) in marked
        sign = _MARK if is_marked else " " * len(_MARK)
        yield sign + shorten(term_safe(line.text), MAX_WIDTH)
    if next(lines, None) is not None:
        yield f"{' ' * len(_MARK)}… (cut: `batchrunner result` prints all of it)"


def _value_lines(
    answer: Answer, part: _Part, level: int, marked: frozenset[str]
) -> Iterator[_Line]:
    """Give the lines of a value."""
    path, value, head, tail = part
    indent = "  " * level
    if not value or not isinstance(value, dict | list):
        yield _Line(path, f"{indent}{head}{_scalar(value)}{tail}")
        return
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    if level == MAX_LEVELS:
        yield _Line(path, f"{indent}{head}{opening} … {len(value)} entries {closing}{tail}")
        return
    yield _Line(path, f"{indent}{head}{opening}")
    leads = _leads_to(answer, path, marked)
    most = _MAX_BESIDE_MARK if leads and isinstance(value, list) else MAX_ENTRIES
    shown = 0
    for number, inner in enumerate(islice(_parts(path, value), _MAX_SCANNED)):
        if number < most or (leads and _leads_to(answer, inner.path, marked)):
            yield from _value_lines(answer, inner, level + 1, marked)
            shown += 1
        elif not leads:
            break
    if shown < len(value):
        yield _Line("", f"{indent}  … {len(value) - shown} more")
    yield _Line("", f"{indent}{closing}{tail}")


def _parts(path: str, value: Any) -> Iterator[_Part]:
    last = len(value) - 1
    if isinstance(value, dict):
        for index, (name, part) in enumerate(value.items()):
            inner = f"{path}.{name}" if path else name
            yield _Part(inner, part, f"{_scalar(name)}: ", "," if index < last else "")
    else:
        for index, part in enumerate(value):
            yield _Part(f"{path}[{index}]", part, "", "," if index < last else "")


def _leads_to(answer: Answer, path: str, marked: frozenset[str]) -> bool:
    here = named(answer.path_of(path))
    if here == ".":
        return bool(marked)
    return any(each == here or each.startswith((f"{here}.", f"{here}[")) for each in marked)


def _scalar(value: Any) -> str:
    if isinstance(value, str) and len(value) > _MAX_TEXT:
        return f"{json.dumps(value[:_MAX_TEXT], ensure_ascii=False)} … {len(value):,} characters"
    try:
        return json.dumps(value, ensure_ascii=False)
    except ValueError:  # a number of more digits than Python converts
        return "a very long number"
