"""What the newest results of a running batch show: what is beyond chance, and what is not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from batchrunner.model.quality import QualityBounds
from batchrunner.policy.quality_bounds import BoundCounts
from batchrunner.policy.quality_watch import anomalies, in_order, stops
from batchrunner.policy.watched_results import (
    WatchedResult,
    fields_of,
    place_of,
)
from batchrunner.quality.fields import MAX_FIELDS_OF_ROW
from batchrunner.sandbox.seeded_random import seeded_share

START = datetime(2026, 11, 30, 22, tzinfo=UTC)


def result(number: int, value: Any, **more: Any) -> WatchedResult:
    """Build the result of the n-th run that finished."""
    at = START + timedelta(minutes=number)
    host = more.pop("host", "shop.test")
    url = more.pop("url", f"https://{host}/products/{number}")
    given = {
        "job_id": number,
        "attempt_id": number,
        "finished_at": at,
        "closed_at": at,
        "goal": "Read the name and the price",
        "kinds": {"folder": host + place_of(url)},
        "good": True,
    }
    return WatchedResult(
        **{**given, **more}, host=host, url=url, fields=fields_of(json.dumps(value))
    )


def row(number: int, **fields: Any) -> dict[str, Any]:
    return {"name": f"Thing {number}", "price": number + 0.5, "note": None, **fields}


def night(
    good: int,
    bad: Callable[[int], Any],
    *,
    then: int = 12,
    of: Callable[[int], Mapping[str, Any]] = lambda _: {},
) -> list[WatchedResult]:
    """Build good results, and then bad ones; *of* gives what is special about the n-th."""
    before = [result(n, row(n), **of(n)) for n in range(good)]
    return [*before, *(result(n, bad(n), **of(n)) for n in range(good, good + then))]


def found(results: list[WatchedResult], **how: Any) -> list[tuple[str, str]]:
    return [(anomaly.kind, anomaly.column) for anomaly in anomalies(in_order(results), **how)]


def no_price(number: int) -> Any:
    return row(number, price=None)


# ---- what is found ----


@pytest.mark.parametrize(
    "bad",
    [
        no_price,
        lambda n: row(n, price=""),
        lambda n: {"name": f"Thing {n}", "note": None},
        lambda n: {"result": row(n, price=" ")},
    ],
)
def test_a_field_that_is_empty_from_some_time_on_is_found(bad: Callable[[int], Any]) -> None:
    assert found(night(60, bad)) == [("coverage", "price")]
    assert found(night(60, bad, then=8)) == [], "too few to be sure"
    assert found(night(60, bad), coverage={"price": Decimal("0.3")}) == [], "it may be rare"


def test_a_field_of_list_items_is_found() -> None:
    def items(number: int, price: Any) -> Any:
        return {"items": [{"name": f"{number} {n}", "price": price} for n in range(3)]}

    before = [result(n, items(n, 3.5)) for n in range(30)]
    after = [result(n, items(n, None)) for n in range(30, 45)]
    assert found(before + after) == [("coverage", "items[].price")]


def test_results_that_are_nearly_all_suspect_are_found() -> None:
    later = [result(n, row(n), good=False) for n in range(40, 52)]
    assert found([*night(40, row, then=0), *later]) == [("suspect", "")]


def test_the_same_answer_on_all_urls_is_found() -> None:
    answer = row(1, name="Welcome to our shop")
    assert found(night(40, lambda _: answer)) == [("all_equal", "")]
    from_start = [result(n, answer) for n in range(24)]
    assert found(from_start) == [("all_equal", "")]
    one_url = [result(n, answer, url="https://shop.test/1") for n in range(40)]
    assert found(one_url) == [], "the same page may well give the same answer"


def test_a_yes_or_no_on_all_urls_says_nothing() -> None:
    assert found([result(n, {"in_stock": True, "count": 0}) for n in range(60)]) == []


def test_what_the_last_edition_held_is_missed_from_the_start() -> None:
    held = frozenset({"name", "price"})
    results = [result(n, no_price(n), held_before=held) for n in range(14)]
    assert found(results) == [("coverage", "price")]
    assert found(results, resumed=True) == []


def test_what_the_last_edition_did_not_hold_either_is_not_missed() -> None:
    held = {"held_before": frozenset({"name"})}
    assert found(night(60, no_price, then=30, of=lambda n: held if n >= 60 else {})) == []


def test_results_are_looked_at_in_the_order_in_which_runs_finished() -> None:
    results = night(60, no_price)
    mixed = sorted(results, key=lambda each: seeded_share(each.job_id))
    assert found(mixed) == [("coverage", "price")]
    backwards = [result(n, no_price(n) if n >= 60 else row(n), job_id=100 - n) for n in range(72)]
    assert found(backwards) == [("coverage", "price")]


def test_only_the_newest_result_of_a_job_counts() -> None:
    results = night(60, no_price)
    again = [result(80 + n, row(n), job_id=60 + n) for n in range(12)]
    assert found(results + again) == []


# ---- what is no finding ----


def test_fields_that_are_often_empty_are_no_finding() -> None:
    def often(number: int, share: float) -> Any:
        return row(number, price=None if seeded_share(number, share) < share else number)

    for share in (0.05, 0.2, 0.5, 0.9):
        results = [result(n, often(n, share)) for n in range(300)]
        assert not [n for n in range(20, 300, 7) if found(results[:n])], share


@pytest.mark.parametrize(
    "of",
    [
        lambda n: {"url": f"https://shop.test/{'books' if n < 60 else 'toys'}/{n}"},
        lambda n: {"goal": "Read the price" if n < 60 else "Read the name"},
        lambda n: {"kinds": {"column category": "books" if n < 60 else "toys"}},
        lambda n: {"host": "a.test" if n < 60 else "b.test"},
    ],
    ids=["another folder", "another goal", "another cell", "another host"],
)
def test_results_of_another_kind_than_those_before_are_no_finding(
    of: Callable[[int], Mapping[str, Any]],
) -> None:
    assert found(night(60, no_price, then=60, of=of)) == []


def test_kinds_that_are_all_different_are_a_finding() -> None:
    assert found(night(60, no_price, of=lambda n: {"host": f"shop-{n}.test"})) == [
        ("coverage", "price")
    ]


def test_goals_that_take_turns_may_ask_for_different_fields() -> None:
    def asked(number: int) -> Any:
        return row(number) if number % 2 else {"title": "A book", "author": f"Author {number}"}

    goals = ("Read title and author", "Read name and price")
    results = [result(n, asked(n), goal=goals[n % 2]) for n in range(200)]
    assert not [n for n in range(20, 200, 3) if found(results[:n])]


# ---- whether it stops the batch ----


def test_one_bad_host_among_many_stops_nothing() -> None:
    def of(number: int) -> Mapping[str, Any]:
        return {"host": f"shop-{number % 10}.test" if number < 60 else "shop-3.test"}

    (anomaly,) = anomalies(night(60, no_price, of=of))
    assert anomaly.host == "shop-3.test"
    assert not stops(anomaly, {f"shop-{n}.test": 50 for n in range(10)})
    assert stops(anomaly, {"shop-3.test": 500, "shop-1.test": 20}), "nearly all that is left"
    assert not stops(anomaly, {})


def test_hosts_that_are_fine_in_the_same_time_keep_a_batch_going() -> None:
    def of(number: int) -> Mapping[str, Any]:
        return {"host": f"shop-{number % 4}.test"}

    def on_two(number: int) -> Any:
        return no_price(number) if number % 4 < 2 else row(number)

    left = {f"shop-{n}.test": 50 for n in range(4)}
    assert not any(stops(anomaly, left) for anomaly in anomalies(night(60, on_two, then=60, of=of)))
    (anomaly,) = anomalies(night(60, no_price, of=of))
    assert stops(anomaly, left)


def test_hosts_that_come_one_after_the_other_are_believed_when_two_are_bad() -> None:
    def of(number: int) -> Mapping[str, Any]:
        return {"host": f"shop-{number // 50}.test"}

    (anomaly,) = anomalies(night(130, no_price, then=40, of=of))
    assert set(anomaly.bad_hosts) == {"shop-2.test", "shop-3.test"}
    assert stops(anomaly, {"shop-3.test": 30, **{f"shop-{n}.test": 50 for n in range(4, 10)}})


# ---- reading ----


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5000 + "]" * 5000,
        json.dumps({f"field {n}": n for n in range(5000)}),
        json.dumps([{f"{n}": [n]} for n in range(3000)]),
        json.dumps({"k" * 20_000: "\0\ud800"}),
        "\ud800 not json",
        "1" * 5000,
        '{"a": 1e999, "b": NaN}',
        "",
    ],
    ids=["deep", "wide", "long", "a long name", "no JSON", "a long number", "no number", "nothing"],
)
def test_of_a_hostile_result_little_is_kept(text: str) -> None:
    fields = fields_of(text)
    names = fields.filled | fields.empty if fields else frozenset[str]()
    assert len(names) <= MAX_FIELDS_OF_ROW
    assert all(len(name) <= 400 for name in names)


# ---- bounds ----


def counted(bounds: QualityBounds, *values: Any) -> BoundCounts:
    counts = BoundCounts(bounds)
    for number, value in enumerate(values):
        counts.add(result(number, value))
    return counts


def test_a_bound_is_lost_when_the_rest_cannot_make_up_for_it() -> None:
    bounds = QualityBounds(coverage={"price": Decimal("0.9")}, duplicates=Decimal("0.1"), rows=100)
    rows = [row(n, price=None) if n < 11 else row(n) for n in range(40)]
    counts = counted(bounds, *rows)
    assert counts.lost(71, all_rows=True) == [], "11 of 111 is more than a tenth, by less than one"
    (lost,) = counts.lost(69, all_rows=True)
    assert (lost.kind, lost.column, lost.count, lost.bound) == ("coverage", "price", 11, True)
    assert [each.kind for each in counts.lost(50, all_rows=True)] == ["coverage", "rows"]
    assert [each.kind for each in counts.lost(50, all_rows=False)] == ["coverage"]


def test_answers_that_repeat_too_often_are_a_lost_bound() -> None:
    bounds = QualityBounds(duplicates=Decimal("0.1"))
    counts = counted(bounds, *[row(1)] * 15, *[row(n) for n in range(20, 40)])
    assert [each.kind for each in counts.lost(100, all_rows=True)] == ["duplicates"]
    assert counts.lost(150, all_rows=True) == []


def test_a_few_rows_lose_no_bound() -> None:
    bounds = QualityBounds(coverage={"price": Decimal(1)})
    assert counted(bounds, *[row(n, price=None) for n in range(5)]).lost(3, all_rows=True) == []
