"""Lines are wrapped between words, but commands stay whole so that they can be pasted."""

from __future__ import annotations

from batchrunner.text.wrapping import folded


def test_a_line_is_wrapped_between_words_and_indented() -> None:
    assert folded("  one two three four", 12) == "  one two\n    three\n    four"
    assert folded("short", 80) == "short"


def test_a_word_that_is_too_long_stays_whole() -> None:
    url = "https://shop.example/" + "x" * 90
    assert folded(f"look at {url} again", 40) == f"look at\n  {url}\n  again"


def test_a_command_stays_on_one_line() -> None:
    command = "batchrunner retry a-long-name --category blocked --category timed_out"
    said = folded(f"put the failed ones back, then run again: {command}", 60)
    assert said == f"put the failed ones back, then run again:\n  {command}"


def test_an_empty_line_stays_empty() -> None:
    assert folded("", 80) == ""
