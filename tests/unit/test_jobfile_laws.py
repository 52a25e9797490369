"""Laws that hold for every job file, right or wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from batchrunner.api_facts.run_options import RUN_OPTIONS
from batchrunner.inputs.job_specs import JobSpecs
from batchrunner.inputs.yaml import JobFileErrors, parse, report
from batchrunner.model import JobFile
from batchrunner.model.problems import Problem


def read(text: bytes | str) -> JobFile:
    return parse(text, file="jobs.yaml", name="jobs")


# ---- which entries are the same job ----

texts = st.text(
    st.characters(categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=30
).filter(str.strip)
numbers = st.integers(1, 500)
entries = st.fixed_dictionaries(
    {"url": st.integers(0, 10**6).map(lambda n: f"https://example.com/{n}"), "goal": texts},
    optional={
        "id": texts.filter(str.isprintable),  # no-break spaces are refused there
        "use_vault": st.booleans(),
        "browser_profile": st.sampled_from(["lite", "stealth"]),
        "agent_config": st.fixed_dictionaries(
            {"max_steps": numbers, "max_duration_seconds": numbers}
        ),
    },
)
files = st.lists(entries, min_size=1, max_size=6, unique_by=lambda entry: entry["url"])


def write(entries: list[dict[str, Any]]) -> str:
    return yaml.safe_dump(entries, sort_keys=False, allow_unicode=True)


def keys(entries: list[dict[str, Any]]) -> list[str]:
    return [spec.key for spec in read(write(entries)).specs]


def without_ids(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in entry.items() if k != "id"} for entry in entries]


@given(files.map(without_ids))
def test_reading_twice_is_reading_once(entries: list[dict[str, Any]]) -> None:
    assert read(write(entries)) == read(write(entries))


@given(files.map(without_ids))
def test_every_job_twice_is_every_job_once(entries: list[dict[str, Any]]) -> None:
    assert keys(entries + entries) == keys(entries)
    assert read(write(entries + entries)).duplicates == len(entries)


@given(files.map(without_ids))
def test_the_order_of_keys_makes_no_other_job(entries: list[dict[str, Any]]) -> None:
    turned = [
        {
            key: dict(reversed(value.items())) if isinstance(value, dict) else value
            for key, value in reversed(entry.items())
        }
        for entry in entries
    ]
    assert keys(turned) == keys(entries)
    assert [spec.key for spec in read(json.dumps(entries)).specs] == keys(entries)


@given(files.map(without_ids), st.data())
def test_a_new_line_adds_one_key(entries: list[dict[str, Any]], data: st.DataObject) -> None:
    new = {"url": "https://example.com/new", "goal": "Read"}
    place = data.draw(st.integers(0, len(entries)))
    assert set(keys([*entries[:place], new, *entries[place:]])) - set(keys(entries)) == set(
        keys([new])
    )


@given(entries)
def test_what_was_written_is_what_is_read(entry: dict[str, Any]) -> None:
    (spec,) = read(write([entry])).specs
    assert spec.goal == entry["goal"].strip()
    assert spec.options == {k: v for k, v in entry.items() if k in RUN_OPTIONS}
    assert "id" not in entry or spec.key == entry["id"].strip()


# ---- whatever is in the file ----

#: Pieces of YAML and of job files, from which nearly right files come up often.
PIECES = [
    *("- ", "\n", "\n  ", "\n    ", ": ", "url: ", "goal: ", "https://a.b", "jobs:\n", "&a ", "*a"),
    *(
        "<<: ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "'",
        '"',
        "|\n",
        ">-\n",
        "#",
        "!!str ",
        "!x",
        "---\n",
        "...\n",
    ),
    *(
        "defaults:\n",
        "settings:\n",
        "name: ",
        "id: ",
        "012",
        "null",
        "~",
        "\t",
        "\r",
        "\u2028",
        "%",
    ),
    *("output_schema: ", "type: ", "properties: ", "object", "required: ", "proxy_config: "),
    *("\\x1b", "\\ud83d\\ude00", "\x1b[31m", "\x9b", "\u202e", "\ufeff", "\0", "\ud800", "@", "`"),
]
nearly_yaml = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=30).map("".join)


def refusal(text: bytes | str, file: str = "jobs.yaml") -> JobFileErrors | None:
    try:
        parsed = parse(text, file=file, name="jobs")
    except JobFileErrors as errors:
        return errors
    json.dumps([dict(spec.options) for spec in parsed.specs], allow_nan=False)
    return None


def holds(text: bytes | str) -> None:
    if errors := refusal(text):
        assert all(one == "\n" or one.isprintable() for one in report(errors))
        places = [(problem.line, problem.column) for problem in errors.problems]
        assert places == sorted(places)
        assert min(places) >= (1, 1)


odd_values = st.sampled_from(
    [
        "https://a.b/c",
        "'https://a.b/c '",
        "https://A.b:443/%7e?utm_source=x",
        "a.b/c",
        "null",
        "''",
        '"null"',
        "Read it",
        "Read it # all",
        "'Read ${PRICE}'",
        "&mark Read",
        "*mark",
        '"Read\\tit"',
        "|\n    Read\n    it",
        "[Read]",
        "{url: Read}",
        "7",
    ]
)
odd_defaults = st.sampled_from(
    [
        "",
        "defaults: {goal: Read}\n",
        "defaults: {use_vault: perhaps}\n",
        "defaults: {credential_item_ids: [a]}\n",
        "defaults: {use_vault: true, policy: {timed_out: {retry: false}}, queued_limit: 5m}\n",
        "defaults: {expect: {required: [price]}}\n",
    ]
)


@given(odd_defaults, st.lists(st.tuples(odd_values, odd_values), min_size=1, max_size=3))
def test_ordinary_entries_are_read_as_their_fields_would_read_them(
    defaults: str, values: list[tuple[str, str]]
) -> None:
    jobs = "".join(f"- url: {url}\n  goal: {goal}\n" for url, goal in values)
    text = f"{defaults}jobs:\n{jobs}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JobSpecs, "_plain", lambda *_: None)
        by_fields = outcome(text)
    assert outcome(text) == by_fields


def outcome(text: str) -> JobFile | tuple[Problem, ...]:
    try:
        return read(text)
    except JobFileErrors as errors:
        return errors.problems


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    holds(text)


@given(st.binary())
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    holds(data)


@given(nearly_yaml)
@example('- {url: https://a.b, goal: "\\ud83d"}')
@example("\r\n\x85- url: \u2028")
def test_nearly_yaml_is_read_or_refused(text: str) -> None:
    holds(text)
    holds(f"jobs:\n- url: https://a.b\n  goal: {text}")
    holds(f"jobs:\n- url: https://a.b\n  output_schema: {{{text}}}")


@given(st.text(min_size=1))
def test_the_name_to_show_is_made_safe_too(name: str) -> None:
    errors = refusal("", name)
    assert errors is not None
    assert report(errors).replace("\n", "").isprintable()
