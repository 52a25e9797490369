"""Write the parts of the documentation that follow from the code: `python docs/generate.py`.

Such a part is between `<!-- generated: NAME -->` and `<!-- end -->`; NAME is a key of `PARTS`.
"""

from __future__ import annotations

import io
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, fields
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path

import click

from batchrunner import classify
from batchrunner.api_facts.run_options import RUN_OPTIONS
from batchrunner.cli import COMMANDS, cli
from batchrunner.inputs import yaml
from batchrunner.inputs.diff_fields import DIFF_FIELDS
from batchrunner.inputs.expectations import BOUNDS_FIELDS, EXPECT
from batchrunner.inputs.grounding_fields import GROUNDING_FIELDS
from batchrunner.inputs.job_fields import RULE_FIELDS
from batchrunner.inputs.quality_fields import QUALITY_FIELDS
from batchrunner.inputs.record_types import Record
from batchrunner.judge import GENERAL_RULES
from batchrunner.judge.rules import WALLS
from batchrunner.model import (
    FailureCategory,
    FinishedJob,
    JobState,
    Settings,
)
from batchrunner.model.categories import CATEGORIES, Category
from batchrunner.outputs import FORMATS, ExportTable
from batchrunner.sandbox import FAULTS, VARIANTS, sites
from batchrunner.sandbox.faults import (
    ARTIFACT_FAULTS,
    ESCAPES,
    READ_FAULTS,
    REQUEST_FAULTS,
    RUN_FAULTS,
)

ROOT = Path(__file__).resolve().parent.parent
#: Columns of a help text, whatever terminal this runs in.
WIDTH = 90

_PART = re.compile(
    r"(?P<head><!-- generated: (?P<name>[\w-]+) -->\n).*?(?P<end><!-- end -->)", re.DOTALL
)
_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


def pages() -> Mapping[Path, str]:
    """Return every page that has generated parts, as it should be."""
    found = [ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
    texts = {path: path.read_text(encoding="utf-8") for path in found}
    return {path: _PART.sub(_filled, text) for path, text in texts.items() if _PART.search(text)}


def _filled(part: re.Match[str]) -> str:
    return f"{part['head']}\n{PARTS[part['name']]().strip()}\n\n{part['end']}"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table; a `|` in a cell does not end it."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(c.replace('|', '&#124;') for c in line)} |" for line in lines)


def _code(word: object) -> str:
    return f"`{word}`"


def _block(text: str, language: str = "text") -> str:
    return f"```{language}\n{text.rstrip()}\n```"


# ---- commands ----


def help_of(name: str = "") -> str:
    """Return the help text of the program or of one of its commands, as in "runs list"."""
    command: click.Command = cli
    context = click.Context(cli, info_name="batchrunner", terminal_width=WIDTH)
    for part in name.split():
        assert isinstance(command, click.Group)
        found = command.get_command(context, part)
        assert found is not None
        command = found
        context = click.Context(command, info_name=part, parent=context, terminal_width=WIDTH)
    return command.get_help(context)


def commands() -> Iterator[tuple[str, str]]:
    """Give every command and its line of help, with those inside a command after it."""
    context = click.Context(cli)
    for name, line in COMMANDS.items():
        yield name, line
        command = cli.get_command(context, name)
        if isinstance(command, click.Group):
            for inner in command.list_commands(context):
                yield f"{name} {inner}", command.commands[inner].get_short_help_str(limit=200)


def _commands() -> str:
    texts = [_block(help_of())]
    for name, line in commands():
        texts += [f"{'###' if ' ' in name else '##'} {name}", line, _block(help_of(name))]
    return "\n\n".join(texts)


# ---- the job file ----


def _duration(span: timedelta) -> str:
    left, text = int(span.total_seconds()), ""
    for unit, seconds in _UNITS.items():
        if left >= seconds:
            text += f"{left // seconds}{unit}"
            left %= seconds
    return text


def _setting(value: object) -> str:
    if isinstance(value, timedelta):
        return _code(_duration(value))
    return "" if value is MISSING else _code(str(value).lower())


def _fields_table(known: Mapping[str, yaml.Field]) -> str:
    rows = [[_code(name), field.type.expected, field.meaning] for name, field in known.items()]
    return _table(["key", "value", "meaning"], rows)


def _settings() -> str:
    defaults = {field.name: field.default for field in fields(Settings)}
    rows = [
        [_code(name), field.type.expected, _setting(defaults[name]), field.meaning]
        for name, field in yaml.SETTINGS_FIELDS.items()
    ]
    return _table(["key", "value", "default", "meaning"], rows)


def _sections() -> str:
    rows = [[_code(name), meaning] for name, meaning in yaml.SECTIONS.items()]
    return _table(["key", "meaning"], rows)


def _nested() -> str:
    texts = []
    for name, field in yaml.JOB_FIELDS.items():
        if isinstance(field.type, Record) and name in RUN_OPTIONS:
            texts += [f"#### {name}", _fields_table(field.type.fields)]
            texts += ["\n".join(_rules(field.type))] if field.type.rules else []
    return "\n\n".join(texts)


def _expect() -> str:
    parts = [_fields_table(EXPECT.fields), "In `fields`:", _fields_table(BOUNDS_FIELDS)]
    return "\n\n".join(parts)


def _general_rules() -> str:
    rows = [
        [
            _code(rule),
            says,
            RULE_EXAMPLES[rule],
            "suspect; bad if it is all" * (rule in WALLS) or "suspect",
        ]
        for rule, says in GENERAL_RULES.items()
    ]
    return _table(["rule", "what it says", "an example", "verdict"], rows)


#: General rule → a result that it finds.
RULE_EXAMPLES = {
    "bot_wall": '`{"title": "Just a moment...", "price": null}`',
    "login_wall": '`"Please log in to continue."`',
    "error_page": '`{"name": "404 Not Found", "price": null}`',
    "banner": '`{"name": "We use cookies", "price": null}`',
    "not_ready": '`{"price": "Loading..."}`, `"I will now open the page."`',
    "schema_echo": '`{"name": "string", "price": "number"}`',
    "goal_copy": '`"Get the name and the price"`',
    "html": '`"<!DOCTYPE html><html>..."`',
    "broken_json": '`"{\\"name\\": \\"Lam"`',
    "refusal": '`"I was unable to find the price."`',
    "reported": '`{"success": false, "name": "Lamp"}`',
    "placeholder": '`{"name": "N/A", "price": "N/A"}`',
    "empty": '`{"results": []}`, `{"success": true}`',
    "too_large": "more than 2,000,000 characters or about 60,000 values",
}


def _rules(record: Record) -> Iterator[str]:
    for rule in record.rules:
        subject = rule.key if rule.given is None else f"{rule.key}: {rule.given}"
        needed = rule.needs if rule.value is None else f"{rule.needs}: {rule.value}"
        default = " (the default)" if rule.default == rule.value is not None else ""
        yield f"- `{subject}` needs `{needed}`{default}"


#: A job file with one mistake of each common kind.
WRONG = """\
name: prices
settings:
  concurency: 20
defaults:
  browser_profile: stelth
jobs:
  - url: shop.example/lamp
    goal: Get the price: with currency
"""


def _mistakes() -> str:
    """Show two reports: of a file with a syntax error, and of the same file without it."""
    shown = [_report(WRONG), _report(WRONG.replace("price: with", "price, with"))]
    return "\n\n".join(
        [
            _block(WRONG, "yaml wrong"),
            _block(shown[0]),
            "With a comma instead of that colon:",
            _block(shown[1]),
        ]
    )


def _report(text: str) -> str:
    try:
        yaml.parse(text, file="jobs.yaml", name="jobs")
    except yaml.JobFileErrors as errors:
        return yaml.report(errors)
    raise AssertionError("this job file should be wrong")


# ---- failures ----


def _answer(row: Category) -> str:
    if row.fixed_answer is not None:
        silent = ", and is never retried silently" if row.retried_only_if_named else ""
        return row.fixed_answer + silent
    attempts = row.rule.attempts
    if attempts is None:
        return "retried, up to `max_attempts` attempts"
    if row.rule.escalation:
        return f"[escalated](#escalation), up to {attempts} attempts"
    return "fails at once" if attempts == 1 else f"retried, up to {attempts} attempts"


def _failures() -> str:
    rows = [
        [f"[`{category}`](#{category})", _answer(row), row.advice]
        for category, row in CATEGORIES.items()
    ]
    return _table(["category", "what the program does", "what it says to you"], rows)


def _categories() -> str:
    lines = (f"- **{category}**: {row.meaning}." for category, row in sorted(CATEGORIES.items()))
    return "\n".join(lines)


def _evidence() -> str:
    runs = [
        [f"a run with status FAILED and the category `{name}`", _code(category)]
        for name, category in classify.CATEGORY_BY_RUN_CATEGORY.items()
    ]
    codes = [
        [f"an error below 500 with the code `{code}`", _code(category)]
        for code, category in classify.CATEGORY_BY_CODE.items()
    ]
    statuses = [
        [f"an error with HTTP status {status}", _code(category)]
        for status, category in classify.CATEGORY_BY_STATUS.items()
    ]
    return _table(["the API says", "category"], [*runs, *codes, *statuses])


# ---- the sandbox ----


def _sites() -> str:
    rows = []
    for name, (routes, sentence) in sites._SITES.items():
        paths = [re.sub(r":\w+}", "}", route.path) for route in routes]
        rows.append([_code(f"http://{name}.test"), sentence, ", ".join(map(_code, paths))])
    return _table(["site", "what it is", "its paths"], rows)


def _faults() -> str:
    says = {
        name: fault.says
        for table in (RUN_FAULTS, REQUEST_FAULTS, READ_FAULTS, ARTIFACT_FAULTS)
        for name, fault in table.items()
    }
    rows = [[_code(name), str(kind), says[name]] for name, kind in FAULTS.items()]
    return _table(["fault", "of a", "what happens"], rows)


def _variants() -> str:
    rows = []
    for name, variant in VARIANTS.items():
        answers = (f"{_code(answer)}: {says}" for answer, says in variant.answers.items())
        rows.append([_code(name), variant.asks, "; ".join(answers)])
    return _table(["variant", "what is open", "answers, the default first"], rows)


def _escapes() -> str:
    rows = [[_code(f"-unless-{name}"), escape.says] for name, escape in ESCAPES.items()]
    return _table(["after a fault", "what it excludes"], rows)


# ---- exports ----

_AT = datetime(2026, 9, 2, 21, 4, 5, tzinfo=UTC)
_SAMPLE = (
    FinishedJob(
        position=1,
        key="lamp",
        url="https://shop.example/lamp",
        goal="Get the price",
        state=JobState.SUCCEEDED,
        attempts=2,
        run_id="r-1",
        steps=9,
        cost="0.144",
        started_at=_AT,
        finished_at=_AT + timedelta(seconds=41),
        result='{"offer": {"price": 12.50, "note": "-5% today"}, "colours": ["red", "blue"]}',
    ),
    FinishedJob(
        position=2,
        key="vase",
        url="https://shop.example/vase",
        goal="Get the price",
        state=JobState.FAILED,
        category=FailureCategory.BLOCKED,
        message="Access denied",
        attempts=2,
        run_id="r-2",
        steps=4,
        cost="0.064",
        started_at=_AT,
        finished_at=_AT + timedelta(seconds=12),
        result='{"status": "failure", "reason": "Access denied"}',
    ),
)


def _export(format: str) -> str:
    file = io.BytesIO()
    FORMATS[format].write(ExportTable(jobs=lambda: _SAMPLE), file)
    return _block(file.getvalue().decode(), format.replace("jsonl", "json"))


def _formats() -> str:
    rows = (
        [_code(format.name), " ".join(map(_code, format.suffixes)), format.help]
        for format in FORMATS.values()
    )
    return _table(["`--format`", "chosen by file names that end in", "what it is"], rows)


# ---- the layout ----


def _layout() -> str:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    names = [name for layer in layers for name in layer.split(" | ")]
    return _table(["module", "what it is"], [[_code(name), sentence(name)] for name in names])


def sentence(module: str) -> str:
    """Return the first sentence of a module's docstring."""
    found = import_module(f"batchrunner.{module}").__doc__ or ""
    return found.strip().partition("\n")[0]


#: Name of a part → what is in it.
PARTS: Mapping[str, Callable[[], str]] = {
    "commands": _commands,
    "sections": _sections,
    "settings": _settings,
    "quality": lambda: _fields_table(QUALITY_FIELDS),
    "grounding": lambda: _fields_table(GROUNDING_FIELDS),
    "diff": lambda: _fields_table(DIFF_FIELDS),
    "job": lambda: _fields_table(yaml.JOB_FIELDS),
    "nested": _nested,
    "expect": _expect,
    "general-rules": _general_rules,
    "policy": lambda: _fields_table(RULE_FIELDS),
    "mistakes": _mistakes,
    "failures": _failures,
    "categories": _categories,
    "evidence": _evidence,
    "sites": _sites,
    "faults": _faults,
    "escapes": _escapes,
    "variants": _variants,
    "formats": _formats,
    "csv": lambda: _export("csv"),
    "jsonl": lambda: _export("jsonl"),
    "layout": _layout,
}


if __name__ == "__main__":
    for page, text in pages().items():
        page.write_text(text, encoding="utf-8")
