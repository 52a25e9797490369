"""Which elements of two lists belong together: by a key, else by what is equal around them."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from batchrunner.differences.paths import key_text

#: Fields that tell the elements of a list apart, the most telling first.
OBVIOUS_KEYS = (
    "id",
    "sku",
    "gtin",
    "ean",
    "isbn",
    "asin",
    "uuid",
    "product_id",
    "productId",
    "slug",
    "url",
    "link",
    "href",
)


class Pair(NamedTuple):
    """Elements that belong together, by their indexes; None: there is none on that side."""

    before: int | None
    after: int | None


class Keyed(NamedTuple):
    """The elements of two lists by their key, in the order of the first."""

    name: str
    before: dict[str, Any]
    after: dict[str, Any]


def keyed(before: Sequence[Any], after: Sequence[Any], name: str | None) -> Keyed | None:
    """
    Return the elements by the field *name*, or by an obvious one; None if that is not unique.

    With "", they have no key. An obvious key counts only if most elements have theirs still.
    """
    if name is not None:
        return _by(name, before, after) if name else None
    if not before or not after or type(before[0]) is not dict or type(after[0]) is not dict:
        return None
    for obvious in OBVIOUS_KEYS:
        if obvious in before[0] and (found := _by(obvious, before, after)):
            shared = len(found.before.keys() & found.after.keys())
            if shared * 2 >= min(len(before), len(after)):
                return found
    return None


def _by(name: str, before: Sequence[Any], after: Sequence[Any]) -> Keyed | None:
    sides = [_by_key(name, side) for side in (before, after)]
    return None if sides[0] is None or sides[1] is None else Keyed(name, sides[0], sides[1])


def _by_key(name: str, elements: Sequence[Any]) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    for element in elements:
        key = element.get(name) if type(element) is dict else None
        if key is None or isinstance(key, dict | list) or key == "":
            return None
        if found.setdefault(key_text(key), element) is not element:
            return None
    return found if len(found) == len(elements) else None


def aligned(before: Sequence[Any], after: Sequence[Any]) -> Iterator[Pair]:
    """
    Pair the elements of two lists of fingerprints, in order.

    What is equal at the start and at the end belongs together, and so does what occurs once in both
    lists, as long as the order stays. Between these, elements are paired by position.
    """
    start, most = 0, min(len(before), len(after))
    while start < most and before[start] == after[start]:
        yield Pair(start, start)
        start += 1
    end = 0
    while end < most - start and before[-1 - end] == after[-1 - end]:
        end += 1
    old, new = start, start
    last = (len(before) - end, len(after) - end)
    for anchor in [*_anchors(before[start : last[0]], after[start : last[1]]), None]:
        stop = last if anchor is None else (start + anchor[0], start + anchor[1])
        yield from _by_position(range(old, stop[0]), range(new, stop[1]))
        if anchor is not None:
            yield Pair(*stop)
        old, new = stop[0] + 1, stop[1] + 1
    for place in range(end):
        yield Pair(last[0] + place, last[1] + place)


def _by_position(before: range, after: range) -> Iterator[Pair]:
    most = min(len(before), len(after))
    yield from (Pair(*each) for each in zip(before, after, strict=False))
    yield from (Pair(place, None) for place in before[most:])
    yield from (Pair(None, place) for place in after[most:])


def _anchors(before: Sequence[Any], after: Sequence[Any]) -> list[tuple[int, int]]:
    """Return elements that occur once in both lists: the longest series whose order stays."""
    once = {each for each, count in Counter(before).items() if count == 1}
    place_after = {each: place for place, each in enumerate(after) if each in once}
    repeated = {each for each, count in Counter(after).items() if count > 1}
    common = [
        (place, place_after[each])
        for place, each in enumerate(before)
        if each in place_after and each not in repeated
    ]
    # The same series whichever list comes first, so that gone one way is added the other way.
    back = sorted((after_place, place) for place, after_place in common)
    if common <= back:
        return _longest_rising(common)
    return [(place, after_place) for after_place, place in _longest_rising(back)]


def _longest_rising(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the longest subsequence with rising second numbers."""
    tails: list[int] = []
    tail_of: list[int] = []
    earlier: list[int | None] = []
    for at, (_, place) in enumerate(pairs):
        length = bisect_left(tails, place)
        earlier.append(tail_of[length - 1] if length else None)
        tails[length : length + 1] = [place]
        tail_of[length : length + 1] = [at]
    found: list[tuple[int, int]] = []
    last = tail_of[-1] if tail_of else None
    while last is not None:
        found.append(pairs[last])
        last = earlier[last]
    return found[::-1]
