"""Extracts the fields that a part of a page shows about one thing: price, rating, author, …"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from selectolax.lexbor import LexborNode

from batchrunner.sandbox.agent.html import ancestors, attribute, text_of
from batchrunner.sandbox.agent.parse_values import Price, find_number, find_price, truth

_PRICE_SPOTS = "[itemprop=price], [class*=price]"
_FEATURES = re.compile(r"features?|highlights?|included|what you get", re.I)
_BYLINE = re.compile(r"^by\s+", re.I)
_ASIDE = frozenset(("aside", "nav", "footer", "table", "form"))
_FURTHEST = 40
# A page may be very large; the time spent on it must not be.
_MAX_SPOTS = 100
_MAX_PIECES = 200
_MAX_LISTED = 100


def _plain(node: LexborNode) -> str:
    return attribute(node, "content") or text_of(node, max_pieces=_MAX_PIECES)


def _byline(node: LexborNode) -> str:
    return _BYLINE.sub("", _plain(node))


def _moment(node: LexborNode) -> str:
    return attribute(node, "datetime") or _plain(node)


def _stock(node: LexborNode) -> str:
    text = _plain(node)
    return text if truth(text) is not None else ""


def _count(node: LexborNode) -> int | float | None:
    return find_number(_plain(node))


def _reviews(node: LexborNode) -> int | float | None:
    found = re.search(r"[\d,]{1,12}(?=\s(?:reviews|ratings))", _plain(node)[:400])
    return find_number(found.group()) if found else None


#: by fact: where pages show it, and how to read it
_SPOTS: tuple[tuple[str, str, Callable[[LexborNode], Any]], ...] = (
    ("availability", "[itemprop=availability], [class*=availab], [class*=stock]", _stock),
    ("rating", "[itemprop=ratingValue], [class*=rating]", _count),
    ("reviews", "[itemprop=reviewCount], [class*=review], [class*=rating]", _reviews),
    ("author", "[itemprop=author], [rel=author], [class*=author], [class*=byline]", _byline),
    ("date", "[itemprop=datePublished], time", _moment),
    ("description", "[itemprop=description], .description, .summary, [class*=excerpt]", _plain),
)


def fields_in(root: LexborNode, *, apart: Iterable[int] = ()) -> dict[str, Any]:
    """Return the facts that a part of a page shows.

    What is inside navigation, side notes, tables and forms is about something else, as are the
    nodes whose ids are in `apart`.
    """
    closed = frozenset(apart)
    facts = price_fields(_price_in(root, closed))
    for fact, spots, read in _SPOTS:
        values = (read(node) for node in _nodes(root, spots, closed))
        value = next((value for value in values if value), None)
        if value is not None:
            facts[fact] = value
    features = _features_in(root, closed)
    return {**facts, "features": features} if features else facts


def price_fields(price: Price | None) -> dict[str, Any]:
    """Return a price as facts."""
    if price is None:
        return {}
    parts = {
        "price": price.amount,
        "currency": price.currency,
        "price_text": price.text,
        "price_note": "from" if price.is_from else None,
        "period": price.period,
    }
    return {fact: value for fact, value in parts.items() if value is not None}


def _price_in(root: LexborNode, apart: frozenset[int]) -> Price | None:
    prices = (find_price(_plain(node)) for node in _nodes(root, _PRICE_SPOTS, apart))
    found = next((price for price in prices if price), None)
    if found is None:
        prices = (find_price(_plain(node)) for node in _nodes(root, "p, span, strong, li", apart))
        found = next((price for price in prices if price), None)
    return found


def _features_in(root: LexborNode, apart: frozenset[int]) -> list[str]:
    for heading in _nodes(root, "h2, h3, h4", apart):
        if _FEATURES.search(text_of(heading)):
            following = heading.next
            while following is not None and following.tag not in ("ul", "ol", "h2", "h3", "h4"):
                following = following.next
            if following is not None and following.tag in ("ul", "ol"):
                return texts_of(following.css("li"))
    return texts_of(_nodes(root, "[class*=feature] li", apart))


def texts_of(nodes: Iterable[LexborNode]) -> list[str]:
    """Return the texts of the first hundred nodes, without the empty ones."""
    texts = (text_of(node, max_pieces=_MAX_PIECES) for node in islice(nodes, _MAX_LISTED))
    return [text for text in texts if text]


def _nodes(root: LexborNode, spots: str, apart: frozenset[int]) -> Iterator[LexborNode]:
    inside = (node for node in root.css(spots) if _belongs(node, root, apart))
    return islice(inside, _MAX_SPOTS)


def _belongs(node: LexborNode, root: LexborNode, apart: frozenset[int]) -> bool:
    for steps, parent in enumerate(ancestors(node)):
        if parent.mem_id == root.mem_id:
            return True
        if steps > _FURTHEST or parent.tag in _ASIDE or parent.mem_id in apart:
            return False
    return True
