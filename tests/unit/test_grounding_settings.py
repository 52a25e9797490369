"""The setting `grounding` of job files, and what it adds to a run's options."""

from __future__ import annotations

from decimal import Decimal

import pytest
import yaml

from batchrunner.inputs.yaml import JobFileErrors, parse
from batchrunner.model import Settings
from batchrunner.model.grounding_rule import GroundingRule
from batchrunner.outputs.job_file import plain_settings
from batchrunner.policy.grounding_sample import is_sampled, with_html
from batchrunner.store.serialization import grounding_in_words, settings_of, settings_text

JOBS = "jobs:\n- {url: https://shop.example/1, goal: Read the price}\n"
WRITTEN = {
    "10%": GroundingRule(sample=Decimal("0.1")),
    "0.25": GroundingRule(sample=Decimal("0.25")),
    "all": GroundingRule(sample=Decimal(1)),
    "100%": GroundingRule(sample=Decimal(1)),
    "off": GroundingRule(),
    "{sample: 10%, with_profiles: true}": GroundingRule(sample=Decimal("0.1"), with_profiles=True),
    "{sample: all}": GroundingRule(sample=Decimal(1)),
}


def rule(written: str) -> GroundingRule:
    text = f"settings:\n  grounding: {written}\n{JOBS}"
    return parse(text, file="jobs.yaml", name="jobs").settings.grounding


@pytest.mark.parametrize("written", WRITTEN)
def test_the_rule_survives_the_database_and_a_job_file_written_again(written: str) -> None:
    read = rule(written)
    assert read == WRITTEN[written]
    settings = Settings(grounding=read)
    assert settings_of(settings_text(settings)) == settings
    if read.sample:
        again = yaml.safe_dump(plain_settings(settings)["grounding"], default_flow_style=True)
        assert rule(again.removesuffix("...\n")) == read


@pytest.mark.parametrize(
    ("written", "column", "said"),
    [
        ("1", 14, "a share like `10%`, `all` or `off`"),
        ("120%", 14, "a share like"),
        ("al", 14, "did you mean `all`?"),
        ("[10%]", 14, "a mapping with `sample`"),
        ("{with_profiles: true}", 14, "sample"),
        ("{sample: 10%, with_profiles: perhaps}", 43, "true or false"),
        ("{sample: 10%, profiles: true}", 28, "profiles"),
    ],
)
def test_mistakes_are_shown_where_they_are(written: str, column: int, said: str) -> None:
    with pytest.raises(JobFileErrors) as caught:
        rule(written)
    (problem,) = caught.value.problems
    assert (problem.line, problem.column) == (2, column)
    assert said in f"{problem.message} {problem.tip}"


def test_html_is_captured_beside_what_the_user_captures() -> None:
    given = {"capture_config": {"screenshots": True}, "use_vault": False}
    captured = {"screenshots": True, "html": True}
    assert with_html(given) == {"capture_config": captured, "use_vault": False}
    assert with_html({}) == {"capture_config": {"html": True}}
    assert given["capture_config"] == {"screenshots": True}, "the job's own options stay"


def test_the_share_of_the_jobs_that_is_chosen_is_that_of_the_rule() -> None:
    tenth = GroundingRule(sample=Decimal("0.1"))
    chosen = [n for n in range(4000) if is_sampled(tenth, f"job-{n}", {})]
    assert 320 < len(chosen) < 480
    assert not is_sampled(GroundingRule(), "job-1", {})


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        (None, None),
        ("wanted", None),
        ('{"values":{"a":["grounded","x"],"b":["derived","y"]}}', "1 grounded, 1 derived"),
        ('{"values":{},"problem":"no page was captured"}', "not checked: no page was captured"),
        ('{"values":{}}', "nothing to check"),
        (
            '{"values":{"a":["absent"],"b":["absent"],"c":["absent"],"d":["absent"]}}',
            "4 absent: a, b, c and 1 more",
        ),
    ],
)
def test_a_row_says_in_words_what_was_found(stored: str | None, said: str | None) -> None:
    assert grounding_in_words(stored) == said
