"""Reads the JSON-LD of a page: facts about the thing that the page describes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from batchrunner.sandbox.agent.parse_values import find_number, find_price, number

#: The types that a page can describe, most specific first.
_TYPES = ("Product", "NewsArticle", "Article", "BlogPosting", "Offer", "Event", "Recipe")

#: by fact: its places in schema.org; the first one present wins
_PLACES = (
    ("name", "name"),
    ("name", "headline"),
    ("description", "description"),
    ("price", "offers.price"),
    ("price", "offers.lowPrice"),
    ("price", "price"),
    ("currency", "offers.priceCurrency"),
    ("currency", "priceCurrency"),
    ("availability", "offers.availability"),
    ("availability", "availability"),
    ("rating", "aggregateRating.ratingValue"),
    ("reviews", "aggregateRating.reviewCount"),
    ("brand", "brand.name"),
    ("brand", "brand"),
    ("sku", "sku"),
    ("author", "author.name"),
    ("author", "author"),
    ("date", "datePublished"),
)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def json_ld_fields(scripts: Iterable[str]) -> dict[str, Any]:
    """Return the facts of a page's JSON-LD scripts; broken parts are skipped."""
    things = [thing for script in scripts for thing in _things(script)]
    for kind in _TYPES:
        for thing in things:
            if kind in _list(thing.get("@type")):
                return _facts(thing)
    return {}


def _things(script: str) -> Iterator[dict[str, Any]]:
    try:
        waiting = list(_list(json.loads(script)))
    except (ValueError, RecursionError):
        return
    while waiting:
        thing = waiting.pop(0)
        if isinstance(thing, dict):
            yield thing
            waiting += _list(thing.get("@graph")) + _list(thing.get("mainEntity"))


def _facts(thing: dict[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for fact, place in _PLACES:
        text = _text(_dig(thing, place))
        if fact not in facts and text:
            facts[fact] = text
    readers = {"price": _amount, "rating": find_number, "reviews": find_number}
    for fact, reader in readers.items():
        facts[fact] = reader(facts[fact]) if fact in facts else None
    if "availability" in facts:
        facts["availability"] = _words(facts["availability"])
    return {fact: value for fact, value in facts.items() if value is not None}


def _amount(text: str) -> float | None:
    plain = number(text)
    if plain is not None:
        return float(plain)
    price = find_price(text)
    return price.amount if price else None


def _words(address: str) -> str:
    """Return `In stock` for `https://schema.org/InStock`; plain words are unchanged."""
    name = address.rstrip("/").rpartition("/")[2]
    return _CAMEL.sub(" ", name).capitalize() if " " not in name else name


def _dig(thing: Any, place: str) -> Any:
    for step in place.split("."):
        thing = thing[0] if isinstance(thing, list) and thing else thing
        if not isinstance(thing, dict):
            return None
        thing = thing.get(step)
    return thing


def _text(value: Any) -> str:
    value = value[0] if isinstance(value, list) and value else value
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    # JSON can contain half a surrogate pair, which cannot be stored.
    return " ".join(str(value).encode("utf-8", errors="replace").decode("utf-8").split())


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
