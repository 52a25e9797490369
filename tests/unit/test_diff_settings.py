"""What comparisons overlook, in job files: what is read, refused, stored and written again."""

from __future__ import annotations

import json

import pytest
import yaml

from batchrunner.app.diff_results import DiffOptions
from batchrunner.differences import Tolerance
from batchrunner.inputs.yaml import JobFileErrors, parse
from batchrunner.model import Settings
from batchrunner.model.diff_settings import DiffSettings
from batchrunner.outputs.job_file import plain_settings
from batchrunner.store.serialization import settings_of, settings_text

JOBS = "jobs:\n- {url: https://shop.example/1, goal: Read the price}\n"
WRITTEN = {
    "{tolerance: {price: 1%, 'a[].b': 0.05}}": DiffSettings(
        tolerance={"price": "1%", "a[].b": "0.05"}
    ),
    "{ignore: [seen, 'a.b', seen]}": DiffSettings(ignore=("seen", "a.b")),
    "{keys: {offers: sku, rows: null}}": DiffSettings(keys={"offers": "sku", "rows": ""}),
}
REFUSED = {
    "1%": "a mapping",
    "{tolerance: 1%}": "a mapping of fields to a share such as `1%`",
    "{tolerance: {price: much}}": "a share such as `1%`, or a number such as `0.05`",
    "{tolerance: {price: -1}}": "a share such as `1%`",
    "{ignore: seen}": "a list of the path of a field",
    "{keys: {'a b.[': sku}}": "the path of a field",
    "{keys: {offers: [sku]}}": "the name of a field",
    "{tolerence: {price: 1%}}": "tolerance",
}


def settings(written: str) -> Settings:
    return parse(f"settings:\n  diff: {written}\n{JOBS}", file="j.yaml", name="jobs").settings


@pytest.mark.parametrize("written", WRITTEN)
def test_it_survives_the_database_and_a_job_file_written_again(written: str) -> None:
    read = settings(written)
    assert read.diff == WRITTEN[written]
    assert settings_of(settings_text(read)) == read
    again = yaml.safe_dump(plain_settings(read)["diff"], default_flow_style=True)
    assert settings(again) == read


@pytest.mark.parametrize("written", REFUSED)
def test_mistakes_are_named(written: str) -> None:
    with pytest.raises(JobFileErrors) as caught:
        settings(written)
    found = caught.value.problems[0]
    assert REFUSED[written] in f"{found.message} {found.tip}"


def test_settings_of_an_older_version_overlook_nothing() -> None:
    plain = json.loads(settings_text(Settings()))
    del plain["diff"]
    assert settings_of(json.dumps(plain)).diff == DiffSettings()


def test_options_are_added_to_what_the_job_file_says_and_come_first() -> None:
    options = DiffOptions(tolerance={"price": "2%"}, ignore=["b"])
    rules = options.rules(DiffSettings(tolerance={"price": "1%", "n": "3"}, ignore=("a",)))
    assert rules.tolerance == {"price": Tolerance(share=0.02), "n": Tolerance(span=3)}
    assert rules.ignore == {"a", "b"}
