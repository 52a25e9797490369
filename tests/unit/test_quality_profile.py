"""Profiles of a batch's rows: the order never matters, merging is the union, memory is bounded."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchrunner.quality import profile as module
from batchrunner.quality.assessment import evidence_of
from batchrunner.quality.fields import MAX_FIELDS_OF_ROW, fields_of
from batchrunner.quality.figures import field_figures, host_figures
from batchrunner.quality.profile import Profile, ProfileRow
from batchrunner.quality.sketches import Repeats, Sample, hash_of
from batchrunner.quality.values import currency_of, language_of, number_of, unit_of
from tests.quality_data import KINDS, night


def row(number: int, answer: Any, host: str = "a.example", **more: Any) -> ProfileRow:
    text = answer if isinstance(answer, str) else json.dumps(answer)
    url = f"https://{host}/{number}"
    values = {"state": "succeeded", "verdict": "good", "result": text}
    return ProfileRow(f"key-{number}", url, host, **(values | more))


def facts(profile: Profile) -> Any:
    """Return all that a comparison can see of a profile."""
    return (
        field_figures(profile, None),
        host_figures(profile, None),
        dict(profile.filled()),
        dict(profile.empty()),
        profile.sample(),
        (profile.rows, profile.delivered, profile.failed, profile.suspect, profile.blank),
        sorted(profile.reasons.items()),
        (profile.answers.total, profile.answers.distinct, profile.answers.surplus),
    )


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every bound so small that a few rows reach it."""
    monkeypatch.setattr(module, "MAX_HOSTS", 4)
    monkeypatch.setattr(module, "MAX_PATHS", 5)
    monkeypatch.setattr(module, "SAMPLED_ROWS", 12)
    monkeypatch.setattr(module, "SAMPLED_OF_HOST", (6, 2))
    monkeypatch.setattr(module, "EXACT_ANSWERS", 10)
    monkeypatch.setattr(module, "MAX_SHAPES", 7)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "n/a", "x", "€ 5"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from("abcdefgh"), inner, max_size=4)
    ),
    max_leaves=6,
)
ROWS = st.lists(st.tuples(VALUES, st.integers(0, 8), st.booleans()), min_size=1, max_size=40)


@settings(max_examples=25, deadline=None)
@given(drawn=ROWS, order=st.randoms(use_true_random=False), at=st.integers(0, 40))
def test_order_never_matters_and_merging_is_the_union(drawn: Any, order: Any, at: int) -> None:
    rows = [
        row(number, value, f"h{host}.example", **({} if good else {"verdict": "suspect"}))
        for number, (value, host, good) in enumerate(drawn)
    ]
    with pytest.MonkeyPatch.context() as patch:
        small(patch)
        whole = facts(Profile().add_all(rows))
        shuffled = [*rows]
        order.shuffle(shuffled)
        assert facts(Profile().add_all(shuffled)) == whole
        one, other = Profile().add_all(shuffled[:at]), Profile().add_all(shuffled[at:])
        assert facts(one.merge(other)) == whole
        one, other = Profile().add_all(shuffled[:at]), Profile().add_all(shuffled[at:])
        assert facts(other.merge(one)) == whole


@settings(max_examples=3, deadline=None)
@given(order=st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_no_reason(order: Any) -> None:
    rows, before = night("shop", 24, 1).rows(), night("shop", 24).profile()
    expected = evidence_of(Profile().add_all(rows), before)
    order.shuffle(rows)
    assert evidence_of(Profile().add_all(rows), before) == expected


def test_repeats_are_exact_below_their_bound_and_near_above_it() -> None:
    exact, bounded = Repeats(10_000), Repeats(500)
    for number in range(6000):
        for repeats in (exact, bounded):
            repeats.add(hash_of(str(number % 4000)))
    assert (exact.distinct, exact.surplus, exact.total) == (4000, 2000, 6000)
    assert abs(bounded.distinct - 4000) < 600
    assert abs(bounded.surplus - 2000) < 500


def test_a_sample_keeps_the_smallest_priorities() -> None:
    sample: Sample[int] = Sample(3)
    for each in (9, 2, 7, 1, 8, 3):
        sample.add(each, each)
    assert [*sample] == [1, 2, 3]
    sample.shrink(2)
    assert [*sample] == [1, 2]


# ---- what values are ----


@pytest.mark.parametrize(
    ("text", "value", "currency", "unit"),
    [
        ("$1,299.00", 1299.0, "$", None),
        ("1.299,00 €", 1299.0, "EUR", None),
        ("1 299,5 zł", 1299.5, "PLN", None),
        ("CHF 12'500", 12500.0, "CHF", None),
        ("12,50", 12.5, None, None),
        ("£45,000 per year", 45000.0, "GBP", "year"),
        ("1.5 kg", 1.5, None, "kg"),
        ("85 m²", 85.0, None, "m²"),
        ("-3 °C", -3.0, None, "°C"),
        ("20%", 20.0, None, "%"),
        ("US$5", 5.0, "USD", None),
        ("R$ 1.234,56", 1234.56, "BRL", None),
        ("１２ 円", 12.0, "JPY", None),
    ],
)
def test_numbers_are_read_with_their_currency_and_unit(
    text: str, value: float, currency: str | None, unit: str | None
) -> None:
    number = number_of(text)
    assert number is not None
    assert (number.value, number.currency, number.unit) == (value, currency, unit)


@pytest.mark.parametrize(
    "text", ["K12 Ltd", "A4", "lamp B123", "2026-12-01", "3 of 5", "", "NaN", "12 angry men in it"]
)
def test_what_is_no_number_is_not_read_as_one(text: str) -> None:
    assert number_of(text) is None


def test_signs_alone_are_read_too() -> None:
    assert (currency_of("EUR"), unit_of("kg"), currency_of("Europe")) == ("EUR", "kg", None)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The lamp is made of oak and comes with a cable", "English"),
        ("Die Lampe ist aus Eiche und wird mit Kabel geliefert", "German"),
        ("La lampe est livrée avec un câble pour votre maison", "French"),
        ("La lámpara es de roble y viene con un cable para su casa", "Spanish"),
        ("Лампа сделана из дуба", "Cyrillic"),
        ("このランプは木製です", "Japanese"),
        ("台灯由橡木制成", "Chinese"),
        ("مصباح من خشب البلوط", "Arabic"),
        ("SK-4711", None),
    ],
)
def test_languages_are_told_by_script_or_function_words(text: str, language: str | None) -> None:
    assert language_of(text) == language


# ---- hostile answers ----


def deep(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


HOSTILE = {
    "deep": deep(90),
    "too deep": deep(5000),
    "wide": json.dumps({f"field {number}": number for number in range(5000)}),
    "long names": json.dumps({"n" * 100_000 + str(number): 1 for number in range(5)}),
    "long numbers": '{"price": 1e400, "other": -1e400, "digits": ' + "9" * 5000 + "}",
    "no numbers": '{"price": NaN, "other": "NaN", "third": Infinity, "fourth": "１e5"}',
    "long text": json.dumps({"text": "We use cookies. " * 20_000}),
    "long list": json.dumps({"items": [{"n": number} for number in range(5_000)]}),
    "lists in lists": "[" * 60 + "]" * 60,
    "nul and surrogates": '{"a\\u0000": "\\ud800", "b": "\\u001b[31m"}',
    "no JSON": "I could not find it",
    "empty": "",
    "odd digits": json.dumps({"price": "1" + ",000" * 30, "unit": "²³" * 20, "n": "१२३ kg"}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_answers_are_profiled_compared_and_shown(name: str) -> None:
    rows = [row(number, HOSTILE[name]) for number in range(6)]
    rows += [row(number, {"price": number + 0.5}) for number in range(6, 12)]
    profile, before = Profile().add_all(rows), Profile().add_all(reversed(rows))
    assert evidence_of(profile) is not None
    assert evidence_of(profile, before) is not None
    assert evidence_of(before, Profile().add_all(rows[6:])) is not None
    assert json.dumps([each.path for each in field_figures(profile, before)])


def test_a_wide_answer_has_a_bounded_number_of_fields() -> None:
    filled, empty = fields_of({f"f{number}": number % 2 or None for number in range(50_000)})
    assert len(filled) + len(empty) <= MAX_FIELDS_OF_ROW


def test_memory_does_not_grow_with_rows_hosts_and_fields() -> None:
    def rows(first: int, last: int) -> Any:
        for number in range(first, last):
            answer = {f"field {number % 397} {each}": number for each in range(6)}
            yield row(number, answer, f"h{number % 300}.example", reason=f"rule {number}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "EXACT_ANSWERS", 100)
        patch.setattr(module, "MAX_HOSTS", 30)
        patch.setattr(module, "SAMPLED_ROWS", 100)
        patch.setattr(module, "MAX_SHAPES", 50)
        patch.setattr(module, "MAX_PATHS", 50)
        profile = Profile().add_all(rows(0, 3000))
        size = len(pickle.dumps(profile))
    assert size < 150_000  # the rows themselves are five times as large
    assert len(profile.filled()) <= 50
    assert len(profile.hosts) == 30
    assert len(profile.reasons) <= module.MAX_NAMES


@pytest.mark.parametrize("kind", KINDS)
def test_coverage_is_counted_exactly_by_field_and_host(kind: str) -> None:
    found = night(kind, 40, 2)
    profile = found.profile()
    delivered = [
        (host, answer) for (key, host), answer in found.answers.items() if key not in found.failed
    ]
    for name in {name for _, answer in delivered for name in answer}:
        holds = [host for host, answer in delivered if answer.get(name) not in (None, [], "")]
        assert profile.filled().get(name, 0) == len(holds)
        for host in KINDS[kind].hosts:
            assert profile.filled_by_host()[host].get(name, 0) == holds.count(host)
