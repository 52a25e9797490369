"""Parses regular expressions, as far as the cost of matching them depends on their syntax."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

_COUNTS = re.compile(r"\{(?!\})([0-9]*)(?:(,)([0-9]*))?\}")
_ESCAPE = re.compile(
    r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|N\{[^}]*\}|.)", re.DOTALL
)
_NUMBER = re.compile(r"\\(?:0[0-7]{0,2}|[0-3][0-7]{2}|[1-9][0-9]?)")
_SET = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_GLOBAL_FLAGS = re.compile(r"\(\?([aiLmsux]+)\)")
#: The only place for global flags.
_START = re.compile(r"(?:\(\?[aiLmsux]+\)|\(\?#[^)]*\))*")
_GROUP_FLAGS = re.compile(r"\(\?([aiLmsux]*)(?:-([imsx]+))?:")
_NAME = re.compile(r"\(\?P<\w+>")
_BACKREFERENCE = re.compile(r"\(\?P=\w+\)")
_CONDITION = re.compile(r"\(\?\(\w+\)")
_COMMENT = re.compile(r"\(\?#[^)]*\)")
_IGNORED_IF_VERBOSE = re.compile(r"(?:\s|#[^\n]*\n?)+")
#: Start of a group → name of a construct that is not a plain group.
_SPECIAL_GROUPS = {
    "(?=": "assert",
    "(?<=": "assert",
    "(?!": "assert_not",
    "(?<!": "assert_not",
    "(?>": "atomic_group",
}
_POSITIONS = ("\\A", "\\b", "\\B", "\\Z")


class Atom(NamedTuple):
    """A character, a set of characters, or a position: it matches in one way."""

    text: str
    in_set: bool = False  #: can be merged with others into one set


class Group(NamedTuple):
    """A group; a plain one has neither a number nor flags."""

    parts: Sequence[Part]
    is_plain: bool = False


class Branch(NamedTuple):
    """Alternatives."""

    branches: Sequence[Sequence[Part]]


class Repeat(NamedTuple):
    """Parts that are repeated."""

    least: int
    most: int | None  #: None: no limit
    parts: Sequence[Part]


class Special(NamedTuple):
    """Any other construct, such as a lookahead or a backreference."""

    name: str


Part: TypeAlias = Atom | Group | Branch | Repeat | Special


def parse_regex(pattern: str) -> Sequence[Part]:
    """Return the parts of a regular expression that Python has compiled without an error."""
    start = _START.match(pattern)
    flags = _GLOBAL_FLAGS.findall(start[0]) if start else []
    return _Parser(pattern).alternatives(verbose="x" in "".join(flags))


class _Parser:
    """Reads a valid pattern from its start to its end."""

    def __init__(self, pattern: str) -> None:
        self._text, self._at = pattern, 0

    def alternatives(self, *, verbose: bool) -> Sequence[Part]:
        branches = [self._sequence(verbose=verbose)]
        while self._skip("|"):
            branches.append(self._sequence(verbose=verbose))
        return branches[0] if len(branches) == 1 else _joined(branches)

    def _sequence(self, *, verbose: bool) -> list[Part]:
        parts: list[Part] = []
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            if verbose and self._take(_IGNORED_IF_VERBOSE):
                continue
            if self._take(_GLOBAL_FLAGS) or self._take(_COMMENT) or self._repeat(parts):
                continue
            parts.append(self._item(verbose=verbose))
        return _unpacked(parts)

    def _repeat(self, parts: list[Part]) -> bool:
        """Read a quantifier, if there is one, and apply it to the newest part."""
        if counts := self._take(_COUNTS):
            least = int(counts[1] or 0)
            most = (int(counts[3]) if counts[3] else None) if counts[2] else least
        elif self._at < len(self._text) and self._text[self._at] in "*+?":
            sign = self._text[self._at]
            self._at += 1
            least, most = int(sign == "+"), 1 if sign == "?" else None
        else:
            return False
        repeated = parts.pop()
        inner = repeated.parts if isinstance(repeated, Group) and repeated.is_plain else [repeated]
        possessive = not self._skip("?") and self._skip("+")
        parts.append(Special("possessive_repeat") if possessive else Repeat(least, most, inner))
        return True

    def _item(self, *, verbose: bool) -> Part:
        if number := self._take(_NUMBER):
            is_octal = number[0][1] == "0" or len(number[0]) == 4
            return Atom(number[0], in_set=True) if is_octal else Special("groupref")
        if escape := self._take(_ESCAPE):
            return Atom(escape[0], in_set=escape[0] not in _POSITIONS)
        if found := self._take(_SET):
            return Atom(found[0], in_set=found[0][1] != "^")
        if self._take(_BACKREFERENCE):
            return Special("groupref")
        if self._text[self._at] == "(":
            return self._group(verbose=verbose)
        self._at += 1
        char = self._text[self._at - 1]
        return Atom(char, in_set=char not in ".^$")

    def _group(self, *, verbose: bool) -> Part:
        name = self._group_start()
        flags = None if name else self._take(_GROUP_FLAGS)
        if flags:
            verbose = (verbose or "x" in flags[1]) and "x" not in (flags[2] or "")
        elif not name and not self._take(_NAME):
            self._skip("(")
        parts = self.alternatives(verbose=verbose)
        self._skip(")")
        if name:
            return Special(name)
        return Group(parts, is_plain=flags is not None and not (flags[1] or flags[2]))

    def _group_start(self) -> str | None:
        """Read the start of a construct that is not a plain group; return its name."""
        for start, name in _SPECIAL_GROUPS.items():
            if self._skip(start):
                return name
        return "groupref_exists" if self._take(_CONDITION) else None

    def _skip(self, text: str) -> bool:
        found = self._text.startswith(text, self._at)
        self._at += len(text) * found
        return found

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self._text, self._at)
        if found is not None:
            self._at = found.end()
        return found


def _unpacked(parts: list[Part]) -> list[Part]:
    """Replace plain groups by their parts."""
    found: list[Part] = []
    for part in parts:
        found += part.parts if isinstance(part, Group) and part.is_plain else [part]
    return found


def _joined(branches: list[list[Part]]) -> list[Part]:
    """Join alternatives: move a common start out, and merge single characters into a set."""
    common: list[Part] = []
    while all(branches) and isinstance(branches[0][0], Atom):
        first = branches[0][0]
        if any(branch[0] != first for branch in branches):
            break
        common.append(first)
        branches = [branch[1:] for branch in branches]
    single = [branch[0] for branch in branches if len(branch) == 1]
    atoms = [part for part in single if isinstance(part, Atom) and part.in_set]
    if len(atoms) == len(branches):
        return [*common, Atom("".join(atom.text for atom in atoms), in_set=True)]
    return [*common, Branch(branches)]
