"""The claim of the benchmark in small: a create whose answer is lost is not paid for again."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from benchmarks import paid_runs

URLS = paid_runs.pages(4)


@pytest.mark.sweep
def test_each_job_is_paid_for_once_although_its_first_answer_is_lost() -> None:
    bill = paid_runs.by_batchrunner(URLS)
    assert bill.unanswered == bill.creates == 1, "the answer was not lost, or it was sent again"
    assert (bill.created, bill.charged, bill.paid_twice) == (4, 4, 0)
    assert bill.delivered == 4


@pytest.mark.sweep
@pytest.mark.skipif(find_spec("tinyfish") is None, reason="the official SDK is not installed")
def test_the_official_sdk_pays_twice_for_each_of_them() -> None:
    bill = paid_runs.by_sdk(URLS)
    assert bill.unanswered == 4, "the answers were not lost"
    assert (bill.created, bill.paid_twice) == (8, 4)
    assert bill.delivered == 4
