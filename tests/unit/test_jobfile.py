"""Valid job files: their job specs, and which entries are the same job."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import yaml

from batchrunner.api_facts.run_options import RUN_OPTIONS
from batchrunner.inputs.yaml import JOB_FIELDS, SECTIONS, SETTINGS_FIELDS, parse, parser_events
from batchrunner.model import (
    Budget,
    FailureCategory,
    JobFile,
    JobSpec,
    RetryRule,
    Settings,
    StopLoss,
    Verdict,
)
from batchrunner.model.problems import JobFileErrors
from batchrunner.store.serialization import settings_of, settings_text


def read(text: bytes | str) -> JobFile:
    return parse(text, file="jobs.yaml", name="jobs")


def only(text: str) -> JobSpec:
    (spec,) = read(text).specs
    return spec


def job(extra: str) -> str:
    return f"- url: https://example.com/\n  goal: Read the price\n  {extra}\n"


@pytest.fixture(params=["libyaml", "python"], autouse=True)
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything holds with and without libyaml."""
    if request.param == "python":
        monkeypatch.setattr(parser_events, "LOADER", yaml.SafeLoader)


WHOLE = """\
name: Night 1
settings: {concurrency: 50, max_attempts: 5, backoff: 1m30s, queued_limit: 2d, marker: no}
defaults:
  goal: Read the price
  browser_profile: stealth
  agent_config: {max_steps: 20, max_duration_seconds: 240}
jobs:
  - url: https://example.com/1
  - url: https://example.com/2
    goal: |
      Read the price: now
      and the stock
    id: second
    agent_config: {max_steps: 5}
    browser_profile: null
"""


def test_a_file_with_every_section() -> None:
    file = read(WHOLE)
    assert file.name == "Night 1"
    assert file.settings == Settings(
        concurrency=50,
        max_attempts=5,
        backoff=timedelta(seconds=90),
        queued_limit=timedelta(days=2),
        marker=False,
    )
    first, second = file.specs
    assert first == JobSpec(
        key=first.key,
        url="https://example.com/1",
        goal="Read the price",
        options={
            "browser_profile": "stealth",
            "agent_config": {"max_steps": 20, "max_duration_seconds": 240},
        },
        line=8,
    )
    assert second == JobSpec(
        key="second",
        url="https://example.com/2",
        goal="Read the price: now\nand the stock",
        options={"agent_config": {"max_steps": 5}},
        line=9,
    )


def test_a_list_of_jobs_is_a_file() -> None:
    file = read("- {url: https://example.com, goal: Read}\n")
    assert (file.name, file.settings, len(file.specs)) == ("jobs", Settings(), 1)


def test_defaults_may_stand_below_the_jobs() -> None:
    spec = only("jobs: [{url: https://example.com}]\ndefaults: {goal: Read, use_vault: true}\n")
    assert (spec.goal, spec.options) == ("Read", {"use_vault": True})


def test_json_is_yaml() -> None:
    content = {"jobs": [{"url": "https://example.com/ü", "goal": 'a\n"b" \U0001f600'}]}
    spec = only(json.dumps(content, indent=1))
    assert (spec.url, spec.goal) == ("https://example.com/ü", 'a\n"b" \U0001f600')


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_bytes_are_utf_8_with_or_without_a_mark(mark: bytes) -> None:
    (spec,) = read(mark + "- url: https://example.com/é\n  goal: Lies\n".encode()).specs
    assert spec.url == "https://example.com/é"


def test_every_option_is_read() -> None:
    options: dict[str, Any] = {
        "browser_profile": "lite",
        "proxy_config": {
            "enabled": True,
            "type": "custom",
            "url": "http://proxy.example.com:3128",
            "username": "u",
            "password": "p",
        },
        "agent_config": {"mode": "strict", "max_steps": 500, "cursor_style": "green-pointer"},
        "capture_config": {"screenshots": True, "html": False},
        "output_schema": {
            "type": "object",
            "properties": {
                "when": {"type": "string", "format": "date"},
                "size": {"type": "string", "enum": ["s", "m"], "nullable": True},
                "prices": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 9,
                    "items": {"type": "number", "minimum": 0, "maximum": 99.5},
                },
                "any": {"anyOf": [{"type": "string"}, {"required": ["elsewhere"]}]},
            },
            "propertyOrdering": ["size", "when"],
            "required": ["when"],
        },
        "use_vault": True,
        "credential_item_ids": ["cred:1:2:3"],
        "use_profile": True,
        "profile_id": "prof_1",
        "webhook_url": "https://hooks.example.com/x",
        "api_integration": "night",
        "feature_flags": {"enable_agent_memory": True},
    }
    assert set(options) == set(RUN_OPTIONS)
    entry = {"url": "https://example.com", "goal": "Read", **options}
    assert only(json.dumps([entry])).options == options
    assert only(yaml.safe_dump([entry])).options == options


def test_settings_left_out_are_the_models() -> None:
    assert read("settings: {}\njobs: [{url: https://example.com, goal: a}]").settings == Settings()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30", 30), ("0.5", 0.5), ("30s", 30), ("5m", 300), ("1h30m", 5400), ("1d", 86400)],
)
def test_durations(text: str, seconds: float) -> None:
    file = read(f"settings: {{backoff: {text}}}\njobs: [{{url: https://example.com, goal: a}}]")
    assert file.settings.backoff == timedelta(seconds=seconds)


def test_the_tables_name_every_key() -> None:
    assert set(JOB_FIELDS) >= {"url", "goal", "id", "policy", *RUN_OPTIONS}
    assert set(SETTINGS_FIELDS) == set(Settings.__dataclass_fields__)
    assert set(SECTIONS) == {"name", "settings", "defaults", "jobs"}
    assert all(field.meaning and field.type.expected for field in JOB_FIELDS.values())


# ---- what YAML 1.1 would make of it ----

TRAPS = [
    *("NO", "no", "on", "y", "012", "0x1f", "1e3", "12:30:45", "2026-01-01", "1_000", ".5", "+1"),
    *("=", ".inf", ".nan", "0b1", "1.10", "TRUE"),
]


@pytest.mark.parametrize("text", TRAPS)
def test_text_is_what_was_written(text: str) -> None:
    spec = only(f"- url: https://example.com\n  goal: {text}\n  id: {text}\n")
    assert (spec.goal, spec.key) == (text, text)


def test_norway() -> None:
    spec = only(job("proxy_config: {enabled: on, country_code: NO}"))
    assert spec.options == {"proxy_config": {"enabled": True, "country_code": "NO"}}


def test_words_of_a_schema_are_text() -> None:
    schema = (
        "{type: object, properties: {no: {type: string, enum: [yes, 012, off]}}, required: [no]}"
    )
    (inner,) = only(job(f"output_schema: {schema}")).options["output_schema"]["properties"].items()
    assert inner == ("no", {"type": "string", "enum": ["yes", "012", "off"]})


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("True", True), ("YES", True), ("on", True), ("false", False), ("Off", False)],
)
def test_booleans(text: str, value: bool) -> None:
    assert only(job(f"use_vault: {text}")).options == {"use_vault": value}


def test_blanks_around_a_text_do_not_count() -> None:
    assert only("- url: https://example.com\n  goal: |\n\n    Read\n\n").goal == "Read"


# ---- anchors and merge keys ----

MERGED = """\
- &base
  url: https://example.com/1
  goal: &goal Read
  agent_config: &agent {max_steps: 9}
- <<: *base
  url: https://example.com/2
- <<: [{goal: first}, *base]
  url: https://example.com/3
- {url: https://example.com/4, goal: *goal, agent_config: {<<: *agent, mode: strict}}
"""


def test_aliases_and_merge_keys() -> None:
    specs = read(MERGED).specs
    assert [(spec.url[-1], spec.goal) for spec in specs] == [
        ("1", "Read"), ("2", "Read"), ("3", "first"), ("4", "Read"),
    ]  # fmt: skip
    assert specs[2].options == {"agent_config": {"max_steps": 9}}
    assert specs[3].options == {"agent_config": {"max_steps": 9, "mode": "strict"}}


def test_a_shared_schema_may_be_in_every_job() -> None:
    schema = "{type: object, properties: {a: {type: string}}}"
    first = f"- {{url: https://example.com, goal: '0', output_schema: &s {schema}}}\n"
    others = [
        f"- {{url: https://example.com, goal: '{n}', output_schema: *s}}\n" for n in range(1, 2000)
    ]
    specs = read(first + "".join(others)).specs
    assert len({id(spec.options["output_schema"]) for spec in specs[1:]}) == 1
    assert len(specs) == 2000


# ---- identity ----


def test_the_key_is_a_digest_of_the_content() -> None:
    # Known keys: a change here would start every job of every batch again.
    assert (
        only("[{url: https://example.com, goal: Read}]").key == "b03b56cd52ae969ccdcfb955fee1cf32"
    )
    assert only(job("use_vault: true")).key == "ae858c16e7856791676b48b9c60bd14e"


def test_equal_jobs_are_one() -> None:
    file = read(job("") + job("") + job("id: mine") + job("id: mine") + job("id: other"))
    assert (len(file.specs), file.duplicates) == (3, 2)
    assert [spec.line for spec in file.specs] == [1, 7, 13]


def test_defaults_and_own_options_make_the_same_job() -> None:
    own = only("jobs: [{url: https://example.com, goal: a, use_vault: true}]")
    inherited = only("defaults: {use_vault: yes, goal: a}\njobs: [{url: https://example.com}]")
    assert own._replace(line=2) == inherited


# ---- a policy ----


def test_a_policy_is_read_as_it_is_written() -> None:
    file = parse(
        """\
settings:
  policy:
    blocked:
      then:
        - browser_profile: stealth
        - {browser_profile: stealth, proxy_config: {enabled: yes, country_code: US}}
    goal_failure: {attempts: 2, wait: 30s}
    suspect: {attempts: 2}
jobs:
  - {url: "https://a.test", goal: Read, policy: {system_failure: {attempts: 5, backoff: 10s}}}
  - {url: "https://b.test", goal: Read}
""",
        file="jobs.yaml",
        name="jobs",
    )
    stealth = {"browser_profile": "stealth"}
    proxy = {**stealth, "proxy_config": {"enabled": True, "country_code": "US"}}
    assert file.settings.policy == {
        FailureCategory.BLOCKED: RetryRule(attempts=3, then=(stealth, proxy)),
        FailureCategory.GOAL_FAILURE: RetryRule(attempts=2, wait=timedelta(seconds=30)),
        Verdict.SUSPECT: RetryRule(attempts=2),
    }
    own = {FailureCategory.SYSTEM_FAILURE: RetryRule(attempts=5, backoff=timedelta(seconds=10))}
    assert [spec.policy for spec in file.specs] == [own, {}]
    assert [rule.line for rule in file.settings.policy.values()] == [3, 7, 8]


def test_a_suspect_result_is_bought_again_with_the_same_options() -> None:
    text = """\
settings: {policy: {suspect: {attempts: 2, then: [{browser_profile: stealth}]}}}
jobs: [{url: "https://a.test", goal: Read}]
"""
    with pytest.raises(JobFileErrors) as refused:
        parse(text, file="jobs.yaml", name="jobs")
    (problem,) = refused.value.problems
    assert problem.message == "`suspect` of `policy` of `settings` cannot have `then`"


def test_a_jobs_own_policy_replaces_that_of_the_defaults_and_is_no_part_of_its_key() -> None:
    text = """\
defaults: {goal: Read, policy: {blocked: {attempts: 1, then: []}}}
jobs:
  - url: https://a.test
  - {url: "https://b.test", policy: {lost: {attempts: 1}}}
"""
    file = parse(text, file="jobs.yaml", name="jobs")
    assert [dict(spec.policy) for spec in file.specs] == [
        {FailureCategory.BLOCKED: RetryRule(attempts=1, then=())},
        {FailureCategory.LOST: RetryRule(attempts=1)},
    ]
    plain = parse("- {url: 'https://a.test', goal: Read}", file="jobs.yaml", name="jobs")
    assert plain.specs[0].key == file.specs[0].key


# ---- what may not be meant as it is written ----


@pytest.mark.parametrize(
    ("goal", "column"),
    [
        ("Find item #12", 20),
        ("Find item   # a note", 20),
        ("'Find item #12'", None),
        ("Find item#12", None),
        ("|\n      Find item #12", None),
        (">\n      Find item #12", None),
    ],
)
def test_a_goal_that_a_comment_cuts_short_is_warned_of_with_its_place(
    goal: str, column: int | None
) -> None:
    text = f"jobs:\n  - url: https://a.test/\n    goal: {goal}\n"
    warnings = parse(text, file="jobs.yaml", name="jobs").warnings
    places = [line.partition(": ")[0] for line in warnings]
    assert places == ([f"jobs.yaml:3:{column}"] if column else [])


def test_a_goal_among_the_defaults_is_warned_of_once() -> None:
    text = "jobs:\n  - url: https://a.test/\n  - url: https://b.test/\ndefaults: {goal: Find #1\n}"
    assert len(parse(text, file="jobs.yaml", name="jobs").warnings) == 1


PROXY = "proxy_config: {enabled: true, type: custom, url: 'http://p.test:1', username: me, %s}"


@pytest.mark.parametrize(
    "text",
    [
        "goal: 'Log in with ${SHOP_PASSWORD}'",
        "goal: 'Log in with ${{ secrets.SHOP_PASSWORD }}'",
        "goal: G\n  " + PROXY % "password: '${SHOP_PASSWORD:-sesame}'",
        "goal: G\n  " + PROXY % "password: $SHOP_PASSWORD",
        "goal: G\n  webhook_url: 'https://hook.test/${hook}'",
        "goal: G\n  profile_id: '%SHOP_PROFILE%'",
        "goal: G\n  credential_item_ids: ['${shop}']",
    ],
)
def test_a_variable_that_nobody_replaced_is_refused_and_the_vault_is_named(text: str) -> None:
    with pytest.raises(JobFileErrors) as caught:
        read(f"- url: https://example.com/\n  {text}\n")
    found = next(each for each in caught.value.problems if "variable" in each.message)
    assert found.line in (2, 3)
    assert "sesame" not in found.message
    assert found.tip
    assert "batchrunner vault --help" in found.tip


def test_a_variable_in_a_url_or_the_defaults_is_refused() -> None:
    for text in (
        "- {url: 'https://${HOST}/', goal: G}",
        "defaults: {goal: 'Say ${NAME}'}\njobs: [{url: 'https://a.test/'}]",
        "defaults: {goal: G, profile_id: '${id}'}\njobs: [{url: 'https://a.test/'}]",
    ):
        with pytest.raises(JobFileErrors) as caught:
            read(text)
        assert "left in it" in caught.value.problems[-1].message


def test_a_variable_without_braces_in_a_goal_is_warned_of() -> None:
    entry = "- url: https://example.com/%d\n  goal: Log in with $SHOP_PASSWORD\n"
    (warning,) = read(entry % 1 + entry % 2).warnings
    assert warning.startswith("jobs.yaml:1: ${SHOP_PASSWORD} is sent as it stands (and in 1 more)")


@pytest.mark.parametrize("goal", ["It costs $5 or $USD", "Read {{ price }}", "Read ${} and $(x)"])
def test_a_goal_without_a_variable_is_not_warned_of(goal: str) -> None:
    assert read(f"- url: https://example.com/\n  goal: '{goal}'\n").warnings == ()


def test_entries_that_differ_in_their_policy_alone_are_warned_of() -> None:
    job = "- url: https://a.test/\n  goal: Read it\n"
    other = f"{job}  policy: {{goal_failure: {{attempts: 5}}}}\n"
    repeated, policies = parse(job + other + other, file="jobs.yaml", name="jobs").warnings
    assert "line 3 repeats line 1, line 6 repeats line 1" in repeated
    assert policies.startswith("jobs.yaml: 2 entries repeat others but for `policy`")
    assert len(parse(job + job, file="jobs.yaml", name="jobs").warnings) == 1


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("$5", StopLoss(cost=Budget(money=Decimal(5)))),
        ("300 steps", StopLoss(cost=Budget(steps=300))),
        ("2.5%", StopLoss(share=Decimal("0.025"))),
        ("0.02", StopLoss(share=Decimal("0.02"))),
        ("100%", StopLoss(share=Decimal(1))),
        ("never", StopLoss(share=None)),
        ("{share: 3%, cost: $5}", StopLoss(share=Decimal("0.03"), cost=Budget(money=Decimal(5)))),
        ("{cost: $5}", StopLoss(cost=Budget(money=Decimal(5)))),
    ],
)
def test_a_stop_loss_is_a_sum_a_share_or_both(text: str, rule: StopLoss) -> None:
    file = read(f"settings: {{stop_loss: {text}}}\njobs: [{{url: https://example.com, goal: a}}]")
    assert file.settings.stop_loss == rule
    assert settings_of(settings_text(file.settings)).stop_loss == rule


@pytest.mark.parametrize(
    "text", ["5", "1", "1.0", "$0", "0%", "150%", "yes", "[1%]", "{share: $5}", "{of: 1%}"]
)
def test_what_is_no_stop_loss_is_refused(text: str) -> None:
    with pytest.raises(JobFileErrors):
        read(f"settings: {{stop_loss: {text}}}\njobs: [{{url: https://example.com, goal: a}}]")


def test_a_batch_of_an_older_version_has_the_usual_stop_loss() -> None:
    stored = settings_text(Settings()).replace('"stop_loss"', '"was_not_there"')
    plain = json.loads(stored)
    del plain["was_not_there"]
    assert settings_of(json.dumps(plain)).stop_loss == StopLoss()
