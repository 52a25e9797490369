"""Reads the data tables of a page as lists of records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from selectolax.lexbor import LexborNode

from batchrunner.sandbox.agent.html import text_of
from batchrunner.sandbox.agent.parse_values import number


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table with one record per row, by the header cells."""

    caption: str
    headers: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]


def tables_in(root: LexborNode) -> tuple[Table, ...]:
    """Return every table with a header row; a table around other tables is layout, and left out."""
    found = (_table(node) for node in root.css("table"))
    return tuple(table for table in found if table is not None)


def _table(node: LexborNode) -> Table | None:
    if any(inner.mem_id != node.mem_id for inner in node.css("table")):
        return None
    lines = [cells for row in node.css("tr") if (cells := row.css("th, td"))]
    if not lines or any(cell.tag != "th" for cell in lines[0]):
        return None
    headers = _headers([text_of(cell) for cell in lines[0]])
    rows = [_record(headers, cells) for cells in lines[1:]]
    caption = text_of(node.css_first("caption"))
    return Table(caption=caption, headers=headers, rows=tuple(rows))


def _headers(texts: list[str]) -> tuple[str, ...]:
    headers: list[str] = []
    for position, text in enumerate(texts, start=1):
        name = text or f"Column {position}"
        headers.append(f"{name} {position}" if name in headers else name)
    return tuple(headers)


def _record(headers: tuple[str, ...], cells: list[LexborNode]) -> dict[str, Any]:
    texts = [text_of(cell) for cell in cells]
    values = (text if (value := number(text)) is None else value for text in texts)
    return dict(zip(headers, values, strict=False))
