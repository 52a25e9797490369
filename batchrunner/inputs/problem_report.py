"""Lays problems out for a terminal: line, column, source line, caret and tip."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from batchrunner.model.problems import JobFileErrors, Problem

#: Maximum problems that are shown in full; the others are only counted.
MAX_PROBLEMS_SHOWN = 50
#: Maximum characters of a source line that are shown, around the caret.
_WINDOW = 100
#: Minimum characters of those before the caret.
_LEAD = 40
_MAX_TEXT_LENGTH = 500
#: A tip may be a whole schema to copy.
_MAX_TIP_LENGTH = 5_000


def report(
    errors: JobFileErrors, *, not_done: str = "nothing was loaded", tip: str | None = None
) -> str:
    """
    Return all problems as text that is safe for a terminal, without a final newline.

    *not_done* ends the report: what did not happen because of the problems. *tip* is for all.
    """
    shown = [_block(problem) for problem in errors.problems[:MAX_PROBLEMS_SHOWN]]
    hidden = len(errors.problems) - len(shown) + errors.more
    if hidden:
        shown.append(f"… and {hidden:,} more {'problem' if hidden == 1 else 'problems'}, not shown")
    end = "" if tip is None else f"\n  tip: {tip}"
    shown.append(f"{_safe(str(errors))}; {not_done}{end}")
    return "\n\n".join(shown)


def _block(problem: Problem) -> str:
    number = str(problem.line)
    gutter = " " * (len(number) + 1)
    line, caret = _excerpt(problem)
    place = f" ({_safe(_cut(problem.place))})" if problem.place else ""
    rows = [
        f"error: {_safe(_cut(problem.message))}",
        f"{gutter}--> {_safe(problem.file)}:{problem.line}:{problem.column}{place}",
        f"{gutter} |",
        f" {number} | {line}".rstrip(),
        f"{gutter} | {caret}",
    ]
    if problem.tip is not None:
        rows.append(f"{gutter} = tip: {_safe(_cut(problem.tip, _MAX_TIP_LENGTH))}")
    return "\n".join(rows)


def _excerpt(problem: Problem) -> tuple[str, str]:
    """Return the source line, cut around the caret, and the line with the caret."""
    line, at = problem.source_line, (problem.source_column or problem.column) - 1
    start = max(0, min(at - _LEAD, len(line) - _WINDOW))
    end = start + _WINDOW
    before = ("…" if start else "") + _safe(line[start:at])
    spanned = _safe(line[at : min(at + problem.width, end)])
    after = _safe(line[min(at + problem.width, end) : end]) + ("…" if end < len(line) else "")
    return before + spanned + after, " " * _cells(before) + "^" * max(_cells(spanned), 1)


def _cut(text: str, most: int = _MAX_TEXT_LENGTH) -> str:
    return text if len(text) <= most else text[:most] + "…"


def _safe(text: str) -> str:
    """Return *text* with escapes for everything that is not printable."""
    return text if text.isprintable() else "".join(_escaped(text))


def _escaped(text: str) -> Iterator[str]:
    for character in text:
        yield character if character.isprintable() else ascii(character)[1:-1]


def _cells(text: str) -> int:
    """Return how many columns *text* has in a terminal."""
    return len(text) if text.isascii() else sum(map(_cell, text))


def _cell(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
