"""The two values of a change as texts of bounded length."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from batchrunner.differences import MISSING, Change
from batchrunner.differences.values import number_move

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(", ", ": "))


class ValueText(NamedTuple):
    """A value as JSON text, perhaps without its end."""

    text: str
    is_cut: bool


def value_text(value: Any, most: int) -> ValueText:
    """Return a value as JSON text of at most so many characters; no more of it is written."""
    if isinstance(value, str):
        text = json.dumps(value[: most + 1], ensure_ascii=False)
        return ValueText(_cut(text, most), len(text) > most)
    parts: list[str] = []
    length = 0
    for part in _ENCODER.iterencode(value):
        parts.append(part if len(part) <= most else part[: most + 1])
        length += len(parts[-1])
        if length > most:
            break
    return ValueText(_cut("".join(parts), most), length > most)


def plain_text(value: Any, most: int) -> str:
    """Return a value as a cell shows it: a text as it is, and anything else as JSON."""
    if value is MISSING:
        return ""
    return _cut(value, most) if isinstance(value, str) else value_text(value, most).text


def shown_change(change: Change, most: int) -> str:
    """Return a change for people: `12.5 → 13 (+4%)`."""
    before, after = (
        "nothing" if value is MISSING else value_text(value, most).text
        for value in (change.before, change.after)
    )
    numbers = number_move(change)
    move = f" ({move_text(*numbers)})" if numbers and move_text(*numbers) else ""
    return f"{before} → {after}{move}"


def move_text(before: float, after: float) -> str:
    """Return how far a number moved, as a share or a factor; "" if neither says anything."""
    if before == 0 or after == 0 or (before < 0) != (after < 0):
        return ""
    factor = after / before
    if factor >= 10 or factor <= 0.1:
        return f"×{factor:.3g}" if factor >= 10 else f"÷{1 / factor:.3g}" if factor else ""
    return f"{(factor - 1) * 100:+.3g}%"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
