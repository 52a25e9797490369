"""The url of a job: what is wrong with it, what is odd about it, and which page it leads to."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from batchrunner.inputs.field_types import (
    INVALID,
    Refused,
    Url,
    ValueFault,
    refuse,
)
from batchrunner.inputs.nodes import Node, Scalar, is_null
from batchrunner.inputs.problem_log import ProblemLog

_WEB = Url(schemes=("https", "http"))

#: An address with nothing odd about it, as nearly all are.
_ORDINARY = re.compile(
    r"https?://(?:(?!xn--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+"
    r"(?!(?:local|internal|lan|home|corp|intranet|localhost|localdomain)(?![a-z-]))[a-z]{2,24}"
    r"(?:/(?:[A-Za-z0-9_~!'()*+,=@/-]|%(?!7[Bb]|\()|\.(?!\.)|:(?!/))*)?"
    r"(?:\?(?:[A-Za-z0-9_~!'()*+,=@/-]|%(?!7[Bb]|\()|&(?!amp;)|\.(?!\.)|:(?!/))*)?"
)
_URL = r"https?://[^\s<>\"'“”‘’«»\[\]|`]+"
_INVISIBLE = "\u00ad\u200b\u200c\u200d\u2060\ufeff\u200e\u200f\u202a\u202b\u202c\u2066\u2067\u2069"

# ---- what is taken off around an address, in the tip ----

_WRAPPED = (
    (re.compile(rf"\[[^\]]*\]\(\s*<?(?P<url>{_URL}?)>?(?:\s+\"[^\"]*\")?\s*\)"), "a Markdown link"),
    (re.compile(rf"<(?:URL:)?\s*(?P<url>{_URL})\s*>"), "an address in angle brackets"),
    (re.compile(rf".*<a\b[^>]*href=[\"']?(?P<url>{_URL}).*", re.I | re.DOTALL), "an HTML link"),
    (re.compile(rf"=\s*HYPERLINK\(\s*\"(?P<url>{_URL})\".*", re.I | re.DOTALL), "a formula"),
    (
        re.compile(rf"[\"'“”‘’„‚«»‹›`]+\s*(?P<url>{_URL})\s*[\"'“”‘’„‚«»‹›`]+"),
        "an address in quotes",
    ),
    (re.compile(rf"[\(\[]\s*(?P<url>{_URL}?)\s*[\)\]]"), "an address in brackets"),
)
_SECOND = re.compile(r"(?<=\S)(?:\s*[,;|]\s*|\s+)(?:https?://|www\.)", re.I)
_MANY = re.compile(r"\s*[,;|]\s*(?=https?://|www\.)|\s+", re.I)
_PLACEHOLDER = re.compile(
    r"\{\{?\s*[^{}]{1,60}?\s*\}?\}|%7[Bb]\w{1,60}%7[Dd]|<\w[\w -]{0,60}>|%\(\w{1,60}\)[sd]"
)
_START = "an address must start with https:// or http://"
_SCHEMES = {
    "mailto": "is a mail address, not a page",
    "tel": "is a telephone number, not a page",
    "sms": "is a telephone number, not a page",
    "javascript": "is a script, not a page",
    "data": "is data, not a page",
    "file": "is a file on a computer, which the API cannot read",
    "ftp": "is on an FTP server, which a browser does not open",
    "sftp": "is on an FTP server, which a browser does not open",
    "chrome": "is a page of a browser, not of the web",
    "about": "is a page of a browser, not of the web",
    "blob": "is inside of a browser, not on the web",
    "view-source": "is the source of a page, not a page",
}
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.I)
_MISTYPED = re.compile(
    r"(?:h?t{1,3}ps?|hxxps?|https?|htps?|httpss|httos?|ttps?)(?:\s*[:;.]{0,2}\s*[/\\]{0,4}\s*)",
    re.I,
)
_BARE = re.compile(
    r"(?:[\w-]+\.)+[^\W\d_]{2,24}\.?(?::\d{1,5})?(?:[/?#]\S*)?|"
    r"(?:localhost|\d{1,3}(?:\.\d{1,3}){3})(?::\d{1,5})?(?:[/?#]\S*)?"
)
_SPREADSHEET_ERROR = re.compile(
    r"#(?:REF!|N/A|VALUE!|NAME\?|DIV/0!|NULL!|NUM!|SPILL!|CALC!|ERROR!|GETTING_DATA|####+)", re.I
)
_NOTHING = frozenset(
    {"-", "–", "—", "n/a", "na", "nan", "none", "null", "nil", "tbd", "todo", "?", "x", "."}
)


def spreadsheet_error(text: str) -> str | None:
    """Return the error value of a spreadsheet that a cell consists of, if it does."""
    return text if _SPREADSHEET_ERROR.fullmatch(text.strip()) else None


def is_ordinary(text: str) -> bool:
    """Return whether an address has no fault, and nothing odd; most others have neither, too."""
    return _ORDINARY.fullmatch(text) is not None and len(text) <= _WEB.max_length


def url_fault(text: str) -> ValueFault | None:
    """Return why a job cannot start at this address, with what to write instead; None if it can."""
    if is_ordinary(text):
        return None
    for check in _CHECKS:
        if (fault := check(text)) is not None:
            return fault
    return _WEB.fault(text)


def _no_address(text: str) -> ValueFault | None:
    if not text:
        return ValueFault("is empty", "write the address of a page")
    if spreadsheet_error(text):
        return ValueFault(f"is `{text}`, an error of the spreadsheet", "mend the formula there")
    if text.casefold() in _NOTHING:
        return ValueFault(f"is `{text}`, not an address", "write the address of a page")
    return None


def _two(text: str) -> ValueFault | None:
    if _SECOND.search(text) is None or not text.casefold().startswith(("http", "www.")):
        return None
    urls = [each for each in _MANY.split(text.strip()) if each]
    if not all(_WEB.is_valid(each) or each.casefold().startswith("www.") for each in urls):
        return None
    return ValueFault(f"holds {len(urls)} addresses", "write one row for each of them")


def _wrapped(text: str) -> ValueFault | None:
    for pattern, kind in _WRAPPED:
        if (found := pattern.fullmatch(text)) and _WEB.is_valid(found["url"]):
            return ValueFault(f"is {kind}", f"write {found['url']}")
    return None


def _invisible(text: str) -> ValueFault | None:
    bad = next((each for each in text if each in _INVISIBLE), None)
    if bad is None:
        return None
    clean = "".join(each for each in text if each not in _INVISIBLE).strip()
    name = unicodedata.name(bad, "INVISIBLE").lower()
    written = ascii(bad)[1:-1]
    return ValueFault(f"contains the invisible character {written} ({name})", f"remove it: {clean}")


def _placeholder(text: str) -> ValueFault | None:
    if (found := _PLACEHOLDER.search(text)) is None:
        return None
    return ValueFault(
        f"has the placeholder `{found[0]}` left in it",
        "write the address itself; for a table whose columns fill it, give --url "
        "'https://shop.example/{column}'; a brace that belongs to it is %7B or %7D",
    )


def _blank(text: str) -> ValueFault | None:
    if (" " not in text and "\u00a0" not in text) or not _WEB.is_valid(
        re.sub("[ \u00a0]+", "", text)
    ):
        return None
    fixed = re.sub("[ \u00a0]", "%20", text)
    return ValueFault("contains a space", f"write %20 for a space that belongs to it: {fixed}")


def _other_scheme(text: str) -> ValueFault | None:
    found = _SCHEME.match(text)
    scheme = found[1].lower() if found else ""
    if scheme in _SCHEMES:
        return ValueFault(_SCHEMES[scheme], _START)
    if re.match(r"[A-Za-z]:[\\/]|\\\\|/(?!/)|\.{1,2}/|~/", text):
        return ValueFault("is the path of a file, not an address", _START)
    return None


def _no_scheme(text: str) -> ValueFault | None:
    if text.startswith("//") and _BARE.fullmatch(text[2:]):
        return ValueFault("has no https:// in front", f"write https:{text}")
    if re.fullmatch(r"[^@\s/]+@(?:[\w-]+\.)+[a-z]{2,24}", text, re.I):
        return ValueFault(_SCHEMES["mailto"], _START)
    if _BARE.fullmatch(text):
        return ValueFault("has no https:// in front", f"write https://{text}")
    return None


def _mistyped(text: str) -> ValueFault | None:
    found = _MISTYPED.match(text)
    if found is None or found[0].lower() in ("http://", "https://"):
        return _twice(text)
    rest = text[found.end() :].replace("\\", "/")
    scheme = "http" if found[0].lower().rstrip(" :;./\\") == "http" else "https"
    if not _BARE.fullmatch(rest):
        return None
    written = text[: found.end()]
    return ValueFault(f"starts with `{written}`", f"write {scheme}://{rest}")


def _twice(text: str) -> ValueFault | None:
    found = re.match(r"https?://(https?[:/;]+)(\S+)", text, re.I)
    if found is None:
        return None
    scheme = "http" if found[1].lower().startswith("http:") else "https"
    return ValueFault("has two schemes in front", f"write {scheme}://{found[2]}")


def _backslashes(text: str) -> ValueFault | None:
    host = text.partition("://")[2]
    if "\\" not in host.split("?")[0]:
        return None
    return ValueFault("contains backslashes", f"write {text.replace(chr(92), '/')}")


def _host(text: str) -> ValueFault | None:
    if not _WEB.is_valid(text):
        return None
    try:
        host = urlsplit(text).hostname or ""
    except ValueError:
        return ValueFault("has no valid host", "write it like https://example.com/page")
    labels = host.removesuffix(".").split(".")
    if host.startswith("[") or ":" in host:
        return None
    if not all(labels) or len(host) > 253 or any(len(each) > 63 for each in labels):
        return ValueFault(f"has the host `{host}`, which cannot exist", "check the address")
    return None


_CHECKS: tuple[Callable[[str], ValueFault | None], ...] = (
    _no_address,
    _wrapped,
    _two,
    _invisible,
    _placeholder,
    _other_scheme,
    _no_scheme,
    _mistyped,
    _backslashes,
    _blank,
    _host,
)


# ---- what is odd, and loaded ----


class Oddity(NamedTuple):
    """What is odd about an address that can be loaded."""

    kind: str  #: the same for all addresses with this oddity
    detail: str = ""


_PRIVATE_SUFFIXES = (".local", ".internal", ".lan", ".home", ".corp", ".intranet", ".localdomain")


def url_oddities(text: str) -> Iterator[Oddity]:
    """Give what is odd about an address that has no fault."""
    if _ORDINARY.fullmatch(text):
        return
    parts = urlsplit(text)
    if parts.username is not None:
        yield Oddity(
            "contains a user name or a password, which exports and the API show; logins belong "
            "into the vault: batchrunner vault --help",
        )
    yield from _odd_host((parts.hostname or "").removesuffix("."))
    if "&amp;" in text:
        yield Oddity("contains `&amp;`, as HTML writes `&`", text.replace("&amp;", "&"))
    if text.endswith(("...", "…")):
        yield Oddity("ends in an ellipsis, as where it was cut when it was copied")


def _odd_host(host: str) -> Iterator[Oddity]:
    if host in ("localhost", "") or host.endswith((".localhost", *_PRIVATE_SUFFIXES)):
        yield Oddity("is on this machine or in a private network, which the API cannot reach", host)
        return
    try:
        address = ip_address(host)
    except ValueError:
        yield from _odd_name(host)
        return
    if not address.is_global:
        yield Oddity("is on this machine or in a private network, which the API cannot reach", host)


def _odd_name(host: str) -> Iterator[Oddity]:
    if "." not in host:
        yield Oddity("has a host without a dot, which the API cannot reach", host)
    name = _unpunycoded(host)
    if any(len(_scripts(label)) > 1 for label in name.split(".")):
        yield Oddity("has a host with letters of several scripts, as a fake address has", name)
    elif name != host:
        yield Oddity("has a host in punycode", f"{host} is {name}")


def _unpunycoded(host: str) -> str:
    labels = []
    for label in host.split("."):
        try:
            bare = label.lower().startswith("xn--")
            labels.append(label[4:].encode().decode("punycode") if bare else label)
        except (UnicodeError, ValueError):
            labels.append(label)
    return ".".join(labels)


def _scripts(label: str) -> set[str]:
    """Return the scripts of a label's letters; those that Japanese mixes count as one."""
    names = {unicodedata.name(each, "?").split()[0] for each in label if each.isalpha()}
    if names & {"HIRAGANA", "KATAKANA"} or names & {"CJK", "HANGUL", "BOPOMOFO"}:
        names -= {"HIRAGANA", "KATAKANA", "CJK", "LATIN", "HANGUL", "BOPOMOFO", "FULLWIDTH"}
    return names


# ---- which page it is ----

_TRACKING_NAMES = (
    r"(?:utm_\w+|gclid|gclsrc|dclid|gbraid|wbraid|fbclid|msclkid|yclid|twclid|ttclid|igshid|"
    r"igsh|li_fat_id|mc_[ce]id|_ga|_gl|_hs\w+|hsCtaTracking|mkt_tok|vero_\w+|oly_\w+_id|"
    r"rb_clickid|s_cid|wickedid|epik|srsltid|ref_src|trk|trackingId)="
)
_TRACKING = re.compile(_TRACKING_NAMES, re.I)
_HAS_TRACKING = re.compile(rf"[?&](?:{_TRACKING_NAMES}|&|$)", re.I)


def page_of(url: str) -> str:
    """Return an address without what leads to the same page: tracking, fragment, last slash."""
    rest = url[url.find("://") + 3 :]
    if "#" in rest or ("?" in rest and (_HAS_TRACKING.search(rest) or "/?" in rest)):
        rest = _untracked(rest)
    if rest.endswith("/"):
        rest = rest[:-1]
    return rest if rest.islower() and ":" not in rest else _plain_host(rest)


def _untracked(rest: str) -> str:
    before, _, fragment = rest.partition("#")
    path, _, query = before.partition("?")
    kept = [each for each in query.split("&") if each and not _TRACKING.match(each)]
    # A fragment with a path is a page of its own, in an application of one document.
    end = f"#{fragment}" if fragment.startswith(("/", "!")) else ""
    return path.removesuffix("/") + (f"?{'&'.join(kept)}" if kept else "") + end


def _plain_host(rest: str) -> str:
    host, slash, path = rest.partition("/")
    return host.lower().removesuffix(":443").removesuffix(":80") + slash + path


# ---- as a type of values ----


@dataclass(frozen=True, kw_only=True)
class PageUrl:
    """The url of a job, without white space around it."""

    expected: str = _WEB.expected

    def read(self, node: Node, name: str, log: ProblemLog) -> str | Refused:
        """Return the url, and warn of what is odd about it."""
        if type(node) is not Scalar or is_null(node):
            return refuse(name, self.expected, node, log)
        text = node.text.strip()
        if (fault := url_fault(text)) is not None:
            log.add(f"{name} {fault.message}", node, fault.tip)
            return INVALID
        for oddity in url_oddities(text):
            log.warn_odd(name, oddity.kind, oddity.detail, node)
        return text
