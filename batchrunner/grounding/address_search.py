"""Looks for addresses of pages, e-mail addresses and phone numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, unquote, urljoin, urlsplit

from batchrunner.grounding.found import Where
from batchrunner.grounding.page_index import PageIndex
from batchrunner.grounding.text_search import Hit

_URL = re.compile(r"(?:[a-z][a-z0-9+.-]{1,12}:)?//[^\s]+|www\.[^\s]+\.[^\s]+", re.IGNORECASE)
_DOMAIN = re.compile(r"(?:[a-z0-9-]{1,63}\.)+[a-z]{2,24}(?:/\S*)?", re.IGNORECASE)
_PATH = re.compile(r"/[^\s]*[a-z0-9][^\s]*", re.IGNORECASE)
_EMAIL = re.compile(r"[^\s@<>]{1,100}@[^\s@<>]{1,100}\.[^\s@<>]{2,30}")
_AT = re.compile(r"\s*[\[({]\s*(?:at|@|ät)\s*[\])}]\s*|\s+(?:at|ät)\s+", re.IGNORECASE)
_DOT = re.compile(r"\s*[\[({]\s*(?:dot|punkt|\.)\s*[\])}]\s*|\s+(?:dot|punkt)\s+", re.IGNORECASE)
_PHONE = re.compile(r"(?:tel\.?:?|phone:?|fax:?)?\s*\+?[\d(][\d\s()./\-–+x]{5,30}", re.IGNORECASE)
_IN_TEXT = re.compile(
    r"(?:https?://|www\.)[^\s\"'<>]{1,2000}",
    re.IGNORECASE,
)
_DIGITS = re.compile(r"\d")
#: Parameters that say where a visitor came from, and not which page is meant.
_TRACKING = re.compile(
    r"(?:utm_\w+|gclid|fbclid|msclkid|mc_[ce]id|ref|ref_|src|source|_ga|igshid|si|spm|scm|aff\w*"
    r"|tag|campaign\w*|cmp|trk|yclid|dclid|_branch\w*|srsltid)=",
    re.IGNORECASE,
)
_MAX_ADDRESS = 2000
#: Where the number of a phone may begin: behind the code of a country, too.
_PHONE_START = r"(?:(?<!\d)|(?<=\+\d)|(?<=\+\d\d)|(?<=\+\d\d\d))"
#: Digits at the end of a phone number that tell it from others.
_MIN_PHONE = 7


class Address(NamedTuple):
    """An address in one spelling."""

    host: str
    path: str
    query: frozenset[str]


def is_address(value: str) -> bool:
    """Say whether a text is the address of a page or file, or a path on a site."""
    text = value.strip()
    if text.startswith(("http://", "https://")) and "\n" not in text:
        return True
    return bool(_URL.fullmatch(text) or _DOMAIN.fullmatch(text) or _PATH.fullmatch(text))


@lru_cache(maxsize=20_000)
def address(text: str, base: str) -> Address | None:
    """Return an address in one spelling; None if it is none."""
    try:
        if text.startswith("www.") or (_DOMAIN.fullmatch(text) and text[:1] != "/"):
            text = f"//{text}"
        parts = urlsplit(urljoin(base, text) if base else text)
        host = (parts.hostname or "").removeprefix("www.")
        if "xn--" in host:
            host = host.encode("ascii").decode("idna")
    except (ValueError, UnicodeError):
        return None
    query = frozenset(
        unquote(each) for each in parts.query.split("&") if each and not _TRACKING.match(each)
    )
    path = unquote(parts.path).rstrip("/").removesuffix("/index.html")
    return Address(host, path, query)


class Addresses:
    """The addresses of pages; each is read only where it may be the one that is looked for."""

    def __init__(self, index: PageIndex, url: str | None) -> None:
        self._own = (url or "")[:_MAX_ADDRESS]
        self._written = list(dict.fromkeys(self._all(index)))

    def _all(self, index: PageIndex) -> Iterator[tuple[Where, str, str]]:
        if self._own:
            yield Where.URL, self._own, ""
        for addresses, base in zip(index.addresses, index.bases, strict=True):
            full = urljoin_safe(self._own, base or "")
            yield from ((Where.URL, each[:_MAX_ADDRESS], full) for each in addresses)
        for segment in index.segments:
            for found in _IN_TEXT.finditer(segment.text):
                yield segment.where, found[0].rstrip(".,;:)"), self._own

    def find(self, value: str) -> tuple[Where, str, str] | None:
        """Return where an address is, as it is written there, and how it differs."""
        wanted = address(value.strip()[:_MAX_ADDRESS], self._own)
        if wanted is None:
            return None
        less: tuple[Where, str, str] | None = None
        for where, text, known in self._candidates(wanted):
            how = _difference(known, wanted)
            if how == "":
                return where, text, ""
            if how and less is None:
                less = where, text, how
        return less

    def _candidates(self, wanted: Address) -> Iterator[tuple[Where, str, Address]]:
        last = wanted.path.rpartition("/")[2] or wanted.host
        spellings = {last, quote(last), last.encode("idna").decode() if len(last) < 60 else last}
        for where, text, base in self._written:
            if not last or any(each in text or each in base for each in spellings):
                known = address(text, base)
                if known is not None:
                    yield where, text, known


def _difference(known: Address, wanted: Address) -> str | None:
    """Return how an address in a page differs from a value; None if it is another one."""
    same_site = known.host == wanted.host or not known.host or not wanted.host
    if not same_site:
        return None
    if known.path == wanted.path:
        if known.query == wanted.query:
            return ""
        if wanted.query <= known.query:
            return "without its parameters"
    return "only its site" if wanted.host and not wanted.path and not wanted.query else None


def urljoin_safe(base: str, text: str) -> str:
    """Return an address on a base; the base if the text is not an address."""
    try:
        return urljoin(base, text)
    except ValueError:
        return base


def is_email(value: str) -> bool:
    """Say whether a text is an e-mail address."""
    return _EMAIL.fullmatch(value.strip().removeprefix("mailto:")) is not None


def find_email(index: PageIndex, value: str) -> Hit | None:
    """Return the place of an e-mail address: as text, in a link, or hidden as `name [at] site`."""
    wanted = value.strip().removeprefix("mailto:").lower()
    for segment in index.segments:
        at = segment.text.lower().find(wanted)
        if at >= 0:
            return Hit(segment, at, at + len(wanted))
    for addresses in index.addresses:
        for each in addresses:
            if each.lower().startswith("mailto:") and wanted in unquote(each).lower():
                return Hit(None, shown=each)
    for segment in index.segments:
        # Seams: a script or a hidden element often stands inside.
        if wanted in _plain_email(segment.seamed):
            return Hit(segment, shown=wanted)
    return None


def _plain_email(text: str) -> str:
    return _DOT.sub(".", _AT.sub("@", text.replace("\x01", ""))).lower()


def is_phone(value: str) -> bool:
    """Say whether a text is a phone number."""
    digits = len(_DIGITS.findall(value))
    return digits >= _MIN_PHONE and _PHONE.fullmatch(value.strip()) is not None


def find_phone(index: PageIndex, value: str) -> Hit | None:
    """Return the place of a phone number, with or without the code of its country."""
    # `+49 (0)30` is dialled without the 0 in brackets.
    digits = "".join(_DIGITS.findall(value.replace("(0)", ""))).lstrip("0")
    for cut in range(4):
        number = digits[cut:].lstrip("0")
        if len(number) < _MIN_PHONE:
            return None
        pattern = re.compile(_PHONE_START + r"[^\w\n]{0,3}".join(number) + r"(?!\d)")
        for segment in index.segments:
            if found := pattern.search(segment.text):
                return Hit(segment, *found.span())
        for addresses in index.addresses:
            for each in addresses:
                if each[:4].lower() in ("tel:", "sms:") and pattern.search(unquote(each)):
                    return Hit(None, shown=each)
    return None
