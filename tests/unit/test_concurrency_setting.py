"""A mistyped `concurrency`: the error names `auto`, in a job file and as an option."""

from __future__ import annotations

import click
import pytest

from batchrunner.cli.options import Concurrency
from batchrunner.inputs.yaml import JobFileErrors, parse
from batchrunner.model import AUTO

JOBS = "jobs:\n- {url: https://shop.example/1, goal: Read the price}\n"


@pytest.mark.parametrize(
    ("written", "tip"),
    [
        ("atuo", "did you mean `auto`?"),
        ("Auto", "did you mean `auto`?"),
        ("0", None),
        ("1001", None),
        ("'5'", "remove the quotes"),
    ],
)
def test_a_job_file_is_told_of_auto(written: str, tip: str | None) -> None:
    with pytest.raises(JobFileErrors) as caught:
        parse(f"settings:\n  concurrency: {written}\n{JOBS}", file="j.yaml", name="jobs")
    (found,) = caught.value.problems
    assert "a whole number from 1 to 1000, or `auto`, not " in found.message
    assert found.tip == tip


@pytest.mark.parametrize("given", ["atuo", "0", "1001", "5.5", ""])
def test_the_option_is_told_of_auto(given: str) -> None:
    with pytest.raises(click.BadParameter, match="write a whole number from 1 to 1000, or auto"):
        Concurrency().convert(given, None, None)


@pytest.mark.parametrize(("given", "read"), [("auto", AUTO), ("1", 1), ("1000", 1000), (50, 50)])
def test_the_option_is_read(given: object, read: int) -> None:
    assert Concurrency().convert(given, None, None) == read
