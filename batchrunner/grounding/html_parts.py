"""
Takes a page apart: its text, its attributes, its addresses, and the data in its scripts.

Pages are read with patterns and not as a tree, so that the time is in proportion to the length,
however deep or broken the page is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape

from batchrunner.grounding.folding import SEAM
from batchrunner.grounding.script_data import KeyedText, json_values, script_values

#: What stands inside a tag: a quote opens a value only after `=`. Possessive, so that it is linear.
_INSIDE = r"""((?:[^>=]++|=\s*+(?:"[^"]*+"|'[^']*+')?)*+)"""
#: Elements with an end tag and no elements inside, comments, and elements of the head.
_RAW_PART = re.compile(
    rf"<!--(?:[^-]++|-(?!->))*+(?:-->)?|<(script|style|title|textarea)(?=[\s/>]){_INSIDE}>?"
    rf"((?:[^<]++|<(?!/\1))*+)(?:</\1[^>]*+>?)?|<(meta|base|html)(?=[\s/>]){_INSIDE}>?",
    re.IGNORECASE,
)
_INLINE_TAG = re.compile(
    r"</?(?:a|abbr|acronym|b|bdi|bdo|big|cite|code|data|del|dfn|em|font|i|ins|kbd|mark|nobr|q|s|samp"
    rf"|small|span|strike|strong|sub|sup|time|tt|u|var|[a-z]++-[^\s/>]*+)(?=[\s/>]){_INSIDE}>?",
    re.IGNORECASE,
)
_BREAK_IN_WORD = re.compile(r"<wbr\s*+/?>", re.IGNORECASE)
_TAG = re.compile(rf"<(?:/?[a-z]{_INSIDE}>?|[!?/][^>]*+>?)", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""([^\s=>"'/]++)\s*+=\s*+("[^"]*+|'[^']*+|[^\s>"']++)""")
_OPEN_TAG = re.compile(rf"<[a-z][^\s/>]*+{_INSIDE}", re.IGNORECASE)
_ANY_ATTRIBUTE = re.compile(r"""[\s"']([A-Za-z][\w-]*+)\s*+=\s*+("[^"]*+"|'[^']*+'|[^\s>"']++)""")
_ADDRESSES = frozenset(
    {"href", "src", "action", "poster", "data-src", "data-href", "data-url", "srcset"}
)
_SHOWN = frozenset(
    {"alt", "title", "content", "value", "datetime", "placeholder", "label", "summary"}
    | {"aria-label", "data", "cite"}
)
_VALUES = ("content", "value", "datetime")
#: Attributes that say what the value of an element is.
_KEYS = ("itemprop", "property", "name")
#: Characters of each kind of part that are kept of one page.
MAX_KEPT = 600_000
#: Longest script that is read; what is kept of its values is bounded apart.
MAX_SCRIPT = 4_000_000
_TEMPLATES = ("text/template", "text/html", "text/x-template", "text/x-handlebars-template")


@dataclass(slots=True)
class PageParts:
    """The parts of one page."""

    text: str = ""
    attributes: list[KeyedText] = field(default_factory=list)
    meta: list[KeyedText] = field(default_factory=list)
    json_ld: list[KeyedText] = field(default_factory=list)
    scripts: list[KeyedText] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    base: str | None = None
    language: str = ""
    is_cut: bool = False  #: whether some of the page was left out


def page_parts(html: str) -> PageParts:
    """Return the parts of a page."""
    parts = PageParts()
    pieces, end = list[str](), 0
    for raw in _RAW_PART.finditer(html):
        pieces.append(html[end : raw.start()])
        end = raw.end()
        if raw[1]:
            pieces.append("\n")
            _add_raw(parts, raw[1].lower(), raw[2], raw[3], pieces)
        elif raw[4]:
            _add_of_head(parts, raw[4].lower(), raw[5])
    pieces.append(html[end:])
    markup = "".join(pieces)
    _add_attributes(parts, markup)
    text = _INLINE_TAG.sub(SEAM, _BREAK_IN_WORD.sub("", markup))
    text = unescape(_TAG.sub("\n", text))
    parts.is_cut |= len(text) > MAX_KEPT
    parts.text = text[:MAX_KEPT]
    return parts


def attributes_of(text: str) -> Iterator[tuple[str, str]]:
    """Give the attributes inside a tag: names in lower case, values without quotes."""
    for name, value in _ATTRIBUTE.findall(text):
        yield name.lower(), _plain(value)


def _add_of_head(parts: PageParts, tag: str, text: str) -> None:
    found = dict(attributes_of(text))
    if tag == "html":
        parts.language = found.get("lang", "")[:2].lower()
    elif tag == "base" and "href" in found and parts.base is None:
        parts.base = found["href"]
    elif tag == "meta" and found.get("content"):
        key = next((found[each] for each in _KEYS if each in found), "")
        parts.meta.append((key, found["content"]))


def _add_attributes(parts: PageParts, markup: str) -> None:
    for inside in dict.fromkeys(_OPEN_TAG.findall(markup)):
        if not any(each in inside for each in _KEYS):
            continue
        named = dict(attributes_of(inside))
        key = next((named[each] for each in _KEYS if each in named), "")
        parts.attributes.extend((key, named[each]) for each in _VALUES if named.get(each))
    for written, value in dict.fromkeys(_ANY_ATTRIBUTE.findall(markup)):
        name = written.lower()
        if name in _SHOWN or name in _ADDRESSES or name.startswith("data-"):
            _add_attribute(parts, name, _plain(value))


def _add_attribute(parts: PageParts, name: str, value: str) -> None:
    if name in _ADDRESSES:
        parts.addresses.extend(_addresses(name, value))
        if "schema.org/" in value:  # a word in the form of an address: `InStock`
            parts.attributes.append((name, value))
    elif name == "data-cfemail":
        parts.attributes.append(("email", _decoded_address(value)))
    elif value:
        parts.attributes.extend(_attribute_values(name, value))


def _plain(value: str) -> str:
    inner = value[1:].removesuffix(value[0]) if value[0] in "\"'" else value
    return unescape(inner) if "&" in inner else inner


def _attribute_values(key: str, value: str) -> list[KeyedText]:
    if value[0] in "{[" and len(value) > 10 and (inner := json_values(value)):
        return inner
    return [(key, value)]


def _addresses(name: str, value: str) -> list[str]:
    if name != "srcset":
        return [value.strip()]
    return [each.split()[0] for each in value.split(", ") if each.split()]


def _decoded_address(code: str) -> str:
    """Return an e-mail address that Cloudflare hid: each byte is xored with the first."""
    try:
        data = bytes.fromhex(code)
    except ValueError:
        return ""
    return bytes(each ^ data[0] for each in data[1:]).decode("utf-8", "replace")


def _add_raw(parts: PageParts, name: str, attributes: str, body: str, pieces: list[str]) -> None:
    if name == "title":
        parts.meta.append(("title", unescape(body)))
    elif name == "textarea":
        pieces.extend((body, "\n"))
    elif name == "script":
        if len(body) > MAX_SCRIPT:
            parts.is_cut = True
        kind = dict(attributes_of(attributes)).get("type", "").lower()
        if "ld+json" in kind:
            parts.json_ld.extend(json_values(body[:MAX_SCRIPT]) or script_values(body[:MAX_SCRIPT]))
        elif kind in _TEMPLATES:
            pieces.append(body)
        else:
            parts.scripts.extend(script_values(body[:MAX_SCRIPT]))
