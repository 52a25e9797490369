"""Spells text so that equal words look equal: width, case, diacritics, dashes and digits."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

#: Where two inline elements meet: `<b>1</b><i>2</i>` may be shown as "12" or as "1 2".
SEAM = "\x01"
_INVISIBLE = re.compile(
    "[\x00\xad\u0640\u064b-\u0652\u0591-\u05c7\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff]"
)
_BLANKS = re.compile(rf"(?:{SEAM}|[^\S\n ]| (?=[^\S\n]|{SEAM}))(?:[^\S\n]|{SEAM})*+")
_LINES = re.compile(r"\n[\s\x01]+")
_ANY_FRACTION = re.compile("[¼-¾⅐-⅞]")
_FRACTION = re.compile(r"(\d?)\s?([¼-¾⅐-⅞])")
#: Letters that stand for several.
_LONGER = {
    "ß": "ss",
    "ẞ": "SS",
    "æ": "ae",
    "Æ": "AE",
    "œ": "oe",
    "Œ": "OE",
    "\u2044": "/",
    "\u066b": ".",
    "\u066c": ",",
    "−": "-",
    "‐": "-",
    "‑": "-",
    "’": "'",
}
_LONGER_PATTERN = re.compile("|".join(map(re.escape, _LONGER)))


class _Folds(dict[int, int]):
    """One folded character for each character, worked out when it is met."""

    def __missing__(self, code: int) -> int:
        folded = self[code] = ord(_folded(chr(code)))
        return folded


def _folded(char: str) -> str:
    if char in "\n" + SEAM:
        return char
    # Diacritics are left out of the scripts that are read without them.
    base = char.lower()[0]
    if char < "\u0590" or "\u1e00" <= char <= "\u1fff":
        base = unicodedata.normalize("NFKD", base)[0].lower()[0]
    base = {"ø": "o", "đ": "d", "ł": "l", "ı": "i", "ð": "d", "þ": "t"}.get(base, base)
    return base if unicodedata.category(base)[0] in "LNM" else " "


class _Digits(dict[int, int]):
    """The ASCII digit for each digit of any script; other characters stay."""

    def __missing__(self, code: int) -> int:
        digit = unicodedata.decimal(chr(code), None) if code > 127 else None
        self[code] = code if digit is None else ord("0") + digit
        return self[code]


_FOLDS, _DIGITS = _Folds(), _Digits()
_FRACTIONS: Mapping[str, str] = {
    each: f"{unicodedata.numeric(each):.4f}".rstrip("0")[1:] for each in "¼½¾⅐⅑⅒⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"
}


def readable(text: str) -> str:
    """Return text with one spelling of spaces, digits and letters; lines and case stay."""
    if text.isascii() and text.isprintable() and "  " not in text:
        return text
    if not text.isascii():
        if _ANY_FRACTION.search(text):
            text = _FRACTION.sub(lambda found: (found[1] or "0") + _FRACTIONS[found[2]], text)
        text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text))
        text = _LONGER_PATTERN.sub(lambda found: _LONGER[found[0]], text).translate(_DIGITS)
    elif "\0" in text:
        text = text.replace("\0", "")
    text = _BLANKS.sub(_blank, text)
    if "\n" not in text:
        return text
    text = text.replace(" \n", "\n").replace(f"{SEAM}\n", "\n")
    return _LINES.sub("\n", text)


def _blank(found: re.Match[str]) -> str:
    return " " if found[0].strip(SEAM) else SEAM


def folded(text: str) -> str:
    """Return what `readable` returned in lower case, with letters and digits only; as long."""
    return text.translate(_FOLDS)


def words(text: str) -> list[str]:
    """Return the words of any text, folded."""
    return folded(readable(text)).replace(SEAM, " ").split()


def spaced(text: str) -> str:
    """Return the folded words of a text with one space before, between and after them."""
    return f" {' '.join(words(text))} "


def is_unspaced(char: str) -> bool:
    """Say whether a character is of a script that puts no spaces between words."""
    return (
        "\u0e00" <= char <= "\u0eff"
        or "\u1000" <= char <= "\u109f"
        or "\u1780" <= char <= "\u17ff"
        or "\u3040" <= char <= "\u30ff"
        or "\u3400" <= char <= "\u9fff"
        or "\uac00" <= char <= "\ud7a3"
        or "\U00020000" <= char <= "\U0003ffff"
    )
