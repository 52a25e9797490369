"""Headers that people give to the columns with urls, goals and ids; and cells that look like it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from batchrunner.inputs.mapping.cell_text import cell_text
from batchrunner.inputs.mapping.templates import normal

_WORDS = {
    "url": frozenset(
        [
            "url",
            "urls",
            "link",
            "links",
            "href",
            "uri",
            "website",
            "websiteurl",
            "websitelink",
            "webpage",
            "webaddress",
            "page",
            "pageurl",
            "pagelink",
            "producturl",
            "productlink",
            "itemurl",
            "site",
            "siteurl",
            "siteaddress",
            "weblink",
            "hyperlink",
            "permalink",
            "targeturl",
            "starturl",
            "sourceurl",
            "fullurl",
        ]
    ),
    "goal": frozenset(
        ["goal", "goals", "prompt", "prompts", "task", "tasks", "instruction", "instructions"]
    ),
    "id": frozenset({"id"}),
}
#: Rows from which cells that repeat tell something.
_MIN_ROWS = 4
_ADDRESS = re.compile(r"\s*(?:https?://|www\.)\S+\s*|\s*(?:[\w-]+\.)+[a-z]{2,24}(?:/\S*)?\s*", re.I)


def is_header_of(role: str, name: str) -> bool:
    """Return whether a header is one that people give to this column."""
    return normal(name) in _WORDS[role]


def looks_like_urls(sample: Sequence[Sequence[Any]], number: int) -> bool:
    """Return whether most cells of a column look like addresses."""
    texts = _texts(sample, number)
    return 2 * sum(bool(_ADDRESS.fullmatch(each)) for each in texts) > len(texts)


def has_no_urls(sample: Sequence[Sequence[Any]], number: int) -> bool:
    """Return whether a column has cells, and none of them looks like an address."""
    texts = _texts(sample, number)
    return bool(texts) and not any("://" in each or _ADDRESS.fullmatch(each) for each in texts)


def repeats(sample: Sequence[Sequence[Any]], number: int) -> bool:
    """Return whether at most half of the cells of a column differ from row to row."""
    rows = {tuple(map(cell_text, cells)) for cells in sample if cell_text(cells[number]).strip()}
    return len(rows) >= _MIN_ROWS and 2 * len({row[number] for row in rows}) <= len(rows)


def is_unique(sample: Sequence[Sequence[Any]], number: int) -> bool:
    """Return whether every row has another cell in a column, and none an empty one."""
    texts = _texts(sample, number)
    return len({*texts}) == len(texts) == len(sample)


def looks_like_goals(sample: Sequence[Sequence[Any]], number: int) -> bool:
    """Return whether most cells of a column are text of several words."""
    texts = _texts(sample, number)
    return 2 * sum(len(each.split()) > 2 for each in texts) > len(texts)


def _texts(sample: Sequence[Sequence[Any]], number: int) -> list[str]:
    texts = (cell_text(cells[number]).strip() for cells in sample if number < len(cells))
    return [text for text in texts if text]
