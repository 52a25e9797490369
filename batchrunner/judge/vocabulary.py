"""The words that results are judged by, loaded from `vocabulary.toml`."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping
from enum import Enum, auto
from importlib.resources import files

_WORD = re.compile(r"[^\W_]+")
#: From this character on, scripts put no spaces between words, or attach endings to them.
_FIRST_OF_CJK = "\u1100"

_DATA = tomllib.loads(files(__package__).joinpath("vocabulary.toml").read_text(encoding="utf-8"))


class Concept(Enum):
    """What a sentence may be about; `vocabulary.toml` describes each one."""

    # ---- walls against programs ----

    CHALLENGE = auto()
    GUARD = auto()
    HUMAN = auto()
    PROVE = auto()
    YOU = auto()
    DENIED = auto()
    BARRED = auto()
    VISIT = auto()
    ENTRY = auto()
    PROGRAM = auto()
    NOTICED = auto()
    UNUSUAL = auto()
    TRAFFIC = auto()
    TOO_MUCH = auto()
    PLACE = auto()
    CLOSED_TO = auto()
    AGE = auto()
    ENTER = auto()

    # ---- walls against visitors without an account ----

    SIGN_IN = auto()
    ACCOUNT = auto()
    MEMBERS = auto()
    ONLY = auto()
    PAYWALL = auto()
    SUBSCRIBE = auto()
    TO_SEE = auto()
    NEEDED = auto()
    FORM = auto()

    # ---- between the visitor and the page ----

    IN_THE_WAY = auto()
    SHOWN = auto()
    SELF = auto()
    SPEAKER = auto()
    PAGE = auto()

    # ---- what an agent could not do ----

    CANNOT = auto()
    DO = auto()
    DECLINED = auto()
    FAILED = auto()
    COULD = auto()
    NOT = auto()
    LACK_OF = auto()
    BROKEN = auto()
    BROKEN_PART = auto()
    HERE = auto()
    NEGATION = auto()
    ABSENT = auto()
    MATTER = auto()

    # ---- evidence against a wall or a failure ----

    ABOUT = auto()
    OTHERS = auto()
    CONDITION = auto()
    OPEN = auto()
    BUT = auto()


def plain(text: str) -> str:
    """Return a text's words in lower case, with one space before, between and after them."""
    normal = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return f" {' '.join(_WORD.findall(normal.casefold()))} "


def _searchable(words: Iterable[str]) -> frozenset[str]:
    """Return words as `plain` spells them, with a space where no other character may follow."""
    return frozenset(map(_needle, words))


def _needle(word: str) -> str:
    spelled = plain(word).strip()
    if spelled[0] >= _FIRST_OF_CJK:
        return spelled
    return ("" if word[0] == "*" else " ") + spelled + ("" if word[-1] == "*" else " ")


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile("|".join(_DATA["patterns"][name]), re.IGNORECASE)


#: The words for each concept, to be found in a text that `plain` has spelled.
WORDS: Mapping[Concept, frozenset[str]] = {
    concept: _searchable(_DATA["concepts"][concept.name]["words"]) for concept in Concept
}

BOT_TITLES = _searchable(_DATA["bot_titles"])
LOGIN_TITLES = _searchable(_DATA["login_titles"])
#: First words of an answer to a question.
ANSWERS: tuple[str, ...] = tuple(_DATA["answers"])

STAND_IN = _pattern("stand_in")
WEAK_STAND_IN = _pattern("weak_stand_in")
REMARK_KEY = _pattern("remark_key")
