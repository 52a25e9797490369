"""Turns what a person rejected or accepted into lines of `expect`; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from batchrunner.judge.expectation_check import (
    MAX_COMPARED_LENGTH,
    expectation_breaches,
    field_rules_of,
    is_blank,
    same_text,
)
from batchrunner.judge.field_paths import MISSING, WHOLE, find, is_path
from batchrunner.model import Finding

#: A part of `expect`, as a job file says it.
Expect = Mapping[str, Any]

#: Most places of a list in which a value is looked for.
_MAX_MATCHES = 1_000
_PLACE = re.compile(r"\[\d+\]")
#: What stands between a field and the reason in a person's words: `price: it is null`.
_AFTER_FIELD = re.compile(r"\s*:?\s+")


def rule_of_rejection(
    value: Any, findings: Sequence[Finding], because: str = "", asked: str = ""
) -> Expect | None:
    """
    Return what to expect so that a result like this one is bad; None if nothing says what is wrong.

    *because* may begin with the path of the field that is wrong, which the result or the text of
    what was *asked* names. Otherwise it is the first finding's path, or the top-level fields that
    hold nothing.
    """
    for path in (path_in(value, because, asked), *(general_path(each.path) for each in findings)):
        if path is not None and (rule := _rule_at(value, path)) is not None:
            return rule
    if isinstance(value, dict) and value:
        hollow = [name for name, part in value.items() if is_blank(part) and is_path(name)]
        return {"required": hollow} if hollow else None
    return _rule_at(value, WHOLE)


def path_in(value: Any, because: str, asked: str = "") -> str | None:
    """Return the path with which a person's reason begins; None if it begins with other words."""
    words = because.strip()
    for candidate in (words, _AFTER_FIELD.split(words, maxsplit=1)[0]):
        path = general_path(candidate.strip("`'\":"))
        is_field = path != WHOLE and is_path(path)
        if is_field and (_exists(value, path) or _is_asked(path, asked)):
            return path
    return None


def _is_asked(path: str, asked: str) -> bool:
    """Return whether a text has the last name of a path as a word."""
    name = path.removesuffix("[]").rpartition(".")[2]
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", asked, re.IGNORECASE) is not None


def general_path(path: str) -> str:
    """Return the path of every element of a list: for `items[3].name`, `items[].name`."""
    return _PLACE.sub("[]", path)


def rule_of_acceptance(findings: Iterable[Finding], known: Iterable[str]) -> Expect | None:
    """Return the general rules to allow so that such a result is good; None without any."""
    rules = sorted({each.rule for each in findings} & {*known})
    return {"allow": rules} if rules else None


def merged(expects: Iterable[Expect]) -> dict[str, Any]:
    """Return what all of these expect together, each thing once."""
    required, allow = dict[str, None](), dict[str, None]()
    fields = dict[str, dict[str, Any]]()
    for expect in expects:
        required |= dict.fromkeys(expect.get("required", ()))
        allow |= dict.fromkeys(expect.get("allow", ()))
        for path, bounds in expect.get("fields", {}).items():
            fields[path] = _merged_bounds(fields.get(path, {}), bounds)
    found = {"required": [*required], "fields": fields, "allow": [*allow]}
    return {name: part for name, part in found.items() if part}


def breaks(value: Any, expect: Expect) -> bool:
    """Return whether a result is not as *expect* says."""
    return next(expectation_breaches(value, field_rules_of(expect)), None) is not None


def _merged_bounds(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    both = {**before, **after}
    words = {same_text(each): each for each in (*before.get("not", ()), *after.get("not", ()))}
    return {**both, "not": [*words.values()]} if words else both


def _rule_at(value: Any, path: str) -> Expect | None:
    """Return what forbids the value at a path; None if no rule can."""
    if not is_path(path):
        return None
    for _, seen in zip(range(_MAX_MATCHES), _values(value, path), strict=False):
        if is_blank(seen):
            return {"required": [path]}
        if isinstance(seen, bool | int | float) or (
            isinstance(seen, str) and len(seen) <= MAX_COMPARED_LENGTH
        ):
            text = seen if isinstance(seen, str) else str(seen).lower()
            rule = {"fields": {path: {"not": [text]}}}
            return rule if breaks(value, rule) else None
    return None


def _values(value: Any, path: str) -> Iterator[Any]:
    """Give what is at a path: first what is nothing, then the rest."""
    seen = [found.value for _, found in zip(range(_MAX_MATCHES), find(value, path), strict=False)]
    yield from sorted(seen, key=lambda each: not is_blank(each))


def _exists(value: Any, path: str) -> bool:
    found = zip(range(_MAX_MATCHES), find(value, path), strict=False)
    return any(match.value is not MISSING for _, match in found)
