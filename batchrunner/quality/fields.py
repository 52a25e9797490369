"""Walks through an answer: which fields hold something, and the cells of a sampled row."""

from __future__ import annotations

from itertools import islice
from typing import Any, NamedTuple

from batchrunner.quality.values import SURELY_FILLED, is_filled

#: Deepest field that is looked at; deeper parts count as one value.
MAX_DEPTH = 6
#: Most fields of one row, and most different fields below one field.
MAX_FIELDS_OF_ROW = 300
#: Longest name of a field; the rest of a longer one is cut.
MAX_NAME_LENGTH = 60
#: Elements of a list that are looked at for the fields that they fill.
MAX_ELEMENTS = 200
#: Elements of a list, cells and characters of a cell that a sampled row keeps.
SAMPLED_ELEMENTS = 5
SAMPLED_CELLS = 120
SAMPLED_CHARACTERS = 200

#: The whole answer, as a path.
WHOLE = "."


class Cell(NamedTuple):
    """A single value of a sampled row."""

    path: str  #: such as `price` or `items[].name`
    record: str  #: which object of the answer it is in: cells with the same are side by side
    value: Any  #: text is cut


class ListLength(NamedTuple):
    """How long a list of a sampled row is."""

    path: str
    length: int


class _Walk:
    """One pass over an answer, of bounded length."""

    __slots__ = ("empty", "filled", "left")

    def __init__(self) -> None:
        self.left = MAX_FIELDS_OF_ROW * 20
        self.filled: dict[str, None] = {}
        self.empty: dict[str, None] = {}

    def walk(self, value: Any, path: str, depth: int) -> None:
        """Note which fields of a value hold something."""
        self.left -= 1
        if self.left < 0 or len(self.filled) + len(self.empty) >= MAX_FIELDS_OF_ROW:
            return
        kind = type(value)
        if kind is dict and value and depth < MAX_DEPTH:
            self._walk_object(value, path, depth)
        elif kind is list and value and depth < MAX_DEPTH:
            self.filled[path or WHOLE] = None
            for element in value[:MAX_ELEMENTS]:
                if type(element) is dict:
                    self._walk_object(element, f"{path}[]", depth + 1)
        elif is_filled(value):
            self.filled[path or WHOLE] = None
        else:
            self.empty[path or WHOLE] = None

    def _walk_object(  # noqa: C901 - the hottest loop
        self, value: dict[str, Any], path: str, depth: int
    ) -> None:
        prefix, filled = f"{path}." if path else "", self.filled
        items = value.items()
        if len(value) > MAX_FIELDS_OF_ROW:
            items = dict(islice(items, MAX_FIELDS_OF_ROW)).items()
        for name, part in items:
            if len(name) > MAX_NAME_LENGTH:
                name = _cut(name)  # the loop is the hottest one
            if prefix:
                name = prefix + name
            kind = type(part)
            if kind is str:
                if (len(part) > SURELY_FILLED and not part.isspace()) or is_filled(part):
                    filled[name] = None
                else:
                    self.empty[name] = None
            elif kind is dict or kind is list:
                self.walk(part, name, depth + 1)
            elif part is None or part != part:  # NaN, which some parsers read, is nothing
                self.empty[name] = None
            else:
                filled[name] = None


def _cut(name: str) -> str:
    return f"{name[: MAX_NAME_LENGTH - 1]}…"


def fields_of(value: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the paths that hold something, and those that are there and hold nothing."""
    walk = _Walk()
    walk.walk(value, "", 0)
    filled = walk.filled
    return tuple(filled), tuple(path for path in walk.empty if path not in filled)


def cells_of(value: Any) -> tuple[tuple[Cell, ...], tuple[ListLength, ...]]:
    """Return the first cells of an answer, cut short, and the lengths of its lists."""
    cells: list[Cell] = []
    lengths: list[ListLength] = []
    _collect(value, "", "", 0, cells, lengths)
    return tuple(cells), tuple(lengths)


def _collect(
    value: Any,
    path: str,
    record: str,
    depth: int,
    cells: list[Cell],
    lengths: list[ListLength],
) -> None:
    if len(cells) >= SAMPLED_CELLS:
        return
    if isinstance(value, dict) and value and depth < MAX_DEPTH:
        prefix = f"{path}." if path else ""
        for name, part in value.items():
            if len(cells) >= SAMPLED_CELLS:
                return
            inner = prefix + (name if len(name) <= MAX_NAME_LENGTH else _cut(name))
            _collect(part, inner, f"{record}/{path}", depth + 1, cells, lengths)
    elif isinstance(value, list) and depth < MAX_DEPTH:
        if len(lengths) < SAMPLED_CELLS:
            lengths.append(ListLength(path or WHOLE, len(value)))
        for place, part in enumerate(value[:SAMPLED_ELEMENTS]):
            _collect(part, f"{path}[]", f"{record}/{place}", depth + 1, cells, lengths)
    else:
        cells.append(Cell(path or WHOLE, record, _kept(value)))


def _kept(value: Any) -> Any:
    if isinstance(value, str):
        return value[:SAMPLED_CHARACTERS]
    if isinstance(value, dict | list):
        return None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**300:
        return None
    return value
