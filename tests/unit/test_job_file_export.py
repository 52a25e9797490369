"""Job files of jobs that failed: what is written is read again as it was."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from io import BytesIO
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from batchrunner.inputs.yaml import parse
from batchrunner.model import Budget, FailureCategory, JobState, RetryRule, Settings, Verdict
from batchrunner.model.job_entry import JobEntry
from batchrunner.model.job_file import HostRule, JobFile, JobSpec, StopLoss
from batchrunner.model.quality import OnBad, QualityBounds
from batchrunner.outputs.job_file import write_job_file
from batchrunner.store.serialization import limits_text, plain_rules
from tests.unit.test_jobfile_laws import files, read

hostile = st.text(max_size=200) | st.sampled_from(
    [
        "a # b",
        "- x",
        "{price}",
        "${HOME}",
        "yes",
        "null",
        "1e3",
        "\n--- \n",
        "'\"\\",
        "a\u2028b\x85",
    ]
)


def entry(spec: JobSpec, message: str | None = "Access denied", **fields: Any) -> JobEntry:
    return JobEntry(
        key=spec.key,
        url=spec.url,
        goal=spec.goal,
        state=JobState.FAILED,
        options=spec.options,
        expect=spec.expect,
        policy=plain_rules(spec.policy),
        limits=json.loads(limits_text(spec.limits) or "{}"),
        category="blocked",
        message=message,
        attempts=2,
        **fields,
    )


def written(entries: Sequence[JobEntry], settings: Settings = Settings(), note: str = "") -> str:  # noqa: B008
    file = BytesIO()
    assert write_job_file(iter(entries), settings, [note], file) == len(entries)
    return file.getvalue().decode()


def same_jobs(file: JobFile) -> list[JobSpec]:
    return [spec._replace(line=0, source="") for spec in file.specs]


@given(entries=files, message=hostile, note=hostile, cell=hostile)
@example(
    entries=[{"url": "https://a.example", "goal": "Read"}], message="# x", note="a\nb", cell="c"
)
def test_jobs_come_back_as_they_were_whatever_failed(
    entries: list[dict[str, Any]], message: str, note: str, cell: str
) -> None:
    before = read(yaml.safe_dump(entries, allow_unicode=True))
    text = written(
        [entry(spec, message, columns={"my\ncolumn": cell}) for spec in before.specs], note=note
    )
    assert same_jobs(read(text)) == same_jobs(before)


@given(goal=hostile)
def test_any_text_of_a_goal_comes_back(goal: str) -> None:
    text = written([entry(JobSpec(key="a", url="https://shop.example/1", goal=goal))])
    assert yaml.safe_load(text)["jobs"][0]["goal"] == goal


RULES = """
- url: https://shop.example/1
  goal: Read
  id: lamp
  queued_limit: 5m
  running_limit: 90
  browser_profile: stealth
  output_schema: {type: object, properties: {price: {type: number}}, required: [price]}
  expect: {required: [price]}
  policy:
    blocked: {wait: 1m, then: [{browser_profile: stealth}, {proxy_config: {enabled: true}}]}
    system_failure: {attempts: 5, backoff: 30s}
"""


def test_rules_limits_and_options_of_a_job_come_back() -> None:
    before = read(RULES)
    text = written([entry(spec) for spec in before.specs])
    assert _plain(read(text)) == _plain(before)


def _plain(file: JobFile) -> list[JobSpec]:
    """Return the jobs without the lines of their rules."""
    return [
        spec._replace(
            line=0,
            source="",
            policy={key: replace(rule, line=0) for key, rule in spec.policy.items()},
        )
        for spec in file.specs
    ]


def test_settings_come_back_but_for_the_canary() -> None:
    settings = Settings(
        concurrency=0,
        max_attempts=5,
        backoff=timedelta(seconds=1.5),
        queued_limit=timedelta(hours=2),
        stuck_after=4.0,
        marker=False,
        policy={
            FailureCategory.BLOCKED: RetryRule(attempts=2, wait=timedelta(minutes=1)),
            Verdict.SUSPECT: RetryRule(attempts=2),
        },
        budget=Budget(money=Decimal("12.50")),
        rate=Decimal("0.016"),
        hosts={"*": HostRule(park_after=0), "shop.example": HostRule(spacing=timedelta(seconds=2))},
        stop_loss=StopLoss(share=Decimal("0.05"), cost=Budget(steps=500)),
    )
    spec = JobSpec(key="a", url="https://shop.example/1", goal="Read")
    back = parse(written([entry(spec)], settings), file="again.yaml", name="again")
    rules = {key: replace(rule, line=0) for key, rule in back.settings.policy.items()}
    assert replace(back.settings, policy=rules) == settings
    assert "settings" not in written([entry(spec)], Settings())


def test_bounds_of_quality_come_back_but_for_the_number_of_rows() -> None:
    spec = JobSpec(key="a", url="https://shop.example/1", goal="Read")
    bounds = QualityBounds(
        coverage={"price": Decimal("0.95")},
        unique=("sku",),
        duplicates=Decimal("0.025"),
        drift=None,
        on_bad=OnBad.STOP,
        given=True,
    )
    for rows in ({}, {"rows": 40}, {"rows_share": Decimal("0.9")}):
        text = written([entry(spec)], Settings(quality=replace(bounds, **rows)))
        back = parse(text, file="again.yaml", name="again").settings.quality
        assert back == bounds, "a part of the jobs cannot have the rows of all"
    only_rows = Settings(quality=QualityBounds(rows=40, given=True))
    assert "settings" not in written([entry(spec)], only_rows)


@pytest.mark.parametrize(("key", "is_said"), [("lamp", True), ("0" * 32, False)])
def test_only_ids_of_the_user_are_written(key: str, is_said: bool) -> None:
    text = written([entry(JobSpec(key=key, url="https://shop.example/1", goal="Read"))])
    assert ("id:" in text) is is_said


def test_each_job_stands_below_the_reason_for_it() -> None:
    spec = JobSpec(key="lamp", url="https://shop.example/1", goal="Read")
    text = written([entry(spec, "Denied\n- url: x", run_id="r-2")], note="1 job of prices")
    assert text.splitlines() == [
        "# 1 job of prices",
        "jobs:",
        "# blocked: Denied - url: x (2 attempts, run r-2)",
        "- id: lamp",
        "  url: https://shop.example/1",
        "  goal: Read",
    ]
