r"""
Names of columns for paths into results, and back.

A path is written with dots: `result.offer.price`. In a part, `\.` is a dot of the key, `\\` a
backslash, and `\u000a` a character that does not fit into a header.
"""

from __future__ import annotations

import re

from batchrunner.outputs.columns import RESULT

#: Longest name of a column, in characters; what lies below a longer one has no column.
MAX_NAME_LENGTH = 1_000

_ESCAPED = re.compile("[.\\\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_PARTS = re.compile(r"(?:[^\\.]|\\.?)*+", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)


def below(parent: str, key: str) -> str:
    """Return the name of a field below another one."""
    # Most keys are identifiers, and this check is quicker than a search.
    return f"{parent}.{key if key.isidentifier() else _ESCAPED.sub(_escaped, key)}"


def path_of(name: str) -> tuple[str, ...]:
    """
    Return the keys that a name stands for; `result` is the result itself, with no key.

    A name that does not begin with `result` is a path below it, and `[]` behind a part is ignored.
    """
    parts, at = list[str](), 0
    while at <= len(name):
        part = _PARTS.match(name, at)[0]  # type: ignore[index]
        parts.append(_ESCAPE.sub(_unescaped, part.removesuffix("[]")))
        at += len(part) + 1
    return tuple(parts[1:] if parts[0] == RESULT else parts)


def _unescaped(match: re.Match[str]) -> str:
    return chr(int(match[1], 16)) if match[1] else match[2]


def _escaped(match: re.Match[str]) -> str:
    char = match[0]
    return f"\\{char}" if char in ".\\" else f"\\u{ord(char):04x}"
