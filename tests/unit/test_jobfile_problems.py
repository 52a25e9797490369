"""Invalid job files: the message, its position, and the tip."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from batchrunner.inputs.yaml import JobFileErrors, Problem, parse, parser_events, report

FILES = Path(__file__).parent / "jobfiles"


@pytest.fixture(params=["libyaml", "python"], autouse=True)
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything holds with and without libyaml."""
    if request.param == "python":
        monkeypatch.setattr(parser_events, "LOADER", yaml.SafeLoader)


def errors(text: bytes | str, *, file: str = "jobs.yaml", name: str = "jobs") -> JobFileErrors:
    with pytest.raises(JobFileErrors) as caught:
        parse(text, file=file, name=name)
    return caught.value


def problems(text: bytes | str) -> tuple[Problem, ...]:
    return errors(text).problems


def test_the_report_of_a_file_with_many_problems() -> None:
    found = errors((FILES / "problems.yaml").read_bytes(), file="problems.yaml")
    assert len({problem.message for problem in found.problems}) >= 20
    assert report(found) + "\n" == (FILES / "problems.txt").read_text()


JOB = "- url: https://example.com\n  goal: Read\n  "
SCHEMA = JOB + "output_schema: "

#: file → the one problem in it: line, column, part of the message, part of the tip.
ONE = {
    # a url
    "- url: example.com/a\n  goal: Read": (1, 8, "has no https:// in front", "https://example.com/a"),
    "- url: ftp://example.com\n  goal: Read": (1, 8, "is on an FTP server", "https://"),
    "- url: 'https://example.com/a b'\n  goal: Read": (1, 8, "contains a space", "%20"),
    '- url: "https://example.com/\\ta"\n  goal: Read': (1, 8, r"the character \t", "remove"),
    '- url: "https://example.com/\\u200b"\n  goal: Read': (1, 8, r"character \u200b", "remove"),
    "- url: https:///a\n  goal: Read": (1, 8, "no valid host", "https://example.com/page"),
    "- url: https://example.com:99999\n  goal: Read": (1, 8, "no valid host and port", None),
    "- url: https://[::1/\n  goal: Read": (1, 8, "no valid host", None),
    f"- url: https://example.com/{'a' * 8200}\n  goal: Read": (1, 8, "8,192 are allowed", None),
    "- url: [https://example.com]\n  goal: Read": (1, 8, "must be a url", None),
    "- url: null\n  goal: Read": (1, 8, "not nothing", None),
    "- goal: Read": (1, 3, "job 1 has no `url`", "add `url: …`"),
    # a goal
    "- url: https://example.com": (1, 3, "job 1 has no `goal`", "`defaults`"),
    "- url: https://example.com\n  goal: '  '": (2, 9, "is empty", None),
    "- url: https://example.com\n  goal: # 1 price": (2, 8, "not nothing", "starts with `#`"),
    "- url: https://example.com\n  goal: {price: now}": (2, 9, "text, not a mapping", "quote"),
    f"- url: https://example.com\n  goal: {'a' * 100_001}": (2, 9, "100,000 are allowed", None),
    '- url: https://example.com\n  goal: "a\\0b"': (2, 9, r"control character \x00", "remove"),
    # an id
    JOB + "id: ''": (3, 7, "`id` of job 1 is empty", None),
    JOB + f"id: {'a' * 201}": (3, 7, "200 are allowed", None),
    JOB + 'id: "a\\nb"': (3, 7, r"control character \n", "remove"),
    JOB + f"id: {'0a' * 16}": (3, 7, "32 hex digits", "in front"),
    JOB + "id: a\n" + JOB.replace("Read", "Look") + "id: a": (6, 7, "on line 1", "its own"),
    # switches, numbers, words
    JOB + "use_vault: maybe": (3, 14, "true or false, not `maybe`", None),
    JOB + "use_vault: 'true'": (3, 14, "true or false", "remove the quotes"),
    JOB + "use_vault: 1": (3, 14, "true or false, not `1`", None),
    JOB + "agent_config: {max_steps: 0}": (3, 29, "from 1 to 500, not `0`", None),
    JOB + "agent_config: {max_steps: 010}": (3, 29, "not `010`", "write 10"),
    JOB + "agent_config: {max_steps: 1e2}": (3, 29, "not `1e2`", "decimal digits"),
    JOB + "agent_config: {max_steps: '9'}": (3, 29, 'the text "9"', "remove the quotes"),
    JOB + "agent_config: {max_duration_seconds: 0}": (3, 40, "of 1 or more", None),
    JOB + "agent_config: {max_step: 9}": (3, 18, "unknown key `max_step`", "`max_steps`"),
    JOB + "agent_config: fast": (3, 17, "must be a mapping", "`max_steps`"),
    JOB + "agent_config:": (3, 16, "not nothing", "write a value"),
    JOB + "browser_profile: stelth": (3, 20, "`lite`, `stealth`", "did you mean `stealth`?"),
    JOB + "colour: red": (3, 3, "unknown key `colour` in job 1", "known are `url`, `goal`"),
    JOB + "feature_flags: {a: b}": (3, 22, "`a` of `feature_flags` of job 1", None),
    # a proxy
    JOB + "proxy_config: {type: tetra}": (3, 17, "has no `enabled`", "true or false"),
    JOB + "proxy_config: {enabled: on, type: custom}": (3, 31, "needs `url`", "add `url`"),
    JOB + "proxy_config: {enabled: on, country_code: de}": (3, 45, "capital", "`DE`"),
    JOB + "proxy_config: {enabled: on, url: 'http://a:1'}": (3, 31, "`type: custom`", "add"),
    JOB + "proxy_config: {enabled: on, password: a}": (3, 31, "`type: custom`", "add"),
    JOB + "proxy_config: {enabled: on, type: custom, url: proxy}": (3, 50, "valid host", "http://"),
    # what options need of each other
    JOB + "profile_id: prof_1": (3, 3, "needs `use_profile: true`", "add `use_profile: true`"),
    JOB + "use_vault: on\n  credential_item_ids: []": (4, 24, "must be a list of text", None),
    JOB + "webhook_url: http://example.com": (3, 16, "start with https://", None),
    f"defaults: {{use_vault: on, credential_item_ids: [a]}}\njobs:\n{JOB}use_vault: off": (
        5, 3, "`credential_item_ids` of `defaults` needs `use_vault: true`", None,
    ),
    # a schema
    SCHEMA + "true": (3, 18, "must be a mapping", None),
    SCHEMA + "{type: array}": (3, 19, "`type: object` must be the top of", "object"),
    SCHEMA + "{anyOf: [{type: string}]}": (3, 28, "must be the top", None),
    SCHEMA + "{anyOf: [{type: object}, {type: array}]}": (3, 18, "must be the top", None),
    SCHEMA + "{oneOf: []}": (3, 19, "does not support `oneOf` at #", "use `anyOf`"),
    SCHEMA + "{properties: {a: {$ref: '#'}}}": (3, 42, "which contains itself", "levels"),
    SCHEMA + "{properties: {a: text}}": (3, 35, "#/properties/a must be a mapping", '"string"'),
    SCHEMA + "{properties: {a: {type: [[string]]}}}": (3, 42, "not a list", "nullable"),
    SCHEMA + "{properties: {a: {type: str}}}": (3, 42, "not `str`", None),
    SCHEMA + "{properties: {a: {format: date}}}": (3, 36, "needs `type: string`", None),
    SCHEMA + "{properties: {a/b: {type: string, minItems: 1}}}": (3, 52, "#/properties/a~1b", None),
    SCHEMA + "{properties: {a: {type: number, minimum: x}}}": (3, 59, "must be a number", None),
    SCHEMA + "{required: [a]}": (3, 30, "names `a`", None),
    SCHEMA + "{propertyOrdering: [a]}": (3, 19, "needs `properties`", None),
    SCHEMA + "{properties: {a: {}}, propertyOrdering: [a, a]}": (3, 62, "`a` twice", None),
    SCHEMA + "{properties: {a: " * 10 + "{}" + "}}" * 10: (3, 188, "deeper than 10 levels", None),
    SCHEMA + "{nullable: 'true'}": (3, 29, "true or false", "remove the quotes"),
    # a policy
    JOB + "policy: fast": (3, 11, "failure categories to rules, not `fast`", "blocked"),
    JOB + "policy: {block: {attempts: 2}}": (3, 12, "unknown key `block`", "`blocked`"),
    JOB + "policy: {throttled: {attempts: 2}}": (3, 12, "uses up no attempt", "`blocked`"),
    JOB + "policy: {rejected: {attempts: 2}}": (3, 12, "its answer is fixed", "`blocked`"),
    JOB + "policy: {lost: 3}": (3, 18, "must be a rule, not `3`", "`attempts`"),
    JOB + "policy: {lost: {}}": (3, 18, "says nothing", "`attempts`"),
    JOB + "policy: {lost: {tries: 3}}": (3, 19, "unknown key `tries`", "`attempts`"),
    JOB + "policy: {lost: {attempts: 0}}": (3, 29, "from 1 to 20, not `0`", None),
    JOB + "policy: {lost: {attempts: 21}}": (3, 29, "from 1 to 20, not `21`", None),
    JOB + "policy: {lost: {wait: soon}}": (3, 25, "like `30s`", None),
    JOB + "policy: {lost: {wait: 1s, backoff: 1s}}": (3, 29, "both `wait` and", "keep one"),
    JOB + "policy: {lost: {attempts: 1, then: [{use_vault: on}]}}": (
        3, 29, "has 1 steps, and `attempts: 1` reaches 0", "write `attempts: 2`",
    ),
    JOB + "policy: {lost: {then: up}}": (3, 25, "a list of mappings of options", "stealth"),
    JOB + "policy: {lost: {then: [{}]}}": (3, 26, "step 1 of `then` of `lost`", "`use_vault`"),
    JOB + "policy: {lost: {then: [{url: a}]}}": (3, 27, "cannot change `url`", "`use_vault`"),
    JOB + "policy: {lost: {then: [{goal: a}]}}": (3, 27, "cannot change `goal`", "`use_vault`"),
    JOB + "policy: {lost: {then: [{output_schema: {}}]}}": (3, 27, "`output_schema`", None),
    JOB + "policy: {lost: {then: [{browser_profile: steal}]}}": (3, 44, "`stealth`", "stealth"),
    JOB + "policy: {lost: {then: [{profile_id: a}]}}": (3, 27, "`use_profile: true`", "add"),
    JOB + f"policy: {{lost: {{then: [{'{use_vault: on}, ' * 20}]}}}}": (
        3, 25, "has 20 steps; 19 are allowed", None,
    ),
    f"settings: {{policy: {{lost: {{tries: 3}}}}}}\njobs:\n{JOB}": (1, 28, "of `settings`", None),
    f"defaults: {{policy: {{lost: {{tries: 3}}}}}}\njobs:\n{JOB}": (1, 28, "of `defaults`", None),
    # settings and name
    f"settings: {{concurrency: 1001}}\njobs:\n{JOB}": (1, 25, "from 1 to 1000", None),
    f"settings: {{backoff: 0s}}\njobs:\n{JOB}": (1, 21, "like `30s`", None),
    f"settings: {{backoff: 1:30}}\njobs:\n{JOB}": (1, 21, "like `30s`", None),
    f"settings: {{backoff: 2d}}\njobs:\n{JOB}": (1, 21, "at most 1d", None),
    f"settings: {{retries: 2}}\njobs:\n{JOB}": (1, 12, "unknown key `retries`", "known are"),
    f"settings: fast\njobs:\n{JOB}": (1, 11, "must be a mapping", "`concurrency`"),
    f"name: a/b\njobs:\n{JOB}": (1, 7, "letters, digits", None),
    f"name: {'a' * 101}\njobs:\n{JOB}": (1, 7, "100 are allowed", None),
    # the file
    "": (1, 1, "empty", "`- url: …`"),
    "# nothing\n---\n": (1, 1, "empty", "`- url: …`"),
    "just text": (1, 1, "must be a list of jobs", "`- url: …`"),
    "jobs:": (1, 6, "lists no jobs", None),
    "jobs: []": (1, 7, "lists no jobs", None),
    "[]": (1, 1, "lists no jobs", None),
    "name: a": (1, 1, "has no `jobs`", None),
    "jobs: later": (1, 7, "must be a list of jobs, not `later`", None),
    f"job:\njobs:\n{JOB}": (1, 1, "unknown key `job` in the file", "`jobs`"),
    f"defaults: []\njobs:\n{JOB}": (1, 11, "must be a mapping", None),
    f"defaults: {{url: a}}\njobs:\n{JOB}": (1, 12, "unknown key `url` in `defaults`", None),
    "- https://example.com": (1, 3, "not `https://example.com`", "`- url: …`"),
    JOB + "goal: again": (3, 3, "`goal` stands twice; the first is on line 2", "keep one"),
    f"jobs:\n{JOB}\njobs: []": (5, 1, "`jobs` stands twice; the first is on line 1", None),
    # YAML
    "- url: https://example.com\n  goal: Get price: now": (2, 18, "not quoted", "`|`"),
    "- goal: Read\n\turl: https://example.com": (2, 1, "a tab", "spaces"),
    "- url: https://example.com\n   goal: Read": (2, 8, "indented deeper", "same column"),
    "- url: 'https://example.com\n  goal: Read": (1, 8, "never closed", "closing quote"),
    "- goal: [price, name": (1, 9, "not closed", "close it with `]`"),
    "- goal: {price": (1, 9, "not closed", "close it with `}`"),
    "- goal: @shop": (1, 9, "cannot start with `@`", "quote"),
    "- goal: *Note* this": (1, 9, "an alias", "quote"),
    "- goal: *note": (1, 9, "names nothing above", "quote"),
    "- goal: - price": (1, 9, "list cannot start here", "line of its own"),
    "- goal: 'Read' it": (1, 16, "goes on behind", "quote"),
    "- url: https://example.com\n goal: Read": (2, 2, "indented differently", "same column"),
    JOB + "use_vault:on": (3, 3, "not `key: value`", "space behind"),
    JOB + "<<: 3": (3, 7, "`<<` merges mappings", "*name"),
    JOB + "use_vault: !!bool yes": (3, 14, "tag `!!bool`", "remove"),
    JOB + "id: !!python/object:os.system x": (3, 7, "tag `!!python/object:os.system`", "remove"),
    JOB + "? [a]\n  : b": (3, 5, "a key must be text", "quote"),
    f"{JOB}\n---\n{JOB}": (4, 1, "second document", "`---`"),
    "[{url: https://example.com, goal: Read}] more": (1, 42, "does not belong", None),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), ONE.items(), ids=[text[-60:] for text in ONE])
def test_one_problem(text: str, expected: tuple[int, int, str, str | None]) -> None:
    line, column, message, tip = expected
    (found,) = problems(text)
    assert (found.line, found.column) == (line, column), found
    assert message in found.message
    assert (tip or "") in (found.tip or "")
    assert found.source_line == (text.splitlines()[line - 1] if text else "")


UNREADABLE = {
    b"- url: a\n  goal: \xff": (2, 9, r"byte \xff is not valid UTF-8", "as UTF-8"),
    b"- url: a\n  goal: \0": (2, 9, r"character \x00 is not allowed", "remove it"),
    b"- url: \x1b[31m": (1, 8, r"character \x1b is not allowed", "remove it"),
    b"\xff\xfe-\0 \0": (1, 1, "UTF-16", "save it as UTF-8"),
    b"-\0 \0": (1, 1, "UTF-16", "save it as UTF-8"),
    b" " * (64 * 2**20 + 1): (1, 1, "larger than 64 MB", "split"),
}


@pytest.mark.parametrize(("data", "expected"), UNREADABLE.items(), ids=range(len(UNREADABLE)))
def test_bytes_that_are_no_text(data: bytes, expected: tuple[int, int, str, str]) -> None:
    line, column, message, tip = expected
    (found,) = problems(data)
    assert (found.line, found.column) == (line, column)
    assert message in found.message
    assert tip in (found.tip or "")


def test_problems_above_a_syntax_error_are_reported_with_it() -> None:
    found = problems("- url: example.com\n  goal: Read\n- url: https://example.com\n  goal: a: b")
    assert [(one.line, one.column) for one in found] == [(1, 8), (4, 10)]


def test_an_unknown_escape() -> None:
    (found,) = problems('- goal: "C:\\dir"')
    assert "this escape" in found.message
    assert found.column in (12, 13)  # the loaders do not agree where it starts
    assert "backslash" in (found.tip or "")


def test_defaults_below_the_jobs_are_checked_with_them() -> None:
    found = problems(
        "jobs:\n- url: https://example.com\n- url: example.com\n"
        "defaults: {profile_id: prof_1, goal: Read, use_valt: on}"
    )
    assert [(one.line, one.column) for one in found] == [(3, 8), (4, 12), (4, 44)]
    assert "`profile_id` of `defaults` needs `use_profile: true`" in found[1].message


def test_null_takes_a_default_off_and_nothing_else() -> None:
    (found,) = problems("defaults: {goal: Read, use_vault: null}\njobs: [{url: https://a.b}]")
    assert (found.line, found.column) == (1, 35)


def test_a_misspelt_key_is_not_missing_too() -> None:
    (found,) = problems("- urll: https://example.com\n  goal: Read")
    assert found.tip == "did you mean `url`?"


def test_a_problem_that_many_jobs_share_is_reported_once() -> None:
    base = "- &a {url: https://example.com/1, goal: Read, agent_config: {max_steps: 0}}\n"
    assert len(problems(base + "- {<<: *a, url: https://example.com/2}\n" * 9)) == 1


def test_a_batch_needs_a_name_that_can_be_shown() -> None:
    (found,) = errors(JOB, name="a/b").problems
    assert "the batch's name must be" in found.message


# ---- the report ----


def test_one_problem_looks_like_this() -> None:
    text = "\n" * 6 + "  - urll: https://example.com/…\n    goal: Read\n"
    assert (
        report(errors(text))
        == """\
error: unknown key `urll` in job 1
  --> jobs.yaml:7:5
   |
 7 |   - urll: https://example.com/…
   |     ^^^^
   = tip: did you mean `url`?

1 problem in jobs.yaml; nothing was loaded"""
    )


def test_many_problems_are_counted_not_shown() -> None:
    shown = report(errors("- x\n" * 60))
    assert shown.count("error:") == 50
    assert "… and 10 more problems, not shown\n\n60 problems in jobs.yaml" in shown


def test_a_terminal_gets_nothing_to_obey() -> None:
    shown = report(errors("- url: a\u202eb\u2066 \n", file="\x1b]0;x\x07.yaml"))
    assert r"- url: a\u202eb\u2066" in shown
    assert r"--> \x1b]0;x\x07.yaml:1:3" in shown


def test_a_long_line_is_cut_around_the_caret() -> None:
    text = f"[{{url: https://example.com/{'a' * 300}, gaol: Read, id: {'b' * 300}}}]"
    _, _, _, line, caret, *_ = report(errors(text)).splitlines()
    assert line.startswith(" 1 | …aaa")
    assert line.endswith("bbb…")
    assert line[caret.index("^") :].startswith("gaol")
    assert caret.count("^") == 4
    assert len(line) < 110


def test_the_caret_stands_right_behind_wide_characters() -> None:
    _, _, _, line, caret, *_ = report(
        errors("- {goal: 価格を読む, urll: https://a.b}")
    ).splitlines()
    assert caret.index("^") == line.index("urll") + len("価格を読む")
