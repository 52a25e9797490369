"""The words that quality looks for in values, loaded from `words.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files

_DATA = tomllib.loads(files(__package__).joinpath("words.toml").read_text(encoding="utf-8"))


def _names(table: Mapping[str, list[str]]) -> dict[str, str]:
    return {word: name for name, words in table.items() for word in words}


#: Texts that stand for nothing, in lower case.
NOTHING: frozenset[str] = frozenset(_DATA["nothing"])
MAX_NOTHING_LENGTH = max(map(len, NOTHING))
#: Phrase of a banner → what kind of banner it is.
BANNERS: Mapping[str, str] = _names(_DATA["banners"])
#: Spelling of a currency → its name.
CURRENCIES: Mapping[str, str] = _names(_DATA["currencies"])
#: Spelling of a unit → its name.
UNITS: Mapping[str, str] = _names(_DATA["units"])
#: Function word → the languages in Latin letters that use it.
LANGUAGES: Mapping[str, tuple[str, ...]] = {
    word: tuple(name for name, words in _DATA["languages"].items() if word in words)
    for words in _DATA["languages"].values()
    for word in words
}
