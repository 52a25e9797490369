"""
Takes a page apart: its text, its attributes, its addresses, and the data in its scripts.

Pages are read token by token and not as a tree, so that the time is in proportion to the length,
however deep or broken the page is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape

from batchrunner.grounding.folding import SEAM
from batchrunner.grounding.script_data import KeyedText, json_values, script_values

#: What has an end tag and no elements inside.
_RAW = "script|style|title|textarea"
#: A quote opens a value only after `=`; the possessive repeats keep the time linear.
_ATTRIBUTES = r"""((?:[^>=]++|=\s*+(?:"[^"]*+"?|'[^']*+'?)?)*+)>?"""
_TOKEN = re.compile(
    rf"<(?:!--.*?(?:-->|\Z)|({_RAW})(?=[\s/>]){_ATTRIBUTES}(.*?)(?:</\1[^>]*>?|\Z)"
    rf"|(/?)([a-z][^\s/>]*){_ATTRIBUTES}|[!?/][^>]*>?)",
    re.IGNORECASE | re.DOTALL,
)
_ATTRIBUTE = re.compile(r"""([^\s=>"'/]++)\s*+=\s*+("[^"]*+|'[^']*+|[^\s>"']++)""")
_INLINE = frozenset(
    {"a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em"}
    | {"font", "i", "ins", "kbd", "mark", "nobr", "q", "s", "samp", "small", "span", "strike"}
    | {"strong", "sub", "sup", "time", "tt", "u", "var"}
)
_NOTHING = frozenset({"wbr"})
_SHOWN = frozenset(
    {"alt", "title", "content", "value", "datetime", "placeholder", "label", "summary"}
    | {"aria-label", "data", "cite"}
)
_ADDRESSES = frozenset(
    {"href", "src", "action", "poster", "data-src", "data-href", "data-url", "srcset"}
)
#: Attributes that say what the value of an element is.
_KEYS = ("itemprop", "property", "name")
#: Texts, attributes and values of scripts that are kept of one page, in characters.
MAX_KEPT = 4_000_000


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
    texts, end, kept = list[str](), 0, 0
    for token in _TOKEN.finditer(html):
        if token.start() > end:
            texts.append(html[end : token.start()])
            kept += token.start() - end
        end = token.end()
        raw, name = token[1], token[5]
        if name is not None:
            texts.append(_separator(name))
            if token[6] and not token[4]:
                _add_attributes(parts, name.lower(), token[6])
        elif raw is not None:
            texts.append("\n")
            _add_raw(parts, raw.lower(), token[2] or "", token[3], texts)
        if kept > MAX_KEPT:
            parts.is_cut = True
            break
    else:
        texts.append(html[end : end + MAX_KEPT])
    parts.text = unescape("".join(texts))
    return parts


def _separator(name: str) -> str:
    if name in _INLINE:
        return SEAM
    if "-" in name or name.lower() in _INLINE:
        return SEAM
    return "" if name in _NOTHING else "\n"


def attributes_of(text: str) -> Iterator[tuple[str, str]]:
    """Give the attributes inside a tag: names in lower case, values without quotes."""
    for name, value in _ATTRIBUTE.findall(text):
        yield name.lower(), unescape(value.lstrip("\"'") if value[0] in "\"'" else value)


def _add_attributes(parts: PageParts, tag: str, text: str) -> None:
    found = dict(attributes_of(text))
    key = next((found[each] for each in _KEYS if each in found), "")
    if tag == "html":
        parts.language = found.get("lang", "")[:2].lower()
    if tag == "base" and "href" in found and parts.base is None:
        parts.base = found["href"]
    target = parts.meta if tag == "meta" else parts.attributes
    for name, value in found.items():
        if name in _ADDRESSES:
            parts.addresses.extend(_addresses(name, value))
        elif name == "data-cfemail":
            parts.attributes.append(("email", _decoded_address(value)))
        elif value and (name in _SHOWN or name.startswith("data-")):
            target.extend(_attribute_values(key or name, value))


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


def _add_raw(parts: PageParts, name: str, attributes: str, body: str, texts: list[str]) -> None:
    if name == "title":
        parts.meta.append(("title", unescape(body)))
    elif name == "textarea":
        texts.extend((body, "\n"))
    elif name == "script":
        if len(body) > MAX_KEPT:
            parts.is_cut = True
        kind = dict(attributes_of(attributes)).get("type", "").lower()
        if "ld+json" in kind:
            parts.json_ld.extend(json_values(body[:MAX_KEPT]) or script_values(body[:MAX_KEPT]))
        elif kind in (
            "text/template",
            "text/html",
            "text/x-template",
            "text/x-handlebars-template",
        ):
            texts.append(page_parts(body[:MAX_KEPT]).text)
        else:
            parts.scripts.extend(script_values(body[:MAX_KEPT]))
