"""Variables of the environment with values that nobody meant."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from batchrunner.cli.variables import check_variables
from batchrunner.errors import UsageError
from tests.e2e.programs import batchrunner

NAMES = ("BATCHRUNNER_DB", "TINYFISH_BASE_URL", "TINYFISH_API_KEY_FILE")
SECRET = "sesame-0123456789"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("  ", "is set, but blank"),
        ("\n", "is set, but blank"),
        (f" {SECRET}", "begins or ends with a blank"),
        (f"{SECRET}\nx", "has invisible characters, such as a line end"),
        (f"{SECRET}\x1b[2J", "has invisible characters, such as a line end"),
        (os.fsdecode(SECRET.encode() + b"\xff"), "is not in UTF-8"),
    ],
)
def test_a_value_that_nobody_meant_is_refused_without_a_word_of_it(
    name: str, value: str, why: str
) -> None:
    with pytest.raises(UsageError) as caught:
        check_variables({name: value})
    assert caught.value.what == f"{name} {why}"
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("value", ["", "a b.db", "日.db", "https://api.test"])
def test_a_value_that_somebody_may_mean_is_left_alone(value: str) -> None:
    check_variables(dict.fromkeys(NAMES, value))


def test_a_command_says_it_in_one_message(tmp_path: Path) -> None:
    ended = batchrunner("status", cwd=tmp_path, env={"BATCHRUNNER_DB": "  "})
    assert (ended.code, len(ended.err.splitlines())) == (2, 2)
    assert not [*tmp_path.iterdir()]
