"""Reads a page: everything on it that a job could ask for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from selectolax.lexbor import LexborHTMLParser, LexborNode

from batchrunner.sandbox.agent.fields import fields_in, texts_of
from batchrunner.sandbox.agent.html import attribute, join, text_of
from batchrunner.sandbox.agent.json_ld import json_ld_fields
from batchrunner.sandbox.agent.parse_values import truth
from batchrunner.sandbox.agent.repeated_items import RepeatedItems, repeated_items_in
from batchrunner.sandbox.agent.tables import Table, tables_in

_MAX_LINKS = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """The content of a page, by kind."""

    url: str
    title: str
    description: str
    text: str
    headings: tuple[str, ...]
    links: tuple[dict[str, str], ...]
    facts: dict[str, Any]  #: about the one thing that the page describes
    details: dict[str, str]  #: text by label, as the page lists them
    cards: RepeatedItems
    tables: tuple[Table, ...]


def read_page(tree: LexborHTMLParser, url: str) -> Page:
    """Read a page; all text is plain text, even if it looks like markup."""
    root = tree.css_first("main, [role=main]") or tree.body or tree.css("*")[0]
    cards = repeated_items_in(root, url)
    return Page(
        url=url,
        title=text_of(tree.css_first("title")),
        description=_meta(tree, "description"),
        text=text_of(root),
        headings=tuple(texts_of(root.css("h1, h2, h3"))),
        links=_links(root, url),
        facts=_facts(tree, root, cards),
        details=_details(root),
        cards=cards,
        tables=tables_in(root),
    )


def _meta(tree: LexborHTMLParser, name: str) -> str:
    return attribute(tree.css_first(f'meta[name="{name}"]'), "content")


def _facts(tree: LexborHTMLParser, root: LexborNode, cards: RepeatedItems) -> dict[str, Any]:
    heading = text_of(tree.css_first("h1"))
    spare = {
        "name": heading,
        "author": _meta(tree, "author"),
        "description": _meta(tree, "description"),
    }
    scripts = [node.text() for node in tree.css('script[type="application/ld+json"]')]
    facts: dict[str, Any] = {fact: value for fact, value in spare.items() if value}
    shown = fields_in(root, apart=cards.boxes)
    facts |= shown | json_ld_fields(scripts)
    # JSON-LD has only a few words for this; the page's own words say more.
    facts |= {fact: shown[fact] for fact in ("availability",) if fact in shown}
    title = heading or text_of(tree.css_first("title"))
    if title:
        facts["title"] = title
    if "availability" in facts:
        facts["in_stock"] = truth(facts["availability"]) or False
    return facts


def _details(root: LexborNode) -> dict[str, str]:
    details: dict[str, str] = {}
    for label in root.css("dl > dt"):
        following = label.next
        while following is not None and following.is_text_node:
            following = following.next
        if following is not None and following.tag == "dd":
            details.setdefault(text_of(label).rstrip(":"), text_of(following))
    return {label: text for label, text in details.items() if label and text}


def _links(root: LexborNode, url: str) -> tuple[dict[str, str], ...]:
    links: dict[str, str] = {}
    for node in root.css("a[href]")[: 5 * _MAX_LINKS]:
        address = join(url, attribute(node, "href"))
        if re.match(r"https?://", address) and len(links) < _MAX_LINKS:
            links.setdefault(address, text_of(node))
    return tuple({"text": text, "url": address} for address, text in links.items())
