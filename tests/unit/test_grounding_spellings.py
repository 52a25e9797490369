"""A value is found in whatever spelling a page shows it; another value is not."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrunner.grounding import Status, ground
from batchrunner.grounding.words import MONTHS

GROUPED = {
    "english": lambda whole, cents: f"{whole:,}.{cents:02}",
    "german": lambda whole, cents: f"{whole:,}".replace(",", ".") + f",{cents:02}",
    "french": lambda whole, cents: f"{whole:,}".replace(",", "\u202f") + f",{cents:02}",
    "swiss": lambda whole, cents: f"{whole:,}".replace(",", "’") + f".{cents:02}",
    "plain": lambda whole, cents: f"{whole}.{cents:02}",
    "wide": lambda whole, cents: "".join(chr(ord(c) + 0xFEE0) for c in f"{whole}.{cents:02}"),
    "raised": lambda whole, cents: f"<b>{whole:,}</b><sup>{cents:02}</sup>",
    "in elements": lambda whole, cents: f"<b>{whole:,}</b><i>.</i><span>{cents:02}</span>",
}
CURRENCIES = ("€ {}", "{} €", "${}", "EUR {}", "{} kr", "£{}", "{}円", "{}")
SHELLS = (
    "<p>{}</p>",
    "<table><tr><td>x</td><td>{}</td></tr></table>",
    "<template><i>{}</i></template>",
    "<p>Preis: {} inkl. MwSt.</p>",
)


@given(
    whole=st.integers(100, 9_999_999),
    cents=st.integers(1, 99),
    spelling=st.sampled_from(sorted(GROUPED)),
    currency=st.sampled_from(CURRENCIES),
    shell=st.sampled_from(SHELLS),
)
def test_a_price_is_found_in_every_spelling_and_its_neighbour_is_not(
    whole: int, cents: int, spelling: str, currency: str, shell: str
) -> None:
    page = shell.format(currency.format(GROUPED[spelling](whole, cents)))
    price = float(Decimal(whole) + Decimal(cents) / 100)
    other = float(Decimal(whole + 11) + Decimal(cents) / 100)
    found = ground({"price": price, "other_price": other}, [page])
    assert found.by_path["price"].status is Status.GROUNDED, page
    assert found.by_path["other_price"].status is Status.ABSENT, page


MONTH_NAMES = {number: [] for number in range(1, 13)}
for name, numbers in MONTHS.items():
    if len(numbers) == 1 and len(name) > 2 and " " not in name:
        MONTH_NAMES[numbers[0]].append(name)
DATES = (
    lambda day, month: day.isoformat(),
    lambda day, month: f"{day.day}.{day.month}.{day.year}",
    lambda day, month: f"{day.day:02}.{day.month:02}.{day.year % 100:02}",
    lambda day, month: f"{day.month}/{day.day}/{day.year}",
    lambda day, month: f"{day.day}/{day.month}/{day.year}",
    lambda day, month: f"{day.year}年{day.month}月{day.day}日",
    lambda day, month: f"{day.day}. {month} {day.year}",
    lambda day, month: f"{month.title()} {day.day}, {day.year}",
    lambda day, month: f"{day.day} de {month} de {day.year}",
    lambda day, month: f"{day.day}-{month}-{day.year}",
    lambda day, month: f"{day:%Y%m%d}",
)


@given(
    day=st.dates(date(2000, 1, 1), date(2060, 12, 31)),
    spelled=st.sampled_from(DATES),
    shell=st.sampled_from(SHELLS),
    data=st.data(),
)
def test_a_date_is_found_in_every_spelling_and_another_is_not(
    day: date, spelled, shell: str, data: st.DataObject
) -> None:
    month = data.draw(st.sampled_from(MONTH_NAMES[day.month]))
    page = shell.format(spelled(day, month))
    other = date(day.year + 1, day.month, min(day.day, 28))
    found = ground({"date": day.isoformat(), "other_date": other.isoformat()}, [page])
    assert found.by_path["date"].status is Status.GROUNDED, page
    assert found.by_path["other_date"].status is Status.ABSENT, page


@given(number=st.integers(1000, 10**9), others=st.lists(st.integers(1000, 10**9), max_size=20))
def test_a_random_number_is_not_found_among_others(number: int, others: list[int]) -> None:
    page = "".join(f"<td>{each:,}</td>" for each in others if each != number)
    result = ground({"n": number}, [f"<p>x</p>{page}"])
    if not (1900 <= number <= 2099):
        assert result.absent == ["n"]


@pytest.mark.parametrize(
    ("shown", "value"),
    [
        ("12,34,567", 1234567),
        ("1.3k", 1300),
        ("1.2 Mio.", 1200000),
        ("3,4 млн", 3400000),
        ("٤٢٫٧٥", 42.75),
        ("१२३४", 1234),
        ("12.5万", 125000),
        ("2½", 2.5),
        ("€ 1712,–", 1712),
        ("349 € 99", 349.99),
        ("1.92T", 1920000000000),
        ("−2.31", -2.31),
        ("1億2000万", 120000000),
    ],
)
def test_numbers_have_many_spellings(shown: str, value: float) -> None:
    assert ground({"x": value}, [f"<p>x</p><p>{shown}</p>"]).grounded == 1


@pytest.mark.parametrize(
    ("shown", "value"),
    [
        ("S<b>MART</b> Home", "Smart home"),
        ("Ma&shy;ri&shy;time", "maritime"),
        ("ﬁne oﬃce", "fine office"),
        ("“Don’t” – stop", '"Don\'t" - stop'),
        ("Straße Köln", "STRASSE KÖLN"),
        ("ＡＢＣ－１２３", "abc-123"),
        ("Wi-Fi 6", "WiFi 6"),
        ("Smith, John", "John Smith"),
        ("Nguyễn Thu Hà", "Nguyen Thu Ha"),
        ("東京 タワー", "東京タワー"),
    ],
)
def test_texts_have_many_spellings(shown: str, value: str) -> None:
    assert ground({"x": value}, [f"<p>{shown}</p>"]).grounded == 1
