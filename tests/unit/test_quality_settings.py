"""Bounds of a batch's quality in job files: what is read, refused, stored and written again."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
import yaml

from batchrunner.inputs.yaml import JobFileErrors, parse
from batchrunner.model import Settings
from batchrunner.model.quality import OnBad, QualityBounds
from batchrunner.outputs.job_file import plain_settings
from batchrunner.store.serialization import settings_of, settings_text

JOBS = "jobs:\n- {url: https://shop.example/1, goal: Read the price}\n"


def bounds(written: str) -> QualityBounds:
    text = f"settings:\n  quality: {written}\n{JOBS}"
    return parse(text, file="jobs.yaml", name="jobs").settings.quality


WRITTEN = {
    "{rows: 1000}": QualityBounds(rows=1000),
    "{rows: '>= 1,000'}": QualityBounds(rows=1000),
    "{rows: 90%}": QualityBounds(rows_share=Decimal("0.9")),
    "{coverage: {price: 95%, 'items[].name': 0.5}}": QualityBounds(
        coverage={"price": Decimal("0.95"), "items[].name": Decimal("0.5")}
    ),
    "{unique: [sku, ean, sku]}": QualityBounds(unique=("sku", "ean")),
    "{duplicates: 0%}": QualityBounds(duplicates=Decimal(0)),
    "{duplicates: 2.5%, on_bad: stop}": QualityBounds(
        duplicates=Decimal("0.025"), on_bad=OnBad.STOP
    ),
    "{drift: off}": QualityBounds(drift=None),
    "{drift: 20%, rows: 3}": QualityBounds(drift=Decimal("0.2"), rows=3),
}


@pytest.mark.parametrize("written", WRITTEN)
def test_bounds_survive_the_database_and_a_job_file_written_again(written: str) -> None:
    read = bounds(written)
    assert read == replace(WRITTEN[written], given=True)
    settings = Settings(quality=read)
    assert settings_of(settings_text(settings)) == settings
    # A job file of some of the jobs does not demand the rows of all of them.
    left, again = replace(read, rows=None, rows_share=None), plain_settings(settings).get("quality")
    if again is None:
        assert replace(left, given=False) == QualityBounds()
    else:
        assert bounds(yaml.safe_dump(again, default_flow_style=True)) == left


REFUSED = {
    "{rows: 0}": (2, 19, "a number of rows like `1000`"),
    "{rows: 120%}": (2, 19, "a number of rows like `1000`"),
    "{rows: many}": (2, 19, "a number of rows"),
    "{coverage: 95%}": (2, 23, "a mapping of fields to shares"),
    "{coverage: {price: 2}}": (2, 31, "a share like"),
    "{coverage: {'a b.[': 50%}}": (2, 24, "the path of a field"),
    "{unique: sku}": (2, 21, "a list of the path of a field"),
    "{duplicates: -1%}": (2, 25, "a share like"),
    "{drift: offf}": (2, 20, "or `off`"),
    "{on_bad: stopp}": (2, 21, "`report`, `stop`"),
    "{covrage: {price: 5%}}": (2, 13, "unknown key `covrage`"),
    "good": (2, 12, "a mapping"),
}


@pytest.mark.parametrize("written", REFUSED)
def test_a_mistake_is_named_with_its_place(written: str) -> None:
    with pytest.raises(JobFileErrors) as caught:
        bounds(written)
    (problem,) = caught.value.problems
    line, column, says = REFUSED[written]
    assert (problem.line, problem.column) == (line, column)
    assert says in problem.message


def test_settings_of_an_older_version_have_no_bounds() -> None:
    assert settings_of(settings_text(Settings())).quality == QualityBounds()
    assert not QualityBounds().demands_something
