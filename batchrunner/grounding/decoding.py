"""Turns a page's bytes into text, whatever encoding it declares or does not declare."""

from __future__ import annotations

import codecs
import re

#: Longest page that is read, in characters; what follows is left out.
MAX_LENGTH = 4_000_000
_DECLARED = re.compile(rb"""charset\s*=\s*["']?\s*([A-Za-z0-9_:.-]{1,40})""", re.IGNORECASE)
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


#: Encodings that browsers read as a larger one.
_AS_BROWSERS = dict.fromkeys(("iso-8859-1", "latin-1", "latin1", "us-ascii", "ascii"), "cp1252") | {
    "iso-8859-9": "cp1254",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "x-sjis": "cp932",
    "euc-kr": "cp949",
    "ks_c_5601-1987": "cp949",
    "tis-620": "cp874",
}


def page_text(page: str | bytes) -> str:
    """Return a page's text; characters that cannot be read are replaced."""
    if isinstance(page, str):
        return page[:MAX_LENGTH]
    data = bytes(page[:MAX_LENGTH])
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    for encoding in filter(None, (_unmarked_utf16(data), "utf-8", _declared(data))):
        try:
            return data.decode(encoding)
        except (ValueError, LookupError):
            continue
    # A page that was cut in the middle of a character, or holds a few broken ones.
    text = data.decode("utf-8", "replace")
    return text if text.count("\ufffd") * 50 <= _high(data) else data.decode("cp1252", "replace")


def _declared(data: bytes) -> str | None:
    found = _DECLARED.search(data[:4096])
    name = found[1].decode("ascii").lower() if found else ""
    # A page in Latin-1 is read as browsers read it.
    if name.startswith(("utf-16", "utf-32")):
        return None
    return _AS_BROWSERS.get(name, name) or None


def _unmarked_utf16(data: bytes) -> str | None:
    start = data[:32]  # a page begins with markup
    if len(start) < 4 or start.count(0) * 3 < len(start):
        return None
    return "utf-16-le" if start[1::2].count(0) > start[::2].count(0) else "utf-16-be"


def _high(data: bytes) -> int:
    return len(data) - len(data.translate(None, bytes(range(128, 256))))
