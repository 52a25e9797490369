"""What a comparison overlooks: tolerances, ignored fields, and the keys of lists."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite
from typing import NamedTuple

from batchrunner.differences.paths import WHOLE

_TOLERANCE = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(%?)")
#: What a tolerance is, for people.
TOLERANCE_SAYS = "a share such as `1%`, or a number such as `0.05`"


class Tolerance(NamedTuple):
    """By how much two numbers may differ and count as the same."""

    share: float = 0.0  #: of the larger one, from 0 to 1
    span: float = 0.0  #: as a number

    def __str__(self) -> str:
        """Return it as written in a job file."""
        return f"{self.share * 100:g}%" if self.share else f"{self.span:g}"


def parse_tolerance(text: str) -> Tolerance:
    """
    Read a tolerance: `1%` or `0.05`.

    Raises:
        ValueError: It is none.
    """
    match = _TOLERANCE.fullmatch(text.strip())
    number = float(match[1]) if match and len(text) < 40 else None
    if match is None or number is None or not isfinite(number):
        raise ValueError(f"{text!r} is not {TOLERANCE_SAYS}")
    return Tolerance(share=number / 100) if match[2] else Tolerance(span=number)


class FieldRules(NamedTuple):
    """The rules for one field."""

    ignored: bool = False
    tolerance: Tolerance | None = None
    key: str | None = None  #: of the elements of this list; "": they have none; None: not said


@dataclass(frozen=True, kw_only=True)
class DiffRules:
    """
    The rules of a comparison, by field.

    A field is a path such as `offers[].price`. A name without a dot or a bracket means the fields
    of this name wherever they are.
    """

    tolerance: Mapping[str, Tolerance] = field(default_factory=dict)
    ignore: frozenset[str] = frozenset()
    keys: Mapping[str, str] = field(default_factory=dict)  #: of lists: the field that tells
    #: their elements apart; "": compare by position
    #: One of the sets comes from a file without types: 12 and "12" are the same, and so are null,
    #: an empty text and nothing.
    untyped: bool = False

    @cached_property
    def is_empty(self) -> bool:
        """Whether no field has a rule."""
        return not (self.tolerance or self.ignore or self.keys)

    @cached_property
    def _by_path(self) -> dict[str, FieldRules]:
        return {}

    def of(self, path: str, name: str) -> FieldRules:
        """Return the rules for the field at a generic path, whose last name is *name*."""
        if self.is_empty:
            return _NO_RULES
        found = self._by_path.get(path)
        if found is None:
            found = FieldRules(
                ignored=path in self.ignore or name in self.ignore,
                tolerance=self.tolerance.get(path, self.tolerance.get(name)),
                key=self.keys.get(path, self.keys.get(name)),
            )
            if len(self._by_path) < _MAX_CACHED:
                self._by_path[path] = found
        return found

    def of_list(self, path: str) -> FieldRules:
        """Return the rules for the list at a generic path, and for its elements."""
        if self.is_empty:
            return _NO_RULES
        own = self.of(path or WHOLE, path.removesuffix("[]").rpartition(".")[2])
        inside = self.of(f"{path}[]", f"{path}[]")
        return FieldRules(
            ignored=own.ignored or inside.ignored,
            tolerance=inside.tolerance or own.tolerance,
            key=own.key,
        )


_NO_RULES = FieldRules()
#: Fields whose rules are remembered; hostile results have any number of them.
_MAX_CACHED = 10_000


def rule_path(text: str) -> str:
    """Return a field's path as rules have it: exports write `result.` in front."""
    return text.strip().removeprefix("result.")


def rules_of(
    tolerance: Mapping[str, str], ignore: Iterable[str], keys: Mapping[str, str]
) -> DiffRules:
    """
    Return the rules that texts say.

    Raises:
        ValueError: A tolerance is none.
    """
    return DiffRules(
        tolerance={rule_path(path): parse_tolerance(text) for path, text in tolerance.items()},
        ignore=frozenset(map(rule_path, ignore)),
        keys={rule_path(path).removesuffix("[]"): key.strip() for path, key in keys.items()},
    )
