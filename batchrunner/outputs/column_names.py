"""Gives the columns of an export names that are distinct for every program."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from unicodedata import normalize

from batchrunner.outputs.field_names import MAX_NAME_LENGTH

#: Before the name of an input column that an export has for itself.
INPUT_PREFIX = "in."

_SURROGATE = re.compile("[\ud800-\udfff]")


def column_names(
    fixed: Sequence[str], carried: Sequence[str], results: Sequence[str]
) -> tuple[list[str], list[str]]:
    """
    Return the names of the carried columns and of the results' columns in a file.

    The fixed columns keep their names. A carried column has its own name, with `in.` before it if
    another column has that name. An empty name becomes `column_3`, for the third carried column,
    and a very long one is cut. Names that then differ only by case, by blanks around them or by how
    an accent is written are one name for some programs: the later ones get `_2`, `_3`, ….
    """
    others = {_key(name) for name in [*fixed, *results]}
    own = [_own_name(name, number) for number, name in enumerate(carried, 1)]
    prefixed = [f"{INPUT_PREFIX}{name}" if _key(name) in others else name for name in own]
    names = distinct([*fixed, *prefixed, *results])
    return names[len(fixed) : len(fixed) + len(own)], names[len(fixed) + len(own) :]


def distinct(names: Iterable[str]) -> list[str]:
    """Return the names, with `_2`, `_3`, … where programs would take a later one for an earlier."""
    wanted = list(names)
    taken, numbers = {_key(name) for name in wanted}, dict[str, int]()
    given = list[str]()
    for name in wanted:
        key, unique = _key(name), name
        number = numbers.get(key, 0) + 1
        while number > 1 and _key(unique := f"{name.rstrip()}_{number}") in taken:
            number += 1
        numbers[key] = number
        taken.add(_key(unique))
        given.append(unique)
    return given


def _own_name(name: str, number: int) -> str:
    name = _SURROGATE.sub("\ufffd", name).replace("\0", "␀")
    return name[:MAX_NAME_LENGTH] if name.strip() else f"column_{number}"


def _key(name: str) -> str:
    return normalize("NFC", name.strip().lower())
