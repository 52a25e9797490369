"""Values of results are searched for in pages: what is found, what is not, and at what cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import batchrunner as br
from batchrunner.grounding import Grounding, GroundingSummary, Status, Where, ground, summarise
from batchrunner.grounding.page_index import MAX_LINE, Segment
from batchrunner.grounding.summary import MAX_ROWS_NAMED

PAIRS = Path(__file__).parents[1] / "grounding_pairs"
SHOP = """<title>Shop</title><h1>Oak Desk</h1><p>€ 1.299,– statt € 1.499,–</p><p>Auf Lager</p>
<a href="/p/7?utm_source=x">Oak Desk</a><img alt="front view">
<script type="application/ld+json">{"sku": "OD-7", "gtin": "4006381333931"}</script>"""


def measured(name: str) -> tuple[float, float]:
    """Return the precision and recall of `absent` on the labelled pairs of a file."""
    right = wrong = missed = 0
    for line in (PAIRS / name).read_text(encoding="utf-8").splitlines():
        pair = json.loads(line)
        found = ground(json.dumps(pair["result"]), pair["pages"], url=pair.get("url")).absent
        labelled = {path for path, label in pair["labels"].items() if label == "absent"}
        right += len(labelled & set(found))
        wrong += len(set(found) - labelled)
        missed += len(labelled - set(found))
    return right / (right + wrong), right / (right + missed)


@pytest.mark.parametrize("name", ["first", "second", "third", "fourth"])
def test_absent_is_right_on_labelled_pairs(name: str) -> None:
    precision, recall = measured(f"{name}.jsonl")
    # Nothing was learned from the fourth part.
    assert precision >= (0.93 if name == "fourth" else 0.95)
    assert recall >= 0.95


def test_yes_and_no_in_words_are_checked_as_such() -> None:
    found = ground({"in_stock": "ja", "vat": "no"}, [SHOP])
    assert found.derived == 1
    assert found.unchecked == 1


def test_each_value_says_where_it_was_found() -> None:
    result = {
        "name": "Oak Desk",
        "price": 1299,
        "old": 1499,
        "saving": 200,
        "sku": "OD-7",
        "view": "front view",
        "shop": "Shop",
        "link": "https://shop.example/p/7",
        "maker": "Nordholz",
    }
    found = br.ground(json.dumps(result), pages=[SHOP], url="https://shop.example/").by_path
    assert {path: each.where for path, each in found.items()} == {
        "name": Where.TEXT,
        "price": Where.TEXT,
        "old": Where.TEXT,
        "saving": None,
        "sku": Where.JSON_LD,
        "view": Where.ATTRIBUTE,
        "shop": Where.META,
        "link": Where.URL,
        "maker": None,
    }
    assert found["price"].excerpt == "Oak Desk € 1.299,– statt € 1.499,– A"
    assert found["saving"].status is Status.DERIVED
    assert found["maker"].status is Status.ABSENT


def test_paths_are_those_of_the_whole_answer() -> None:
    text = 'Here it is:\n```json\n{"result": {"items": [{"maker": "Nordholz"}]}}\n```'
    assert ground(text, [SHOP]).absent == ["result.items[0].maker"]
    assert ground("Nordholz", [SHOP]).absent == ["."]


def test_nothing_is_no_value() -> None:
    found = ground({"a": None, "b": "", "c": [], "d": "n/a", "status": "success"}, [SHOP])
    assert not found.by_path
    assert found.unchecked == 2


def test_a_field_that_the_job_names_is_no_report_of_the_run() -> None:
    assert ground({"status": "success"}, [SHOP], named=frozenset({"status"})).absent == ["status"]


def test_a_small_number_counts_only_where_it_is_about_the_same() -> None:
    page = "<h1>Mat</h1><p>5 minutes ago</p><ul><li>1</li><li>2</li><li>3</li></ul><p>4 Sterne</p>"
    found = ground({"name": "Mat", "bedrooms": 5, "stock": 2, "rating": 4}, [page])
    assert found.absent == ["bedrooms", "stock"]


@pytest.mark.parametrize(
    ("page", "problem"),
    [([], "no page was captured"), (["<div></div>"], "no page holds text")],
)
def test_without_a_page_nothing_is_absent(page: list[str], problem: str) -> None:
    assert ground({"a": 1}, page) == Grounding(problem=problem)


def test_too_large_a_result_is_set_aside() -> None:
    assert ground("[" * 200 + "]" * 200, [SHOP]).problem == "the result is too large to be checked"


def test_values_beyond_the_first_are_counted_and_not_checked() -> None:
    found = ground({"n": ["Oak Desk"] * 600}, [SHOP])
    assert (found.grounded, found.unchecked) == (500, 100)


@pytest.mark.parametrize(
    ("encoding", "head"),
    [
        ("utf-8", ""),
        ("utf-8-sig", ""),
        ("utf-16", ""),
        ("utf-16-le", ""),
        ("cp1251", '<meta charset="windows-1251">'),
        ("koi8-r", '<meta http-equiv="Content-Type" content="text/html; charset=koi8-r">'),
        ("utf-8", '<meta charset="iso-8859-1">'),
    ],
)
def test_pages_come_in_any_encoding(encoding: str, head: str) -> None:
    page = f"<html><head>{head}</head><p>Чайник электрический</p></html>".encode(encoding)
    assert ground({"name": "Чайник электрический"}, [page]).grounded == 1


HOSTILE: dict[str, Any] = {
    "deep": "<div>" * 2_000 + "x 5",
    "unclosed quotes": '<a b="x' * 5_000,
    "angle brackets": "<" * 10_000 + "a",
    "comments": "<!--" * 2_000,
    "scripts": "<script>" * 10_000,
    "deep JSON": '<script type="application/ld+json">' + "[" * 10_000 + "</script>x",
    "strings": "<script>" + '"a":' * 5_000 + "</script>x",
    "digits": "1" * 10_000,
    "digits apart": "1 2" * 2_000,
    "dates": "30. November " * 1_000,
    "at signs": "a@ at " * 2_000,
    "binary": bytes(range(256)) * 50,
    "NUL": "\0" * 10_000 + "x",
    "surrogates": "\ud800" * 10_000 + "x",
    "marks": "a" + "\u0301" * 10_000,
    "bad entities": "&#x110000;&#xd800;&bogus;" * 2_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_page_is_too_strange(name: str) -> None:
    result = {
        "name": "Blue thing\ud800",
        "n": 5,
        "huge": 10**5000,
        "price": float("inf"),
        "date": "2026-11-30",
        "url": "http://[::1/",
        "mail": "a@b.de",
        "phone": "+49 30 1234567",
        "text": "a text that is long enough to be reworded by somebody",
    }
    assert json.dumps(ground(result, [HOSTILE[name]], url="http://[bad").as_json())


def test_a_page_that_is_cut_says_so_of_what_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchrunner.grounding.html_parts.MAX_KEPT", 1000)
    page = "<p>word word</p>" * 100 + "<p>Nordholz</p>"
    found = ground({"maker": "Nordholz"}, [page]).by_path["maker"]
    assert found.how == "not in the part of the page that was searched"


def test_what_was_found_can_be_stored() -> None:
    found = ground(
        {"name": "Oak Desk", "maker": "Nordholz", "in_stock": True, "new": False}, [SHOP]
    )
    stored = json.loads(json.dumps(found.as_json()))
    assert Grounding.from_json(stored) == found
    assert found.unchecked == 1


def rows(first: int, last: int) -> list[tuple[str, Grounding]]:
    return [
        (f"row-{n}", ground({"items": [{"maker": "Oak" if n % 2 else "Nordholz"}]}, [SHOP]))
        for n in range(first, last)
    ]


def test_summaries_of_parts_merge_to_that_of_all() -> None:
    unread = ("row-x", Grounding(problem="no page was captured"))
    whole = summarise([*rows(0, 60), unread])
    assert summarise(rows(0, 25)).merged(summarise([*rows(25, 60), unread])) == whole
    assert GroundingSummary().merged(whole) == whole
    makers = whole.fields["items[].maker"]
    assert (whole.rows, whole.rows_with_absent, whole.unread_rows) == (60, 30, 1)
    assert (makers.grounded, makers.absent) == (30, 30)
    assert len(makers.absent_rows) + makers.more_absent_rows == 30
    assert len(makers.absent_rows) == MAX_ROWS_NAMED


def test_a_summary_says_how_much_of_a_field_is_in_the_pages() -> None:
    summary = summarise(rows(0, 4))
    assert summary.lines() == [
        "items[].maker: 50 % of 4 are in the page; 2 are not: rows row-0, row-2"
    ]
    assert GroundingSummary().lines() == ["no values were checked"]


def test_fields_of_any_number_are_counted_in_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    found = ((str(n), ground({f"field{n}": "Oak Desk"}, ["<p>Oak Desk</p>"])) for n in range(203))
    monkeypatch.setattr("batchrunner.grounding.summary.MAX_FIELDS", 200)
    summary = summarise(found)
    assert len(summary.fields) == 201
    assert summary.fields["(other fields)"].grounded == 3


# ---- hostile pages ----


def test_a_page_of_one_line_is_read_only_beside_a_number() -> None:
    text = "1 " * 100_000
    assert Segment(0, Where.TEXT, text).line_at(50_000) == (50_000 - MAX_LINE, 50_000 + MAX_LINE)
    assert Segment(0, Where.TEXT, "one\ntwo\nsix").line_at(5) == (4, 7)
    assert Segment(0, Where.TEXT, "one").line_at(1) == (0, 3)


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ({"day": "2024-05-12"}, "12.05.2024 "),
        ({"opens": "7:30 pm"}, "19:30<br>"),
        ({"minutes": 90}, "1h 30m "),
        ({"n": 1.3}, "1.25<br>"),
        ({"day": "2023-11-14"}, "1700000000<br>"),
    ],
    ids=["date", "time", "duration", "fraction", "stamp"],
)
def test_what_a_page_repeats_is_found_once(value: dict[str, Any], part: str) -> None:
    (found,) = ground(value, [f"<p>{part * 300}"]).by_path.values()
    assert found.status is not Status.ABSENT


def test_a_check_that_takes_too_long_leaves_the_rest_unchecked() -> None:
    found = ground({"name": "Oak Desk", "price": 77}, [SHOP], is_late=iter([False, True]).__next__)
    assert [*found.by_path] == ["name"]
    assert found.unchecked == 1
