"""The setting `looks`: what is read, refused, stored and written again."""

from __future__ import annotations

import json

import pytest

from batchrunner.inputs.yaml import JobFileErrors, parse
from batchrunner.model import Settings
from batchrunner.model.job_file import Looks
from batchrunner.outputs.job_file import plain_settings
from batchrunner.store.serialization import settings_of, settings_text

JOBS = "jobs:\n- {url: https://shop.example/1, goal: Read the price}\n"


def settings(written: str) -> Settings:
    return parse(f"settings:\n  looks: {written}\n{JOBS}", file="j.yaml", name="jobs").settings


@pytest.mark.parametrize("looks", Looks)
def test_it_survives_the_database_and_a_job_file_written_again(looks: Looks) -> None:
    read = settings(looks)
    assert read.looks is looks
    assert settings_of(settings_text(read)).looks is looks
    assert plain_settings(read).get("looks", "usual") == looks


def test_another_word_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(JobFileErrors) as caught:
        settings("eeger")
    found = caught.value.problems[0]
    assert "`sparing`, `usual`, `eager`" in f"{found.message} {found.tip}"


def test_settings_of_an_older_version_have_the_usual_looks() -> None:
    plain = json.loads(settings_text(Settings(looks=Looks.EAGER)))
    del plain["looks"]
    assert settings_of(json.dumps(plain)).looks is Looks.USUAL
