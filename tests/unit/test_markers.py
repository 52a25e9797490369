"""Markers: short, unambiguous, and readable in every form that a version has sent."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrunner.model.markers import (
    ALPHABET,
    BATCH_LENGTH,
    DIGEST_LENGTH,
    MARKER_LENGTH,
    SUBMISSION_LENGTH,
    Marker,
    batch_prefix,
    job_digest,
    job_search,
    marked_goal,
    marker,
    marker_in,
    marker_prefix,
    marker_search,
    markers_in,
    submission_token,
)
from batchrunner.store.store import random_token

TOKENS = st.text(ALPHABET, min_size=SUBMISSION_LENGTH, max_size=SUBMISSION_LENGTH)
BATCHES = st.text(ALPHABET, min_size=BATCH_LENGTH, max_size=BATCH_LENGTH)
JOB = job_digest("https://a.test/", "Read the price", {})


@given(BATCHES, TOKENS, st.integers(1, 100), st.text())
def test_a_marker_is_read_back_from_a_goal(
    batch: str, submission: str, position: int, goal: str
) -> None:
    text = marker(submission_token(batch, submission), position, JOB)
    assert len(text) == MARKER_LENGTH
    assert text == text.lower()
    assert text.isascii()
    expected = Marker(batch=batch, submission=submission, position=position, job=JOB)
    assert markers_in(marked_goal(goal, text))[-1] == expected
    assert marker_in(marked_goal(goal, text).upper()) == text
    assert all(
        each in text
        for each in (
            batch_prefix(batch),
            marker_prefix(expected.token),
            marker_search(text),
            job_search(JOB),
        )
    )


def test_no_letter_of_a_marker_looks_like_another_and_none_is_a_wild_card() -> None:
    assert re.fullmatch("[0-9a-z]{32}", ALPHABET)
    assert not set("ilou") & set(ALPHABET)


def test_all_positions_of_a_request_have_markers_of_their_own() -> None:
    texts = {marker("batch-submission", position, JOB) for position in range(1, 101)}
    assert len(texts) == 100


@pytest.mark.parametrize(
    ("goal", "expected"),
    [
        ("Read it\n\n[ref br-0123456789ab-17]", ("0123456789ab", 17)),
        ("Read it [REF BR-0123456789AB-1]", ("0123456789ab", 1)),
    ],
)
def test_markers_of_older_versions_are_read(goal: str, expected: tuple[str, int]) -> None:
    (found,) = markers_in(goal)
    assert (found.token, found.position) == expected
    assert (found.batch, found.job) == (None, None)


@pytest.mark.parametrize(
    "goal",
    [
        None,
        "",
        "br-",
        "[ref br-]",
        "[ref br-x-]",
        "[ref br-batch-sub-01-short]",
        "[ref br-batch-sub-0u-" + JOB + "]",  # no digit of ours
        "[ref br-batch-sub-001-" + JOB + "]",
        "[ref xbr-batch-sub-01-" + JOB + "]",
    ],
)
def test_other_text_is_no_marker(goal: str | None) -> None:
    assert markers_in(goal) == []


@pytest.mark.parametrize(
    ("url", "goal", "options", "digest"),
    [
        ("https://a.test/", "Read the price", {}, "vmk6zydkwy"),
        ("https://a.test/", "Read the price", {"use_vault": True}, "mxtff3p41p"),
        ("https://a.test/ü", "Preis?", {"b": 1.5, "a": {"d": [1, None], "c": "x"}}, "wabfcya3z8"),
    ],
)
def test_the_digest_of_a_job_never_changes(
    url: str, goal: str, options: dict[str, Any], digest: str
) -> None:
    """Other databases, and later versions, find its runs by it."""
    assert job_digest(url, goal, options) == digest
    assert job_digest(url, goal, dict(reversed(options.items()))) == digest


def test_a_million_jobs_have_hardly_two_equal_digests() -> None:
    expected_pairs = 1e6**2 / 2 / len(ALPHABET) ** len(JOB)
    assert expected_pairs < 1e-3


def test_tokens_are_of_the_alphabet() -> None:
    tokens = {random_token() for _ in range(1000)}
    assert len(tokens) == 1000
    assert {len(each) for each in tokens} == {SUBMISSION_LENGTH}
    assert set("".join(tokens)) <= set(ALPHABET)


@pytest.mark.parametrize("options", [{}, {"b": [1.5, "ü"], "a": {"z": None}}])
@pytest.mark.parametrize("goal", ["Get it", 'a "b" \\ \n\0', "ü€\ud800"])
def test_a_digest_is_that_of_all_that_is_asked_as_json(options: dict[str, Any], goal: str) -> None:
    url = "https://shop.example/ü"
    asked = {"url": url, "goal": goal, "options": options}
    content = json.dumps(asked, sort_keys=True, separators=(",", ":"))
    number = int.from_bytes(hashlib.sha256(content.encode()).digest(), "big")
    digits = ""
    for _ in range(DIGEST_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    assert job_digest(url, goal, options) == digits
