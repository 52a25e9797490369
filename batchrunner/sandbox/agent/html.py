"""Parses HTML into a tree, and a tree into the words that a person sees."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice

import httpx
from selectolax.lexbor import LexborHTMLParser, LexborNode

#: Browsers also stop at 512; a parser's time grows with the square of the depth.
DEEPEST = 512

#: Elements whose end tag may be missing, or that have none: they say nothing about depth.
_LOOSE = frozenset(
    (
        *("area", "base", "body", "br", "col", "colgroup", "dd", "dt", "embed", "head", "hr"),
        *("html", "img", "input", "li", "link", "meta", "optgroup", "option", "p", "rp", "rt"),
        *("source", "tbody", "td", "tfoot", "th", "thead", "tr", "track", "wbr"),
    )
)
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]{0,40})")

#: Struck-out text is skipped too: it is no longer valid.
_UNSEEN = frozenset(("script", "style", "template", "noscript", "head", "svg", "del", "s"))
_INLINE = frozenset(
    (
        *("a", "abbr", "b", "bdi", "bdo", "cite", "code", "data", "em", "i", "ins", "kbd", "mark"),
        *("q", "small", "span", "strong", "sub", "sup", "time", "u", "var"),
    )
)


class TooDeepError(ValueError):
    """The page nests its elements deeper than any browser would follow."""


def parse(html: str) -> LexborHTMLParser:
    """Parse a page; broken HTML is repaired as in a browser.

    Raises TooDeepError before a page can make the parser slow.
    """
    opened: Counter[str] = Counter()
    depth = 0
    for closing, tag in _TAG.findall(html):
        name = tag.lower()
        if name in _LOOSE:
            continue
        if not closing:
            opened[name] += 1
            depth += 1
        elif opened[name]:
            opened[name] -= 1
            depth -= 1
        if depth > DEEPEST:
            raise TooDeepError
    return LexborHTMLParser(html)


def text_of(node: LexborNode | None, *, max_pieces: int = 5_000) -> str:
    """Return the visible text of a node on one line; empty for None.

    At most `max_pieces` pieces of text are read.
    """
    if node is None:
        return ""
    return " ".join("".join(islice(_pieces(node), max_pieces)).split())


def attribute(node: LexborNode | None, name: str) -> str:
    """Return an attribute's text; empty if it is missing or has no value."""
    return (node.attributes.get(name) or "").strip() if node is not None else ""


def ancestors(node: LexborNode) -> Iterator[LexborNode]:
    """Yield the node's ancestors, nearest first."""
    parent = node.parent
    while parent is not None:
        yield parent
        parent = parent.parent


def join(base: str, target: str) -> str:
    """Resolve a link against its page's address; return other text unchanged."""
    try:
        return str(httpx.URL(base).join(target))
    except (httpx.InvalidURL, ValueError):
        return target


def _pieces(node: LexborNode) -> Iterator[str]:
    # A stack of nodes and finished text: depth needs no recursion, and a caller that stops early
    # saves the rest of the work.
    waiting: list[LexborNode | str] = [node]
    while waiting:
        current = waiting.pop()
        if isinstance(current, str):
            yield current
            continue
        if current.mem_id != node.mem_id and current.next is not None:
            waiting.append(current.next)
        if current.is_text_node:
            yield current.text_content or ""
        elif not _unseen(current):
            edge = "" if current.tag in _INLINE else " "
            waiting.append(edge)
            if current.child is not None:
                waiting.append(current.child)
            yield edge


def _unseen(node: LexborNode) -> bool:
    if node.tag in _UNSEEN:
        return True
    attributes = node.attributes
    return "hidden" in attributes or attributes.get("aria-hidden") == "true"
