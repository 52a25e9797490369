"""Which texts report walls and failures, and which only mention them."""

from __future__ import annotations

import time
import tomllib
from importlib.resources import files

import pytest

from batchrunner.judge.sentences import concepts_in
from batchrunner.judge.vocabulary import WORDS, Concept, plain
from batchrunner.judge.wall_text import (
    BOT_WALL,
    LOGIN_WALL,
    REFUSAL,
    complaint_in,
    is_about_a_wall,
    sign_in,
    statement_in,
)
from tests.bounds import HUNG


def test_case_punctuation_and_apostrophes_do_not_count() -> None:
    assert plain("Can’t, CAN'T;\ncan`t") == " can t can t can t "
    assert plain("ＡＢ") == " ab "
    assert plain("") == "  "


def test_every_word_of_every_concept_is_found() -> None:
    missed = [
        (concept.name, word)
        for concept in Concept
        for word in WORDS[concept]
        if concept not in concepts_in(plain(f"x {word} x" if word[-1:] == " " else f"x {word}x"))
    ]
    assert missed == []


def test_the_data_file_has_no_other_concepts() -> None:
    path = files("batchrunner.judge").joinpath("vocabulary.toml")
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    assert set(data["concepts"]) == {concept.name for concept in Concept}
    assert all(entry["about"] for entry in data["concepts"].values())


def test_a_word_inside_another_is_not_found() -> None:
    assert Concept.GUARD not in concepts_in(plain("a wafer"))
    assert Concept.CHALLENGE in concepts_in(plain("two recaptchas"))


@pytest.mark.parametrize(
    ("text", "wall"),
    [
        ("I was stopped by a captcha.", BOT_WALL),
        ("Your request was blocked.", BOT_WALL),
        ("Sign in to see the price.", LOGIN_WALL),
        ("I could not find the price.", REFUSAL),
        ("The hotel has 41 rooms. I could not find the price.", None),
        ("I could not find the price, but the phone number is 12345 67.", None),
        ("Users must solve a captcha before they sign up.", None),
        ("Yes, you have to log in to see it.", None),
        ("No login is needed to see the page.", None),
        ("If you log in to see the page, use the new form.", None),
    ],
)
def test_what_a_text_that_is_the_whole_answer_reports(text: str, wall: str | None) -> None:
    assert statement_in(text, "") == wall


def test_a_text_in_a_field_for_other_people_is_no_report() -> None:
    assert statement_in("I could not find the price.", "review") is None
    assert sign_in("Access denied", "headline") is None


def test_an_address_is_the_visitor_and_a_title_may_have_text_around_it() -> None:
    assert sign_in("203.0.113.9 has been banned", "") == BOT_WALL
    assert sign_in("Shop    Access denied    Home    Contact", "") == BOT_WALL


def test_a_reason_that_only_mentions_a_login_is_about_no_wall() -> None:
    assert is_about_a_wall("The page requires a log-in")
    assert not is_about_a_wall("The login button has moved")
    assert complaint_in("The login button has moved") == LOGIN_WALL


@pytest.mark.parametrize("piece", [".", "...x", " ", "   x", "!", "1.1.", "no ", "captcha ", "ﷺ"])
def test_no_text_makes_the_reader_hang(piece: str) -> None:
    begun = time.process_time()
    for place in range(20):
        statement_in((f"{place}{piece * 1500}")[:1500], "")
    assert time.process_time() - begun < HUNG
