"""Quality: clean nights are never called bad, and each kind of drift is found and named."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple

import pytest

from batchrunner.model.quality import Quality, QualityBounds, QualityWord
from batchrunner.quality.assessment import evidence_of, quality_by, rows_to_look_at
from batchrunner.quality.figures import field_figures
from batchrunner.quality.profile import Profile, ProfileRow
from tests import quality_data as data
from tests.quality_data import (
    KINDS,
    Answer,
    Drift,
    Night,
    drop,
    everywhere,
    lose_rows,
    night,
    on_host,
    on_share,
    put,
    same_answer,
    slip,
    turn,
)

GOOD, LOOK, BAD = QualityWord.GOOD, QualityWord.LOOK, QualityWord.BAD


def compare(
    profile: Profile,
    baseline: Profile | None = None,
    bounds: QualityBounds | None = None,
    *,
    complete: bool = True,
) -> Quality:
    return quality_by(evidence_of(profile, baseline, bounds, complete=complete))


class Pair(NamedTuple):
    """A night and the one before it, between which nothing has gone wrong."""

    now: Night
    before: Night | None


def with_hosts(found: Night, hosts: set[str]) -> Night:
    """Return the rows of these hosts."""
    return Night({key: answer for key, answer in found.answers.items() if key[1] in hosts})


def sale() -> Pair:
    """In a sale, prices fall by half, and nearly all jobs have an old price."""
    now = night("shop", 120, 1)
    everywhere(turn("price", lambda text: data.scaled(text, 0.5)))(now)
    for number, answer in enumerate(now.answers.values()):
        answer["old_price"] = f"${400 + number / 7:.2f}"
    return Pair(now, night("shop", 120))


def after_the_sale() -> Pair:
    """After a sale, old prices are gone from nearly all rows."""
    now = night("shop", 120, 1)
    on_share(0.95, put("old_price", None))(now)
    return Pair(now, night("shop", 120))


def sold_out() -> Pair:
    """At the end of a season, most of the stock is gone."""
    now = night("numeric shop", 120, 1)
    on_share(0.85, lambda answer: answer.update(in_stock=False, stock=0))(now)
    return Pair(now, night("numeric shop", 120))


def new_host() -> Pair:
    """A new host has no rating, and another price level."""
    now = night("shop", 120, 1)
    new = night("shop", 30, 1, seed=7, hosts=("new.example",))
    on_host("new.example", put("rating", None))(new)
    now.answers.update(new.answers)
    return Pair(now, night("shop", 120))


def hosts_gone() -> Pair:
    """Two of six hosts were taken out of the file."""
    kept = {*KINDS["shop"].hosts[:5]}
    return Pair(with_hosts(night("shop", 120, 1), kept), night("shop", 120))


CLEAN: dict[str, Callable[[], Pair]] = {
    **{
        f"{kind}: the next night": lambda kind=kind: Pair(night(kind, 90, 1), night(kind, 90))
        for kind in KINDS
    },
    **{
        f"{kind}: other jobs": lambda kind=kind: Pair(
            night(kind, 80, 1, seed=4), night(kind, 90, 2, seed=5)
        )
        for kind in KINDS
    },
    "a sale": sale,
    "after the sale": after_the_sale,
    "sold out": sold_out,
    "a new host": new_host,
    "hosts gone": hosts_gone,
    "three rows": lambda: Pair(night("shop", 3, 1), night("shop", 3)),
    "twelve rows": lambda: Pair(night("flats", 12, 1), night("flats", 12)),
    "twelve other jobs": lambda: Pair(night("job ads", 12, 3, seed=8), night("job ads", 12, 2)),
    "nothing before": lambda: Pair(night("languages", 60, 1), None),
    "three rows and nothing before": lambda: Pair(night("listings", 3, 1), None),
}


def quality(pair: Pair, bounds: QualityBounds | None = None) -> Quality:
    before = None if pair.before is None else pair.before.profile(2)
    return compare(pair.now.profile(1), before, bounds)


def test_there_are_twenty_clean_pairs_and_more() -> None:
    assert len(CLEAN) >= 20


@pytest.mark.parametrize("name", CLEAN)
def test_nights_between_which_nothing_went_wrong_are_not_bad(name: str) -> None:
    found = quality(CLEAN[name]())
    assert found.verdict is not BAD, found.reasons


# ---- drifts ----


class Found(NamedTuple):
    """What a drift must be found by."""

    kind: str
    column: str | None
    host: str | None = None
    word: QualityWord = BAD


def in_items(change: Callable[[Answer], None]) -> Callable[[Answer], None]:
    def change_all(answer: Answer) -> None:
        for item in answer.get("items") or ():
            change(item)

    return change_all


def to_pounds(text: str) -> str:
    return f"{float(text.split()[0]) * 2.2:.1f} lb"


def cents(price: float) -> int:
    return round(price * 100)


def german(text: str) -> str:
    noun = text.split()[1] if len(text.split()) > 1 else text
    return f"Die {noun} ist mit einer Garantie für Sie und das Haus geliefert worden."


COOKIES = "We use cookies to improve your experience. Accept all cookies"
NOSCRIPT = "Veuillez activer JavaScript pour continuer"

#: Each of the fourteen kinds in some forms: the kind of data, the drift, what finds it.
DRIFTS: dict[str, tuple[str, Drift, Found]] = {
    # a field is null on one host, or everywhere
    "null on a host": (
        "shop",
        on_host("shopc.example", put("price", None)),
        Found("coverage", "price", "shopc.example"),
    ),
    "n/a on a host": (
        "flats",
        on_host("flats.example", put("rooms", "n/a")),
        Found("coverage", "rooms", "flats.example"),
    ),
    "gone": ("shop", everywhere(drop("sku")), Found("coverage", "sku")),
    "gone from items": (
        "listings",
        everywhere(in_items(drop("price"))),
        Found("coverage", "items[].price"),
    ),
    # another type
    "number to text": (
        "numeric shop",
        everywhere(turn("price", str)),
        Found("type", "price"),
    ),
    "number to list on a host": (
        "flats",
        on_host("estate.example", turn("rooms", lambda rooms: [rooms])),
        Found("type", "rooms", "estate.example"),
    ),
    # a decimal comma
    "cents": ("numeric shop", everywhere(turn("price", cents)), Found("number", "price")),
    "cents on a host": (
        "numeric shop",
        on_host("two.de", turn("price", cents)),
        Found("number", "price", "two.de"),
    ),
    "thousands lost": (
        "flats",
        everywhere(turn("price", lambda price: price / 1000)),
        Found("number", "price"),
    ),
    # currency, unit
    "dollars to euros": (
        "shop",
        everywhere(turn("price", lambda text: text.replace("$", "") + " €")),
        Found("currency", "price"),
    ),
    "another code on a host": (
        "numeric shop",
        on_host("three.com", put("currency", "EUR")),
        Found("currency", "currency", "three.com"),
    ),
    "kilograms to pounds": (
        "shop",
        everywhere(turn("weight", to_pounds)),
        Found("unit", "weight"),
    ),
    "year to hour": (
        "job ads",
        everywhere(turn("salary", lambda text: text.replace("per year", "per hour"))),
        Found("unit", "salary"),
    ),
    # equal answers
    "all equal": ("shop", same_answer(1.1), Found("all_equal", None)),
    "one answer on many urls": ("job ads", same_answer(0.3), Found("same_answer", None)),
    # a constant column
    "constant": ("shop", everywhere(put("price", "$19.99")), Found("constant", "price")),
    "constant on a host": (
        "numeric shop",
        on_host("five.com", put("name", "Our shop")),
        Found("constant", "name", "five.com"),
    ),
    # lists and rows
    "one item": (
        "listings",
        everywhere(turn("items", lambda items: items[:1])),
        Found("list_length", "items"),
    ),
    "half of the rows": ("shop", lose_rows(0.5), Found("rows", None)),
    # shifted columns
    "shifted": ("shop", on_share(0.3, slip("title", "sku")), Found("shifted", None)),
    "shifted on a host": (
        "job ads",
        on_host("jobs3.example", slip("title", "posted")),
        Found("shifted", None, "jobs3.example"),
    ),
    # language
    "German": ("shop", everywhere(turn("description", german)), Found("language", "description")),
    "German on a host": (
        "languages",
        on_host("store.uk", turn("text", german)),
        Found("language", "text", "store.uk"),
    ),
    # banners
    "cookies": ("shop", on_share(0.2, put("description", COOKIES)), Found("banner", "description")),
    "noscript on a host": (
        "languages",
        on_host("boutique.fr", put("text", NOSCRIPT)),
        Found("banner", "text", "boutique.fr"),
    ),
}


@pytest.mark.parametrize("name", DRIFTS)
def test_a_drift_is_among_the_first_reasons_with_its_column_and_host(name: str) -> None:
    assert_found(name, 96, seed=1)


@pytest.mark.sweep
@pytest.mark.parametrize("jobs", [60, 400, 2000])
@pytest.mark.parametrize("name", DRIFTS)
def test_a_drift_is_found_among_few_and_many_other_jobs(name: str, jobs: int) -> None:
    assert_found(name, jobs, seed=2, any_host=True)


@pytest.mark.sweep
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("jobs", [3, 7, 12, 25, 60, 500])
@pytest.mark.parametrize("kind", KINDS)
def test_no_clean_night_of_any_size_is_bad(kind: str, jobs: int, seed: int) -> None:
    for before in (night(kind, jobs, 2, seed=seed), night(kind, jobs, 2, seed=seed + 50), None):
        found = quality(Pair(night(kind, jobs, 1, seed=seed), before))
        assert found.verdict is not BAD, found.reasons


def assert_found(name: str, jobs: int, seed: int, *, any_host: bool = False) -> None:
    """Check that a drift is found; with *any_host*, one of all hosts may be named host by host."""
    kind, drift, wanted = DRIFTS[name]
    now = night(kind, jobs, 3, seed=seed)
    drift(now)
    found = quality(Pair(now, night(kind, jobs)))
    assert found.verdict is wanted.word
    first = [(each.kind, each.column, each.host) for each in found.reasons[:3]]
    named = [each for each in first if each[0] == wanted.kind]
    assert any(
        wanted.column in (None, column)
        and (host == wanted.host or (any_host and wanted.host is None))
        for _, column, host in named
    ), first


def test_a_reason_names_how_many_rows_it_is_about() -> None:
    now = night("shop", 120)
    on_host("shopb.example", put("sku", None))(now)
    (reason,) = quality(Pair(now, night("shop", 120))).reasons
    assert (reason.kind, reason.column, reason.host) == ("coverage", "sku", "shopb.example")
    assert reason.count == 20
    assert reason.text == "`sku` holds nothing in 20 of 20 rows of shopb.example (before: 0%)"


# ---- without a baseline ----


ALONE: dict[str, tuple[str, Drift, Found]] = {
    "all equal": ("shop", same_answer(1.1), Found("all_equal", None)),
    "cookies": ("shop", on_share(0.2, put("title", COOKIES)), Found("banner", "title")),
    "never filled": ("shop", everywhere(put("sku", None)), Found("coverage", "sku", None, LOOK)),
    "nothing at all": (
        "flats",
        everywhere(lambda answer: answer.update(dict.fromkeys(answer))),
        Found("coverage", None),
    ),
    "cents on a host": (
        "numeric shop",
        on_host("two.de", turn("price", cents)),
        Found("number", "price", "two.de"),
    ),
    "shifted": ("shop", on_share(0.2, slip("title", "sku")), Found("shifted", None)),
}


@pytest.mark.parametrize("name", ALONE)
def test_what_is_wrong_in_any_batch_is_found_without_a_baseline(name: str) -> None:
    kind, drift, wanted = ALONE[name]
    now = night(kind, 90)
    drift(now)
    found = quality(Pair(now, None))
    assert found.verdict is wanted.word
    first = found.reasons[:3]
    assert any(
        each.kind == wanted.kind and wanted.column in (None, each.column) for each in first
    ), first


def test_most_rows_failed_or_suspect_are_bad() -> None:
    for name in ("failed", "suspect"):
        now = night("shop", 40)
        getattr(now, name).update([key for key, _ in now.answers][:24])
        found = quality(Pair(now, None))
        assert (found.verdict, found.reasons[0].kind, found.reasons[0].count) == (BAD, name, 24)


def test_failures_of_the_only_host_are_told_once_and_counted_over_all_jobs() -> None:
    now, before = night("shop", 40, hosts=("a.example",)), night("shop", 40, hosts=("a.example",))
    now.failed.update([key for key, _ in now.answers][:14])
    (reason,) = [each for each in quality(Pair(now, before)).reasons if each.kind == "failed"]
    assert reason.text == "14 of 40 rows failed, 14 of them for `goal_failure` (before: 0%)"


def test_failures_of_one_host_are_counted_over_its_jobs() -> None:
    hosts = ("a.example", "b.example", "c.example", "d.example")
    now, before = night("shop", 200, hosts=hosts), night("shop", 200, hosts=hosts)
    of_host = [key for key, host in now.answers if host == "b.example"]
    now.failed.update(of_host[:-10])
    failed = len(of_host) - 10
    (reason,) = [each for each in quality(Pair(now, before)).reasons if each.host]
    said = f"the job failed in {failed} of {len(of_host)} rows of b.example (before: 0%)"
    assert reason.text == said


# ---- bounds ----


def test_repeated_answers_that_the_job_file_allows_are_not_worth_a_look() -> None:
    places = [max(n, 4) for n in range(30)]
    answers = [f'{{"name": "n{place}", "stock": "s{place}", "price": 1}}' for place in places]
    rows = [
        ProfileRow(str(n), f"https://a.example/{n}", "a.example", "succeeded", "good", None, text)
        for n, text in enumerate(answers)
    ]
    assert compare(Profile().add_all(rows)).reasons[0].kind == "same_answer"
    assert (
        compare(Profile().add_all(rows), None, QualityBounds(duplicates=Decimal("0.2"))).verdict
        is GOOD
    )


def rows_of_goals(*goals: tuple[str, int, str]) -> Profile:
    """Make rows: a goal, how many rows, and their answer; {n} is the number of the row."""
    made = []
    for goal, count, answer in goals:
        for _ in range(count):
            n = f"w{len(made)}"
            row = ProfileRow(n, f"https://a.example/{n}", "a.example", "succeeded")
            text = answer.replace("{n}", n)
            asked = goal.replace("{n}", n)
            made.append(row._replace(result=text, goal=asked, columns={"product": n}))
    return Profile().add_all(made)


PRICE, STARS = '{"name": "{n}", "price": 1}', '{"name": "{n}", "stars": 3}'


def test_a_field_is_expected_only_of_rows_whose_goal_ever_has_it() -> None:
    profile = rows_of_goals(("price", 6, PRICE), ("stars", 18, STARS), ("both", 1, "null"))
    figures = {each.path: each for each in field_figures(profile, None)}
    assert (figures["price"].filled, figures["price"].asked) == (6, 7)
    assert (figures["stars"].asked, figures["name"].asked) == (19, 25)
    bounds = QualityBounds(coverage={"price": Decimal("0.8")}, given=True)
    assert not [each for each in compare(profile, None, bounds).reasons if each.bound]


def test_a_field_that_is_gone_from_a_goal_or_from_all_is_still_missed() -> None:
    before = rows_of_goals(("price", 6, PRICE), ("also price", 6, PRICE))
    now = rows_of_goals(("price", 6, PRICE), ("also price", 6, STARS))
    figures = {each.path: each for each in field_figures(now, before)}
    assert (figures["price"].coverage, figures["price"].before) == (0.5, 1)
    bounds = QualityBounds(coverage={"price": Decimal("0.8"), "size": Decimal("0.1")}, given=True)
    violated = [each.column for each in compare(now, before, bounds).reasons if each.bound]
    assert sorted(violated, key=str) == ["price", "size"]


def test_a_goal_with_words_of_its_row_is_no_goal_of_its_own() -> None:
    profile = rows_of_goals(("price of {n}", 6, PRICE), ("price of {n}", 6, STARS))
    assert profile.asked("price") == 12
    many = [(f"price no. {number}", 1, PRICE if number else STARS) for number in range(60)]
    assert rows_of_goals(*many).asked("price") == 60
    assert rows_of_goals(*many[:30]).merge(rows_of_goals(*many[30:])).asked("price") == 60


def test_each_bound_that_is_violated_makes_a_batch_bad() -> None:
    rows = [
        ProfileRow(str(n), f"https://a.example/{n}", "a.example", "succeeded", "good", None, text)
        for n, text in enumerate(
            ['{"sku": "x1", "price": 1}', '{"sku": "x1", "price": 1}', '{"sku": "x2"}']
        )
    ]
    written = {
        "rows": {"rows": 4},
        "coverage": {"coverage": {"price": Decimal("0.9")}},
        "unique": {"unique": ("sku",)},
        "duplicates": {"duplicates": Decimal("0.3")},
    }
    for kind, values in written.items():
        bounds = QualityBounds(**values, given=True)
        found = compare(Profile(bounds.unique).add_all(rows), None, bounds)
        assert [(each.kind, each.bound) for each in found.reasons] == [(kind, True)]
        assert found.verdict is BAD
    kept = QualityBounds(rows=3, coverage={"price": Decimal("0.6")}, duplicates=Decimal("0.5"))
    assert compare(Profile().add_all(rows), None, kept).verdict is GOOD


@pytest.mark.sweep
def test_a_bound_that_is_missed_by_one_row_is_not_said_to_be_met() -> None:
    rows = [
        ProfileRow(str(n), f"https://a.example/{n}", "a.example", "succeeded", "good", None, text)
        for n, text in enumerate(['{"sku": ""}', *(f'{{"sku": "x{n}"}}' for n in range(9_999))])
    ]
    bounds = QualityBounds(coverage={"sku": Decimal(1)}, given=True)
    (reason,) = compare(Profile().add_all(rows), None, bounds).reasons
    assert "in 9,999 of 10,000 rows (99.9%); `coverage` asks for 100%" in reason.text


def test_drift_can_be_switched_off_and_its_tolerance_moved() -> None:
    now = night("shop", 200)
    on_share(0.25, put("sku", None))(now)
    pair = Pair(now, night("shop", 200))
    assert quality(pair).verdict is LOOK
    assert quality(pair, QualityBounds(drift=None)).verdict is GOOD
    assert quality(pair, QualityBounds(drift=0.4)).verdict is GOOD


def test_rows_that_are_still_to_come_are_not_missed() -> None:
    now = night("shop", 100, 1)
    found = compare(now.profile(), night("shop", 200).profile(), complete=False)
    assert found.verdict is not BAD


def test_ten_rows_to_look_at_show_the_reasons() -> None:
    now = night("shop", 60)
    on_host("shopb.example", put("sku", None))(now)
    profile, before = now.profile(), night("shop", 60).profile()
    rows = rows_to_look_at(profile, evidence_of(profile, before))
    assert len(rows) == 10
    assert {row.host for row in rows} == {"shopb.example"}
    assert all("`sku` holds nothing" in row.why for row in rows)


def test_a_url_or_id_of_the_input_makes_no_answer_different() -> None:
    rows = [
        ProfileRow(
            f"product-{n}",
            f"https://a.example/{n}",
            "a.example",
            "succeeded",
            "good",
            None,
            json.dumps({"url": f"https://a.example/{n}", "id": f"product-{n}", "name": "Welcome"}),
        )
        for n in range(12)
    ]
    found = compare(Profile().add_all(rows))
    assert (found.verdict, found.reasons[0].kind) == (BAD, "all_equal")
