"""Walks through an answer: which fields hold something, and the cells of a sampled row."""

from __future__ import annotations

from collections.abc import Iterator
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


class Container(NamedTuple):
    """A list or an object of a sampled row."""

    path: str
    length: int | None  #: of a list; None: it is an object


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
            before = len(self.filled)
            self._walk_object(value, path, depth)
            if path and len(self.filled) > before:
                self.filled[path] = None
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


def cells_of(value: Any) -> tuple[tuple[Cell, ...], tuple[Container, ...]]:
    """Return the first cells of an answer, cut short, and its lists and objects."""
    cells: list[Cell] = []
    containers: list[Container] = []
    _collect(value, "", "", 0, cells, containers)
    return tuple(cells), tuple(containers)


def _collect(
    value: Any,
    path: str,
    record: str,
    depth: int,
    cells: list[Cell],
    containers: list[Container],
) -> None:
    if len(cells) >= SAMPLED_CELLS:
        return
    is_inside = depth < MAX_DEPTH
    if not is_inside or not isinstance(value, dict | list) or value == {}:
        cells.append(Cell(path or WHOLE, record, _kept(value)))
        return
    length = len(value) if isinstance(value, list) else None
    if (path or length is not None) and len(containers) < SAMPLED_CELLS:
        containers.append(Container(path or WHOLE, length))
    for inner, own_record, part in _inside(value, path, record):
        if len(cells) >= SAMPLED_CELLS:
            return
        _collect(part, inner, own_record, depth + 1, cells, containers)


def _inside(
    value: dict[str, Any] | list[Any], path: str, record: str
) -> Iterator[tuple[str, str, Any]]:
    """Give the parts of a value, each with its path and the record that it is in."""
    if isinstance(value, list):
        for place, part in enumerate(value[:SAMPLED_ELEMENTS]):
            yield f"{path}[]", f"{record}/{place}", part
        return
    prefix = f"{path}." if path else ""
    for name, part in value.items():
        cut = name if len(name) <= MAX_NAME_LENGTH else _cut(name)
        yield prefix + cut, f"{record}/{path}", part


def _kept(value: Any) -> Any:
    if isinstance(value, str):
        return value[:SAMPLED_CHARACTERS]
    if isinstance(value, dict | list):
        return None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**300:
        return None
    return value
