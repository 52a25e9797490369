"""What the name of a field says about its value; the names are listed in `goal_words.toml`."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import cache, lru_cache

from batchrunner.judge.words import Words, listed, plain


class FieldKind(StrEnum):
    """A kind of field: a key of `keys` in the data file."""

    METADATA = "metadata"  #: about the answer, not part of it
    OUTCOME = "outcome"  #: whether it worked
    ERRORS = "errors"  #: what went wrong
    REMARK = "remark"  #: a remark of the agent
    PAGING = "paging"  #: where in a longer list it is
    MEASURE = "measure"  #: a number that counts nothing
    STEPS = "steps"  #: what an agent did
    HITS = "hits"  #: how many a list beside it should have
    COUNT = "count"  #: how many there are
    OFFER = "offer"  #: a word for nothing is an answer in it
    TITLE = "title"  #: the title or the text of a page


#: Where words meet in a name such as `inStock`.
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
#: Characters of a name that are read.
MAX_NAME_LENGTH = 60


@cache
def _words() -> dict[FieldKind, Words[FieldKind]]:
    names = listed("goal_words.toml")["keys"]
    return {kind: Words((kind, name) for name in names[kind]) for kind in FieldKind}


@lru_cache(maxsize=2048)
def kinds_of(name: str) -> frozenset[FieldKind]:
    """Return the kinds that a field with this name is of."""
    words = plain(_HUMP.sub(" ", name[:MAX_NAME_LENGTH]))
    return frozenset(kind for kind, names in _words().items() if names.whole(words) is not None)


def is_named(name: str, kind: FieldKind) -> bool:
    """Whether a field with this name is of a kind."""
    return kind in kinds_of(name)
