"""Job files that mean harm: each is refused, none takes the process with it."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml

from batchrunner.inputs.yaml import JobFileErrors, parse, parser_events, report
from tests.bounds import HUNG
from tests.sweeps import some

JOB = "- url: https://example.com\n  goal: Read\n  "
LEVELS = "\n".join(f"  l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 10))
HOSTILE = {
    "nested lists": "[" * 100_000,
    "nested mappings": "{a: " * 100_000,
    "nested blocks": "- " * 100_000,
    "nested keys": "? " * 100_000,
    "deep in an option": JOB + "output_schema: " + "[" * 100,
    "alias bomb": f"defaults:\n  l0: &l0 [lol]\n{LEVELS}\njobs: []",
    "deep by aliases": "- &a0 [x]\n" + "".join(f"- &a{n} [*a{n - 1}]\n" for n in range(1, 60)),
    "recursive alias": "- &a {url: *a}",
    "recursive merge": "- &a {<<: *a}",
    "recursive list": "jobs: &a [*a]",
    "wide entry": "- [" + "a, " * 30_000 + "]",
    "anchors": "- &a\n" * 10_000,
    "open quote": '- url: "' + "a " * 100_000,
    "long number": JOB + f"agent_config: {{max_steps: {'9' * 10_000}}}",
    "long version": f"%YAML 1.{'9' * 10_000}\n---\n",
    "long float": JOB + "output_schema: " + "{properties: {a: {type: number, maximum: 1e999}}}",
}
ENDS = {
    "nested lists": "nested deeper than 50 levels",
    "nested mappings": "nested deeper than 50 levels",
    "nested blocks": "nested deeper than 50 levels",
    "nested keys": "nested deeper than 50 levels",
    "deep in an option": "nested deeper than 50 levels",
    "alias bomb": "aliases stand for too many values",
    "deep by aliases": "nested deeper than 50 levels",
    "recursive alias": "stands inside what it names",
    "recursive merge": "stands inside what it names",
    "recursive list": "stands inside what it names",
    "wide entry": "more than 20,000 values",
    "long number": "from 1 to 500",
    "long float": "must be a number",
}
#: What opens a level, or two; and the line and column of the first level that is refused.
DEEP = {
    "[": (1, 51),
    "{": (1, 52),
    "{a: ": (1, 205),
    "- ": (1, 101),
    "? ": (1, 103),
    "[{a: ": (1, 126),
    "{[": (1, 52),
    "[? ": (1, 76),
    "&a [": (1, 201),
    "[\n": (51, 1),
    "-\n": (51, 51),
    "a:\n": (52, 52),
}
READ = """
import sys
from batchrunner.inputs.yaml import JobFileErrors, parse, report
try:
    parse(sys.stdin.buffer.read(), file="jobs.yaml", name="jobs")
except JobFileErrors as errors:
    sys.exit(report(errors))
"""


@pytest.mark.parametrize("name", some(HOSTILE, quick=6))
def test_a_hostile_file_is_refused(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", READ],
        input=HOSTILE[name].encode(),
        capture_output=True,
        timeout=HUNG,
    )
    assert done.returncode == 1, done
    shown = done.stderr.decode()
    assert ENDS.get(name, "") in shown
    assert "Traceback" not in shown
    assert len(shown) < 20_000


@pytest.mark.sweep
@pytest.mark.parametrize("name", some(HOSTILE, quick=3))
def test_a_hostile_file_is_refused_without_libyaml_too(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_without_libyaml(monkeypatch)
    with pytest.raises(JobFileErrors) as caught:
        parse(HOSTILE[name][:70_000], file="jobs.yaml", name="jobs")
    assert ENDS.get(name, "") in report(caught.value)


def opened(opener: str, times: int) -> str:
    """Repeat what opens a level; in block style, each line is indented by one more space."""
    block = opener in ("-\n", "a:\n")
    return "".join(" " * n + opener for n in range(times)) if block else opener * times


def read_without_libyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parser_events, "LOADER", yaml.SafeLoader)


@pytest.mark.parametrize(("times", "pure"), [(60, False), (1_200, False), (60, True)])
@pytest.mark.parametrize("opener", DEEP)
def test_what_is_nested_too_deep_is_refused_at_one_place_whatever_the_parser_allows(
    opener: str, times: int, pure: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if pure:
        read_without_libyaml(monkeypatch)
    with pytest.raises(JobFileErrors) as caught:
        parse(opened(opener, times), file="jobs.yaml", name="jobs")
    [problem] = caught.value.problems
    assert problem.message == "nested deeper than 50 levels"
    assert (problem.line, problem.column) == DEEP[opener]


@pytest.mark.parametrize("pure", [False, True])
@pytest.mark.parametrize("opener", DEEP)
def test_one_level_less_is_not_too_deep(
    opener: str, pure: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if pure:
        read_without_libyaml(monkeypatch)
    line, column = DEEP[opener]
    lines = opened(opener, 60).splitlines(keepends=True)
    text = "".join(lines[: line - 1]) + lines[line - 1][: column - 1] + "x"
    closed = text + "".join({"[": "]", "{": "}"}.get(each, "") for each in reversed(text))
    with pytest.raises(JobFileErrors) as caught:  # none of these is a list of jobs
        parse(closed, file="jobs.yaml", name="jobs")
    assert all("not YAML" not in m.message for m in caught.value.problems)
    assert all("nested" not in m.message for m in caught.value.problems)


def test_a_syntax_error_in_nested_lists_that_are_allowed_is_reported_as_it_is() -> None:
    with pytest.raises(JobFileErrors) as caught:
        parse("[" * 40 + "@", file="jobs.yaml", name="jobs")
    [problem] = caught.value.problems
    assert (problem.column, problem.message) == (41, "text cannot start with `@`")
