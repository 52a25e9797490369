"""Answers an output schema: fills its properties from the content of a page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from batchrunner.sandbox.agent.page import Page
from batchrunner.sandbox.agent.parse_values import find_number, find_price, truth
from batchrunner.sandbox.agent.schema_check import schema_errors
from batchrunner.sandbox.agent.word_stems import snake, stems_of

#: Names for the same fact; the first is ours.
_SYNONYMS = (
    ("name", "title", "headline", "label", "product_name", "item_name"),
    ("price", "cost", "amount", "price_amount", "fee"),
    ("currency", "currency_code", "price_currency"),
    ("availability", "in_stock", "is_in_stock", "available", "is_available", "stock"),
    ("rating", "stars", "score", "rating_value", "average_rating"),
    ("reviews", "review_count", "reviews_count", "number_of_reviews", "rating_count"),
    ("features", "highlights", "feature_list", "included"),
    ("description", "summary", "about", "abstract", "excerpt", "blurb"),
    ("author", "by", "byline", "written_by", "writer"),
    ("date", "published", "published_at", "date_published", "publication_date"),
    ("url", "link", "href", "page_url", "product_url"),
    ("period", "billing_period", "interval", "billing"),
    ("headings", "sections", "section_titles"),
    ("text", "content", "body"),
)
#: Words in a name that only say which page or unit is meant. Every other word has a meaning of its
#: own: a shipping cost is not the price, and the seller's name is not the product's name.
_NEUTRAL = frozenset(
    (
        *("product", "item", "plan", "tier", "article", "story", "post", "page", "station"),
        *("name", "title", "value", "number", "total", "count", "year", "month", "monthly"),
        *("current", "usd", "eur", "gbp", "sqkm", "meter", "metre", "celsius"),
    )
)
_ALIKE = {alias: group for group in _SYNONYMS for alias in group}
_LOOSE_MATCH = re.compile(r"[\W_]+")

_Record = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Source:
    """The sources to fill a schema from: one record, and the page's lists of records."""

    record: _Record
    lists: tuple[tuple[frozenset[str], Sequence[_Record]], ...]  #: (name, records)


def answer_schema(page: Page, schema: _Record) -> dict[str, Any]:
    """Return the schema's properties, filled from the page.

    Properties are matched by name and by synonym, lists of objects with the page's products,
    plans, stories, tables and links; values are converted to the type that is asked for. What the
    page does not say is left out.
    """
    return _object(_source(page), schema)


def _source(page: Page) -> _Source:
    record = {
        **{snake(label): text for label, text in page.details.items()},
        **page.facts,
        "headings": list(page.headings),
        "links": [link["url"] for link in page.links],
        "text": page.text,
        "url": page.url,
    }
    lists: list[tuple[frozenset[str], Sequence[_Record]]] = [
        (frozenset(stems_of(page.cards.kind)), page.cards.records)
    ]
    for table in page.tables:
        called = frozenset(stems_of(" ".join(("rows", table.caption, table.headers[0]))))
        rows = [{"name": row.get(table.headers[0]), **row} for row in table.rows]
        lists.append((called, rows))
    lists.append((frozenset(("link",)), page.links))
    return _Source(record=record, lists=tuple(entry for entry in lists if entry[1]))


def _object(source: _Source, schema: _Record) -> dict[str, Any]:
    shaped: dict[str, Any] = {}
    for name, part in schema.get("properties", {}).items():
        value = _property(source, name, part)
        if value is not None or (part.get("nullable") and name in schema.get("required", ())):
            shaped[name] = value
    return shaped


def _property(source: _Source, name: str, schema: _Record) -> Any:
    """Return the value of one property; None if the page does not show it."""
    if "anyOf" in schema:
        values = ((part, _property(source, name, part)) for part in schema["anyOf"])
        fitting = (
            value for part, value in values if value is not None and not schema_errors(value, part)
        )
        return next(fitting, None)
    kind = _kind(schema)
    if kind == "object":
        return _object(source, schema) or None
    if kind == "array":
        return _array(source, name, schema)
    return _convert(_lookup(source.record, name, kind), schema, kind)


def _kind(schema: _Record) -> str:
    declared = schema.get("type")
    if isinstance(declared, str):
        return declared
    return "object" if "properties" in schema else "array" if "items" in schema else "string"


# Lists


def _array(source: _Source, name: str, schema: _Record) -> list[Any] | None:
    items = schema.get("items", {})
    if _kind(items) == "object":
        found = [_object(_inner(source, record), items) for record in _best(source, name, items)]
    else:
        kind = _kind(items)
        found = [_convert(value, items, kind) for value in _column(source, name, kind)]
    kept = [value for value in found if value not in (None, {})]
    return kept[: schema.get("maxItems")] or None


def _inner(source: _Source, record: _Record) -> _Source:
    return source if record is source.record else _Source(record=record, lists=())


def _best(source: _Source, name: str, items: _Record) -> Sequence[_Record]:
    """Return the list with the property's name that can fill most of its items."""
    own = (frozenset[str](), [source.record])
    asked = frozenset(stems_of(name))

    def score(entry: tuple[frozenset[str], Sequence[_Record]]) -> int:
        called, records = entry
        properties = items.get("properties", {})
        filled = sum(_lookup(records[0], part, "") is not None for part in properties)
        return filled + 2 * bool(asked & called) if filled else 0

    best = max((*source.lists, own), key=score)
    return best[1] if score(best) else []


def _column(source: _Source, name: str, kind: str) -> Sequence[Any]:
    """Return a list of plain values: a list of the page, one of its columns, or a single value."""
    value = _lookup(source.record, name, kind)
    if isinstance(value, list):
        return value
    for _, records in source.lists:
        column = [_lookup(record, name, kind) for record in records]
        if any(cell is not None for cell in column):
            return column
    return [value]


# Names


def _lookup(record: _Record, name: str, kind: str) -> Any:
    for key in _keys(record, name):
        # A price is a number if the schema asks for one; otherwise it is the page's own text.
        spelled = f"{key}_text" if kind == "string" else key
        return record.get(spelled, record[key])
    return None


def _keys(record: _Record, name: str) -> Iterator[str]:
    """Yield the record's keys that can mean a name, most certain first."""
    spelled = {snake(key): key for key in record}
    wanted = snake(name)
    for alias in (wanted, *_ALIKE.get(wanted, ())):
        if alias in spelled:
            yield spelled[alias]
    # Each word of the name replaced by our word for it, in the same order.
    parts = [_ALIKE.get(word, (word,))[0] for word in stems_of(name)]
    stems = {key: set(stems_of(key)) for key in record if not key.endswith("_text")}
    for part in parts:
        for key, held in stems.items():
            if part in held and not set(parts) - held - _NEUTRAL:
                yield key


# Values


def _as_text(value: Any) -> str | None:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _as_number(value: Any) -> int | float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    price = find_price(str(value))
    return price.amount if price else find_number(str(value))


def _as_integer(value: Any) -> int | None:
    amount = _as_number(value)
    return int(amount) if amount is not None and amount == int(amount) else None


def _as_boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else truth(str(value))


_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "string": _as_text,
    "number": _as_number,
    "integer": _as_integer,
    "boolean": _as_boolean,
}


def _convert(value: Any, schema: _Record, kind: str) -> Any:
    if value is None or kind not in _CONVERSIONS:
        return None
    converted = _CONVERSIONS[kind](value)
    if "enum" not in schema or converted is None:
        return converted
    plain = _LOOSE_MATCH.sub("", str(converted)).casefold()
    fitting = (one for one in schema["enum"] if _LOOSE_MATCH.sub("", str(one)).casefold() == plain)
    return next(fitting, None)
