"""Values that stand for any: numbered rows, sample people and addresses, a goal's own template."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from itertools import islice
from typing import Any

from batchrunner.judge.result_values import Leaf, PathStep, TooLarge, containers, direct_leaves
from batchrunner.judge.rules import PLACEHOLDER
from batchrunner.judge.text_rules import TextFinding, is_sample_text
from batchrunner.judge.value_kinds import Kind, Value, is_nothing
from batchrunner.judge.words import Words, listed, plain

#: Rows of a list that are looked at.
MAX_ROWS = 30
#: Fields of a row that are looked at.
MAX_FIELDS = 20
#: Values of a result that are looked for in a goal.
MAX_TEMPLATE = 40
#: A longer value is not an example in a goal.
MAX_GOAL_VALUE = 200
_NUMBERED = re.compile(r"(.{2,30}?)[ _#-]{0,3}(\d{1,2}|[A-Za-z])")


def stand_ins(value: dict[str, Any] | list[Any]) -> Iterator[Value]:
    """Give the first text of each list whose rows are only numbered: `Product A`, `Product B`."""
    lists = (
        [(None, "", value)]
        if isinstance(value, list)
        else [
            (PathStep(None, name), name, part)
            for name, part in value.items()
            if isinstance(part, list)
        ]
    )
    for step, key, rows in lists:
        first = rows[0] if len(rows) > 1 else None
        names = list(first)[:MAX_FIELDS] if isinstance(first, dict) else [""]
        for name in names:
            texts = (
                row.get(name) if isinstance(row, dict) else row for row in islice(rows, MAX_ROWS)
            )
            if _are_numbered(texts):
                at = PathStep(step, 0)
                leaf = Leaf(
                    PathStep(at, name) if name else at,
                    name or key,
                    first[name] if isinstance(first, dict) else first,
                )
                yield Value(leaf, Kind.FOUND, TextFinding(PLACEHOLDER))


def _are_numbered(texts: Iterable[Any]) -> bool:
    """Say whether texts are one word for anything, and numbers or letters from the first on."""
    begin = None
    for place, text in enumerate(texts, start=1):
        found = _NUMBERED.fullmatch(text.strip()) if isinstance(text, str) else None
        if found is None or begin not in (None, found[1]):
            return False
        begin = found[1]
        if found[2].lower() not in (str(place), f"0{place}", chr(96 + place)):
            return False
    return begin is not None and _anything().whole(plain(begin)) is not None


def is_sample(text: Any) -> bool:
    """Say whether a text is a well-known sample, such as `john@example.com` or `Anytown`."""
    return isinstance(text, str) and (
        is_sample_text(text) or _samples().whole(plain(text)) is not None
    )


def is_template_of(value: Any, goal: str) -> bool:
    """Say whether all fields and values of a result stand in a goal, as its example."""
    pairs = _pairs(value) if "{" in goal and isinstance(value, dict | list) else []
    if len(pairs) < 2 or not any(pair.endswith('"') for pair in pairs):
        return False
    squeezed = _squeezed(goal)
    return all(any(pair + end in squeezed for end in ",}]") for pair in pairs)


@lru_cache(maxsize=64)
def _squeezed(goal: str) -> str:
    return re.sub(r"\s+", "", goal.replace("'", '"').replace('\\"', '"'))


def _pairs(value: Any) -> list[str]:
    """Return the fields and values of a result as JSON without spaces; none if there are many."""
    try:
        all_leaves = (leaf for each in containers(value) for leaf in direct_leaves(each))
        found = list(islice(all_leaves, MAX_TEMPLATE + 1))
    except TooLarge:
        return []
    if len(found) > MAX_TEMPLATE or not all(_is_short(leaf) for leaf in found):
        return []
    return [
        re.sub(r"\s+", "", json.dumps({leaf.key: leaf.value}, ensure_ascii=False))[1:-1]
        for leaf in found
        if not is_nothing(leaf.value)
    ]


def _is_short(leaf: Leaf) -> bool:
    """Say whether a value has a name, and may stand in a goal."""
    value = leaf.value
    return bool(leaf.key) and not (isinstance(value, str) and len(value) > MAX_GOAL_VALUE)


@cache
def _anything() -> Words[str]:
    return Words(("", word) for word in listed("words.toml")["numbered"]["words"])


@cache
def _samples() -> Words[str]:
    return Words(("", word) for word in listed("words.toml")["samples"]["words"])
