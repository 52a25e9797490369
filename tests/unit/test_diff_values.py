"""Two results compared field by field: kinds of changes, rules, lists, bounds."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrunner.differences import MISSING, Change, ChangeKind, Comparison, DiffRules, rules_of
from batchrunner.differences.numbers import amount_of
from batchrunner.differences.paths import KeyedElement
from batchrunner.differences.values import MAX_CHANGES, MAX_DEPTH

NO_RULES = DiffRules()


def compared(before: Any, after: Any, rules: DiffRules = NO_RULES) -> Comparison:
    found = Comparison(rules)
    found.compare(before, after)
    return found


def changes(before: Any, after: Any, rules: DiffRules = NO_RULES) -> list[tuple[str, str]]:
    """Return path and kind of each change."""
    return [(each.path, each.kind.value) for each in compared(before, after, rules).changes]


def rules(tolerance: Any = (), ignore: Any = (), keys: Any = ()) -> DiffRules:
    return rules_of(dict(tolerance), ignore, dict(keys))


# ---- kinds ----


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (12.5, 13, "changed"),
        ("red", "blue", "changed"),
        (12.5, "n/a", "changed"),
        (1, True, "changed"),
        ([1], {"a": 1}, "changed"),
        (12.5, None, "emptied"),
        ("x", "  ", "emptied"),
        ({"a": 1}, {}, "emptied"),
        ([], [1], "filled"),
        (None, 0, "filled"),
        (None, "", "respelled"),
        (12.5, "12,50", "respelled"),
        ("12.50", "12,50", "respelled"),
        (1234, "1,234", "respelled"),
        ("1.234,50", 1234.5, "respelled"),
        ("1'234.50", "1 234,5", "respelled"),
        ("٣٫٥", 3.5, "respelled"),
        (True, "True", "respelled"),
        ("Zu\u0308rich", "Zürich", "respelled"),
        ("a\u00a0 b", "a b", "respelled"),
        (12.5, "$12.50", "changed"),
        ("12.50 €", "12.50 $", "changed"),
    ],
)
def test_each_change_of_a_value_has_its_kind(before: Any, after: Any, kind: str) -> None:
    assert changes({"a": before}, {"a": after}) == [("a", kind)]


@pytest.mark.parametrize(
    ("one", "other"), [(1, 1.0), (12.5, 12.50), (math.nan, math.nan), (0, -0.0)]
)
def test_the_same_number_is_no_change(one: Any, other: Any) -> None:
    assert changes({"a": [one], "b": one}, {"a": [other], "b": other}) == []


def test_null_and_nothing_differ_by_the_field_that_is_there() -> None:
    assert changes({"a": None, "b": 1}, {"b": 1, "c": None}) == [("a", "gone"), ("c", "added")]
    (gone, added) = compared({"a": None}, {"c": None}).changes
    assert (gone.before, gone.after) == (None, MISSING)
    assert (added.before, added.after) == (MISSING, None)


def test_a_set_without_types_cannot_tell_a_spelling_or_an_empty_cell() -> None:
    untyped = DiffRules(untyped=True)
    assert changes({"a": 12, "b": None, "c": []}, {"a": "12", "b": ""}, untyped) == []
    assert changes({"a": 12}, {"a": 13}, untyped) == [("a", "changed")]


# ---- rules ----


@pytest.mark.parametrize(
    ("tolerance", "before", "after", "is_tolerated"),
    [
        ("1%", 100, 101, True),
        ("1%", 101, 100, True),
        ("1%", 100, 102, False),
        ("1%", -100, -101, True),
        ("0.05", 1.10, 1.15, True),
        ("0.05", 1.10, 1.16, False),
        ("1%", "$100.00", "$100.50", True),
        ("1%", "100,00 €", "100,50 €", True),
        ("1%", "100,00 €", "100,50 $", False),
        ("1%", 100, "100.5", False),
        ("1%", 0, 1, False),
        ("1%", 100, None, False),
        ("1%", True, False, False),
        ("1%", math.inf, 5, False),
    ],
)
def test_numbers_within_a_tolerance_count_as_the_same(
    tolerance: str, before: Any, after: Any, is_tolerated: bool
) -> None:
    found = compared({"price": before}, {"price": after}, rules({"price": tolerance}))
    assert bool(found.changes) is not is_tolerated
    assert found.tolerated == is_tolerated


def test_a_name_means_the_field_anywhere_and_a_path_only_there() -> None:
    before = {"price": 1, "offers": [{"price": 1, "seen": "a"}], "seen": 1}
    after = {"price": 2, "offers": [{"price": 2, "seen": "b"}], "seen": 2}
    assert changes(before, after, rules(ignore=["price", "seen"])) == []
    assert changes(before, after, rules(ignore=["offers[].price", "seen"])) == [
        ("price", "changed")
    ]
    assert changes(before, after, rules(ignore=["offers", "seen", "result.price"])) == []
    assert changes(before, after, rules({"offers[].price": "1"}, ["seen"])) == [
        ("price", "changed")
    ]


def test_a_tolerance_of_a_list_is_that_of_its_numbers() -> None:
    for path in ("sizes", "sizes[]"):
        assert changes({"sizes": [1, 2]}, {"sizes": [1.01, 2]}, rules({path: "5%"})) == []


@pytest.mark.parametrize("text", ["", "1 %%", "a", "-1%", "1e9", "nan", "%", "1" * 60])
def test_what_is_no_tolerance_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="1%"):
        rules({"price": text})


# ---- lists ----


def test_elements_are_matched_by_an_obvious_key_wherever_they_stand() -> None:
    before = [{"sku": "a", "price": 1}, {"sku": "b", "price": 2}, {"sku": "c", "price": 3}]
    after = [{"sku": "c", "price": 3}, {"sku": "d", "price": 4}, {"sku": "a", "price": 9}]
    assert changes({"offers": before}, {"offers": after}) == [
        ("offers[sku=a].price", "changed"),
        ("offers[sku=b]", "gone"),
        ("offers[sku=d]", "added"),
    ]
    assert changes(before, [before[2], before[0], before[1]]) == []


def test_a_key_that_is_declared_comes_first_and_one_that_repeats_is_none() -> None:
    before = {
        "offers": [{"id": 1, "seller": "x", "price": 1}, {"id": 2, "seller": "y", "price": 2}]
    }
    after = {"offers": [{"id": 1, "seller": "y", "price": 2}, {"id": 2, "seller": "x", "price": 1}]}
    assert changes(before, after, rules(keys={"offers": "seller"})) == [
        ("offers[seller=x].id", "changed"),
        ("offers[seller=y].id", "changed"),
    ]
    by_place = rules(keys={"offers": ""})
    assert changes(before, after, by_place)[0] == ("offers[0].seller", "changed")
    twice = {"offers": [{"id": 1, "price": 1}, {"id": 1, "price": 3}]}
    once = {"offers": [{"id": 1, "price": 1}, {"id": 1, "price": 4}]}
    assert changes(twice, once) == [("offers[1].price", "changed")]


def test_a_key_is_the_same_as_text_and_as_a_number() -> None:
    assert changes([{"id": 7, "p": 1}], [{"id": "7", "p": 2}]) == [
        ("[id=7].id", "respelled"),
        ("[id=7].p", "changed"),
    ]


def test_ids_that_are_new_each_time_are_no_key() -> None:
    before = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    after = [{"id": 3, "name": "a"}, {"id": 4, "name": "b"}]
    assert changes(before, after) == [("[0].id", "changed"), ("[1].id", "changed")]


def test_a_list_without_keys_is_aligned_by_what_stayed() -> None:
    assert changes(["a", "b", "c"], ["x", "a", "b", "c"]) == [("[0]", "added")]
    assert changes(["a", "b", "c"], ["a", "c"]) == [("[1]", "gone")]
    assert changes(["a", "b", "c"], ["a", "z", "c"]) == [("[1]", "changed")]
    assert changes([*"abcdef"], [*"xbcdey"]) == [("[0]", "changed"), ("[5]", "changed")]
    assert changes([*"abcd"], [*"bcda"]) == [("[0]", "gone"), ("[3]", "added")]
    many = [*range(2000)]
    assert changes(many, [-1, *many, -2]) == [("[0]", "added"), ("[2001]", "added")]


def test_ignored_fields_do_not_shift_a_list() -> None:
    before = [{"name": name, "seen": 1} for name in "abc"]
    after = [{"name": name, "seen": 2} for name in "xabc"]
    assert changes(before, after, rules(ignore=["seen"])) == [("[0]", "added")]


# ---- paths ----


def test_odd_names_are_told_apart_in_paths() -> None:
    before = {"a.b": 1, "a": {"b": 1}, "": 1, "x[0]": 1, "é": 1, "\x1b": 1}
    paths = [path for path, _ in changes(before, dict.fromkeys(before, 2))]
    assert paths == [r"a\.b", "a", '""', r"x\[0\]", "é", r"\u001b"]


# ---- bounds ----


def test_what_is_too_different_too_deep_or_too_large_changed_as_a_whole() -> None:
    wide = compared({str(n): n for n in range(MAX_CHANGES + 1)}, {"x": 1})
    assert [(each.path, each.whole) for each in wide.changes] == [(".", True)]
    many = compared(
        {str(n): 0 for n in range(MAX_CHANGES + 1)}, {str(n): 1 for n in range(MAX_CHANGES + 1)}
    )
    assert [(each.path, each.whole) for each in many.changes] == [(".", True)]
    huge = compared([[n] for n in range(200_000)], [[n + 1] for n in range(200_000)])
    assert [(each.path, each.whole) for each in huge.changes] == [(".", True)]


def test_deep_results_are_compared_as_a_whole_below_a_level() -> None:
    def nested(value: Any, levels: int) -> Any:
        for _ in range(levels):
            value = {"a": [value]}
        return value

    (change,) = compared(nested(1, 49), nested(2, 49)).changes
    assert len(change.steps) == MAX_DEPTH
    assert compared(nested(1, 49), nested(1, 49)).changes == []


@pytest.mark.parametrize(
    "text", ["1" * 59, "1,2,3,4", ". .", "-", "+-1", "1e999", "٣" * 50, "€" * 60]
)
def test_any_text_is_read_as_an_amount_or_is_none(text: str) -> None:
    found = amount_of(text)
    assert found is None or math.isfinite(found.value)


# ---- properties ----

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(-9, 9)
    | st.text("ab1,. ", max_size=3)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.sampled_from(["a", "b", "id", "sku", "c.d", ""]), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(VALUES)
def test_nothing_differs_from_itself(value: Any) -> None:
    assert changes(value, json.loads(json.dumps(value))) == []


@given(VALUES, VALUES)
def test_the_changes_applied_to_the_first_give_the_second(before: Any, after: Any) -> None:
    applied = apply(json.loads(json.dumps(before)), compared(before, after).changes)
    assert canonical(applied) == canonical(after)


@given(VALUES, VALUES)
def test_what_is_gone_one_way_is_added_the_other_way(before: Any, after: Any) -> None:
    there, back = compared(before, after).changes, compared(after, before).changes
    assert kinds(there, ChangeKind.GONE) == kinds(back, ChangeKind.ADDED)
    assert kinds(there, ChangeKind.ADDED) == kinds(back, ChangeKind.GONE)
    assert kinds(there, ChangeKind.EMPTIED) == kinds(back, ChangeKind.FILLED)


@given(st.permutations(range(9)), st.integers(0, 9), st.sets(st.integers(0, 12)))
def test_lists_in_another_order_are_aligned_alike_both_ways(
    order: list[int], most: int, others: set[int]
) -> None:
    before, after = [*range(9)], [*order[:most], *sorted(others - {*order[:most]})]
    there, back = compared(before, after).changes, compared(after, before).changes
    assert kinds(there, ChangeKind.GONE) == kinds(back, ChangeKind.ADDED)
    assert kinds(there, ChangeKind.CHANGED) == kinds(back, ChangeKind.CHANGED)


def kinds(found: list[Change], kind: ChangeKind) -> list[str]:
    return sorted(each.field for each in found if each.kind is kind)


def apply(value: Any, found: list[Change]) -> Any:
    """Apply changes to a value; of one list, what is gone goes from the end on."""
    gone = [each for each in found if each.kind is ChangeKind.GONE and type(each.steps[-1]) is int]
    ordered: list[Change] = []
    for change in found:
        if change in gone:
            parent = change.steps[:-1]
            at = next(
                (i for i, e in enumerate(ordered) if e in gone and e.steps[:-1] == parent), None
            )
            ordered.insert(len(ordered) if at is None else at, change)
        else:
            ordered.append(change)
    for change in ordered:
        value = _applied(value, change)
    return value


def _applied(value: Any, change: Change) -> Any:
    if not change.steps:
        return change.after
    inside = value
    for step in change.steps[:-1]:
        inside = inside[_place(inside, step)]
    last = change.steps[-1]
    if change.kind is ChangeKind.GONE:
        del inside[_place(inside, last)]
    elif change.kind is ChangeKind.ADDED and isinstance(inside, list):
        inside.insert(last if isinstance(last, int) else len(inside), change.after)
    else:
        inside[_place(inside, last) if not isinstance(last, str) else last] = change.after
    return value


def _place(inside: Any, step: Any) -> Any:
    if not isinstance(step, KeyedElement):
        return step
    return next(
        at
        for at, each in enumerate(inside)
        if (each[step.name] if isinstance(each[step.name], str) else json.dumps(each[step.name]))
        == step.value
    )


def canonical(value: Any) -> Any:
    """Return a value whose lists of objects with keys have an order of their own."""
    if isinstance(value, dict):
        return {name: canonical(item) for name, item in value.items()}
    if isinstance(value, list):
        items = [canonical(item) for item in value]
        if items and all(isinstance(item, dict) and {"id", "sku"} & item.keys() for item in items):
            return sorted(items, key=lambda item: json.dumps(item, sort_keys=True))
        return items
    return value
