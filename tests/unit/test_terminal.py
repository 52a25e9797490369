"""What a terminal shows of text from outside."""

from __future__ import annotations

from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from batchrunner.text.terminal import shorten, term_safe

hostile = st.text(
    alphabet=st.characters(codec=None)
    | st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Mn"])
    | st.sampled_from("\x1b\x9b\x07\r\n\t\u202e\u200d\ufe0f中👩é\\")
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, é, 中, 👍🏽", "plain text, é, 中, 👍🏽"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\U000e0041", r"\U000e0041"),
        ("\ud83d", r"\ud83d"),
        ("a\u2028b\u00adc", r"a\u2028b\xadc"),
        ("non-breaking\u00a0space", "non-breaking\u00a0space"),
        ("a\nb\r\nc\rd\te", r"a⏎b⏎c\x0dd e"),
        ("\n", "⏎"),
    ],
)
def test_text_that_controls_a_terminal_is_escaped(text: str, shown: str) -> None:
    assert term_safe(text) == shown


def test_line_ends_may_stay() -> None:
    assert term_safe("a\r\nb\x1b\n", one_line=False) == "a\nb\\x1b\n"


@given(hostile, st.booleans())
def test_no_unsafe_character_is_left(text: str, one_line: bool) -> None:
    safe = term_safe(text, one_line=one_line)
    kept = "" if one_line else "\n"
    assert not {category(char) for char in safe if char not in kept} & {"Cc", "Cf", "Cs"}
    assert term_safe(safe, one_line=one_line) == safe
    safe.encode()


@pytest.mark.parametrize(
    ("text", "width", "end", "middle"),
    [
        ("abcdef", 6, "abcdef", "abcdef"),
        ("abcdef", 5, "abcd…", "ab…ef"),
        ("abcdef", 4, "abc…", "ab…f"),
        ("abcdef", 1, "…", "…"),
        ("abcdef", 0, "", ""),
        ("中文中文", 6, "中文…", "中…文"),
        ("中文中文", 7, "中文中…", "中文…文"),
        ("", 0, "", ""),
    ],
)
def test_shortened_text_fits(text: str, width: int, end: str, middle: str) -> None:
    assert shorten(text, width) == end
    assert shorten(text, width, middle=True) == middle


@given(hostile.map(term_safe), st.integers(min_value=0, max_value=30), st.booleans())
def test_no_text_is_wider_than_the_limit(text: str, width: int, middle: bool) -> None:
    short = shorten(text, width, middle=middle)
    assert cell_len(short) <= width
    assert short == text or width == 0 or "…" in short
