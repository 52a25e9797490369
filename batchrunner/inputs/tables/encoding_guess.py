"""What an encoding might be: attempts to decode, ordered by how natural the text reads."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

#: Encodings that files of spreadsheets and databases have, the frequent ones first.
_CANDIDATES = (
    *("cp1252", "cp1250", "cp1251", "cp932", "gb18030", "big5", "cp949", "euc_jp"),
    *("cp1253", "cp1254", "cp1255", "cp1256", "iso8859_15", "koi8_r", "cp850", "mac_roman"),
)
_WORD = re.compile(r"[^\W\d_]+")
_NON_ASCII = re.compile(r"[^\x00-\x7f]")
#: A symbol that stands between two letters, where no language has it.
_INSIDE_WORD = re.compile(r"(?<=[^\W\d_])[^\w\s’'´`·.,:;/\-–—&@+()\"]+(?=[^\W\d_])")
_COMMON_LATIN = frozenset("äöüÄÖÜßéèêëÉàâáÁçÇñÑíîïóôòúûùåÅøØæÆœãõÕ")
#: East Asian text in the middle of a word in Latin letters.
_WIDE_IN_WORD = re.compile("(?<=[a-zA-Z])[\u2e80-\uffef]+(?=[a-zA-Z])")
_KANA = re.compile("[\u3040-\u30ff]")
_HANGUL = re.compile("[\uac00-\ud7a3]")
_IDEOGRAPH = re.compile("[\u4e00-\u9fff]")
#: Minimum plausibility of an encoding that is named, also as a share of the best one's.
_PLAUSIBLE = 0.4
_RIVAL = 0.7
_MAX_NAMED = 3


class Guess(NamedTuple):
    """An encoding that the bytes may have, and how the text would read."""

    encoding: str
    text: str


def guesses(data: bytes, shown: bytes) -> list[Guess]:
    """Return the encodings that *data* may have, the likeliest first, and how *shown* reads."""
    found: dict[str, tuple[float, Guess]] = {}
    for rank, encoding in enumerate(_CANDIDATES):
        try:
            text, line = data.decode(encoding), shown.decode(encoding, "replace")
        except UnicodeDecodeError:
            continue
        score = _plausibility(text, encoding) - rank * 0.005
        if score >= _PLAUSIBLE and (line not in found or found[line][0] < score):
            found[line] = score, Guess(encoding, line)
    ordered = sorted(found.values(), key=lambda each: -each[0])[:_MAX_NAMED]
    return [guess for score, guess in ordered if score >= ordered[0][0] * _RIVAL]


def utf_16_without_mark(head: bytes) -> str | None:
    """Return which UTF-16 the bytes are: every second one of plain text is NUL."""
    sample = head[: min(len(head), 4096) // 2 * 2]
    if len(sample) < 4:
        return None
    for encoding, nul, other in (("utf-16-le", 1, 0), ("utf-16-be", 0, 1)):
        zeros = sample[nul::2].count(0)
        if zeros * 4 > len(sample) // 2 and sample[other::2].count(0) * 20 < zeros:
            try:
                sample.decode(encoding)
            except UnicodeDecodeError as error:
                if error.end < len(sample):
                    continue
            return encoding
    return None


def _plausibility(text: str, encoding: str) -> float:
    """Return from 0 to 1 how natural the words with characters outside ASCII look."""
    others = _NON_ASCII.findall(text)
    if not others:
        return 0.0
    if any(unicodedata.category(each) in ("Cc", "Cn", "Co") for each in others):
        return 0.0
    if encoding in ("cp932", "euc_jp", "gb18030", "big5", "cp949"):
        return _east_asian(text, encoding)
    words = [word for word in _WORD.findall(text) if not word.isascii()]
    good = sum(map(_word_score, words))
    bad = len(_INSIDE_WORD.findall(text))
    total = len(words) + 2 * bad
    if not total:
        return 0.6  # only symbols, such as a currency sign
    return good / total


def _word_score(word: str) -> float:
    letters = [each for each in word if not each.isascii()]
    scripts = {unicodedata.name(each, "?").split()[0] for each in word}
    if len(scripts) > 1:
        return -1.0
    if not (word.islower() or word.istitle() or word.isupper()):
        return 0.0
    if scripts == {"LATIN"}:
        if len(letters) * 2 > len(word) > 2:
            return 0.0
        return 1.0 if _COMMON_LATIN.issuperset(letters) else 0.85
    return 0.95 if len(word) > 1 else 0.2


def _east_asian(text: str, encoding: str) -> float:
    wide = [each for each in text if unicodedata.east_asian_width(each) in "WF"]
    others = len(_NON_ASCII.findall(text))
    share = len(wide) / others - len(_WIDE_IN_WORD.findall(text)) / max(len(wide), 1)
    kana, hangul, ideographs = (
        len(pattern.findall(text)) for pattern in (_KANA, _HANGUL, _IDEOGRAPH)
    )
    if encoding in ("cp932", "euc_jp"):
        return share * (0.98 if kana else 0.5)
    if encoding == "cp949":
        return share * hangul / max(hangul + ideographs, 1) * _encodable(text, "iso2022_kr")
    if kana or hangul:
        return 0.3 * share
    usual = _encodable(text, "gb2312" if encoding == "gb18030" else "big5")
    return share * usual * (0.9 if ideographs > 1 else 0.4)


def _encodable(text: str, usual: str) -> float:
    """Return 1 if a smaller encoding, which has the usual characters, is enough."""
    try:
        text.encode(usual)
    except UnicodeEncodeError:
        return 0.4
    return 1.0
