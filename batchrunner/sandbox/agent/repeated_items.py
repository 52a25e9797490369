"""Finds the repeated boxes of a page (products, plans, stories) as lists of records."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from selectolax.lexbor import LexborNode

from batchrunner.sandbox.agent.fields import fields_in, texts_of
from batchrunner.sandbox.agent.html import ancestors, attribute, join, text_of

_HEADINGS = "h2, h3, h4"
_OUTSIDE = frozenset(("aside", "nav", "footer"))
_WHOLE = frozenset(("main", "body", "html"))
_FURTHEST = 30
_MAX_CARDS = 200

#: The name of the records, by the first fact that one of them has.
_KINDS = (
    ("period", "plans"),
    ("price", "products"),
    ("date", "articles"),
    ("author", "articles"),
    ("name", "items"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RepeatedItems:
    """Boxes that look alike, one record per box."""

    kind: str = "items"
    records: tuple[dict[str, Any], ...] = ()
    boxes: frozenset[int] = frozenset()  #: the ids of the boxes' nodes


def repeated_items_in(root: LexborNode, base: str) -> RepeatedItems:
    """Return the boxes that have exactly one heading and a price, a link or a date.

    One box alone is not a list. `base` is the address that links are relative to.
    """
    boxes = [(heading, box) for heading, box in _boxes(root) if _is_card(heading, box)]
    if len(boxes) < 2:
        return RepeatedItems()
    records = tuple(_record(heading, box, base) for heading, box in boxes)
    kind = next(kind for fact, kind in _KINDS if any(fact in record for record in records))
    return RepeatedItems(
        kind=kind, records=records, boxes=frozenset(box.mem_id for _, box in boxes)
    )


def _boxes(root: LexborNode) -> list[tuple[LexborNode, LexborNode]]:
    """Return each heading with the largest box around it that has no other heading."""
    lines = []
    for heading in root.css(_HEADINGS)[:_MAX_CARDS]:
        line = [parent for parent, _ in zip(ancestors(heading), range(_FURTHEST), strict=False)]
        if text_of(heading) and not any(parent.tag in _OUTSIDE for parent in line):
            lines.append((heading, line))
    held = Counter(parent.mem_id for _, line in lines for parent in line)
    boxes = []
    for heading, line in lines:
        alone = [box for box in line if held[box.mem_id] == 1 and box.tag not in _WHOLE]
        if alone:
            boxes.append((heading, alone[-1]))
    return boxes


def _is_card(heading: LexborNode, box: LexborNode) -> bool:
    if heading.css_first("a[href]") or box.css_first("time"):
        return True
    return "price" in fields_in(box)


def _record(heading: LexborNode, box: LexborNode, base: str) -> dict[str, Any]:
    facts = fields_in(box)
    record = {"name": text_of(heading), **facts}
    href = attribute(heading.css_first("a[href]"), "href")
    if href:
        record["url"] = join(base, href)
    listed = texts_of(box.css("li"))
    if "price" in facts and "features" not in facts and listed:
        record["features"] = listed
    return record
