"""The documentation says what the program does: nothing else, and nothing that is no more."""

from __future__ import annotations

import contextlib
import io
import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, NamedTuple

import anyio
import click
import httpx
import pytest

from batchrunner import classify
from batchrunner.cli import cli, exit_codes
from batchrunner.inputs import yaml
from batchrunner.inputs.tables import Table, TableOptions, open_table
from batchrunner.model import FailureCategory
from batchrunner.outputs.columns import ADVICE, FIELDS, RESULT
from batchrunner.policy import create_outcome, retry, run_decision
from batchrunner.sandbox import FAULTS
from batchrunner.sandbox.http.in_process import InProcess
from batchrunner.sandbox.journal import _EVENTS
from batchrunner.sandbox.sites import sites_app
from batchrunner.store import store_time
from batchrunner.tinyfish import client, http

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
ADRS = sorted((DOCS / "adr").glob("*.md"))
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.glob("*.md")), *ADRS]

generate = SimpleNamespace(**runpy.run_path(str(DOCS / "generate.py")))


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


# ---- taking pages apart ----

_BLOCK = re.compile(r"^```(?P<language>[\w-]+(?: wrong)?)\n(?P<text>.*?)^```$", re.M | re.DOTALL)
_INLINE = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.M)
#: A command line where there are others than commands: in a help text.
_EXAMPLE = re.compile(r"^ +(?:\w+=\S+ )?batchrunner ")


class Block(NamedTuple):
    """A fenced block of a page."""

    page: str
    language: str
    text: str


def blocks(*languages: str) -> list[Block]:
    found = [
        Block(named(page), block["language"], block["text"])
        for page in PAGES
        for block in _BLOCK.finditer(text_of(page))
    ]
    return [block for block in found if block.language in languages]


def prose_of(page: Path) -> str:
    return _BLOCK.sub("", text_of(page))


def slugs_of(page: Path) -> set[str]:
    """Return what the headings of a page are linked by."""
    headings = _HEADING.findall(prose_of(page))
    return {re.sub(r"[^\w -]", "", each.lower()).strip().replace(" ", "-") for each in headings}


def lines_with_commands() -> Iterator[tuple[str, str]]:
    for block in blocks("console", "bash", "sh", "text"):
        for line in block.text.splitlines():
            if block.language != "text" or _EXAMPLE.match(line):
                yield block.page, line.strip().removeprefix("$ ")
    for page in PAGES:
        for code in _INLINE.findall(prose_of(page)):
            if "batchrunner" in code.split()[0]:
                yield named(page), " ".join(code.split())


def commands() -> list[tuple[str, str]]:
    """Return every call of the program that a page shows: its name, and the arguments as text."""
    return sorted({(page, call) for page, line in lines_with_commands() for call in calls(line)})


def calls(line: str) -> Iterator[str]:
    tokens = shlex.shlex(line, posix=True, punctuation_chars=True)
    tokens.whitespace_split = True
    call: list[str] = []
    for token in [*tokens, ";"]:
        if set(token) <= set("&|;<>()"):
            while call and re.fullmatch(r"\w+=.*", call[0]):
                call.pop(0)
            if call and call[0].rpartition("/")[2] == "batchrunner":
                yield shlex.join(call[1:])
            call = []
        else:
            call.append(token)


# ---- what the code can tell ----


@pytest.mark.parametrize("page", generate.pages(), ids=named)
def test_generated_parts_are_up_to_date(page: Path) -> None:
    assert text_of(page) == generate.pages()[page], "run: python docs/generate.py"


@pytest.mark.parametrize("name", [name for name, _ in generate.commands()])
def test_every_command_has_help_with_an_example_and_a_place_in_the_docs(name: str) -> None:
    help_text = generate.help_of(name)
    assert "Example" in help_text
    assert f"batchrunner {name}" in help_text
    assert f"## {name}\n" in text_of(DOCS / "commands.md")


def test_help_is_the_same_on_every_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert generate.help_of("run") in text_of(DOCS / "commands.md")


def test_exit_codes_are_those_of_the_program() -> None:
    codes = re.findall(r"^\| (\d+) \|", text_of(DOCS / "commands.md"), re.M)
    known = [value for value in vars(exit_codes).values() if isinstance(value, int)]
    assert sorted(map(int, codes)) == sorted(known)


def test_every_failure_category_has_its_section() -> None:
    sections = re.findall(r"^### (\w+)$", text_of(DOCS / "failures.md"), re.M)
    assert sections == [str(category) for category in FailureCategory]


def test_the_categories_and_faults_that_are_named_exist() -> None:
    known = {*map(str, FailureCategory), *FAULTS}
    for page in PAGES:
        for word in re.findall(r"\b[a-z]+_failure\b", text_of(page)):
            assert word in known, f"{named(page)}: {word}"
        for word in re.findall(r"--category ([a-z_]+)", text_of(page)):
            assert word in known, f"{named(page)}: {word}"


def test_the_columns_are_those_of_the_export() -> None:
    table = text_of(DOCS / "exports.md").split("## Columns")[1].split("## ")[0]
    assert re.findall(r"^\| `(\w+)`", table, re.M) == [*FIELDS, RESULT, *ADVICE]


def test_the_events_are_those_of_the_sandboxs_journal() -> None:
    table = text_of(DOCS / "sandbox.md").split("## Its journal")[1]
    assert set(re.findall(r"^\| `(\w+)`", table, re.M)) == set(_EVENTS)


def test_the_layers_are_the_modules() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", text_of(ROOT / "CONTRIBUTING.md"), re.M)
    found = {path.stem for path in (ROOT / "batchrunner").iterdir() if path.name[0] not in "._"}
    modules = {*found, "__main__"} - {"py", "migrations"}
    assert set(listed) >= modules


LOST_MINUTES = run_decision.LOST_AFTER.total_seconds() / 60

NUMBERS = [
    ("ledger.md", f"within {client.CREATE_SECONDS:g} s"),
    ("ledger.md", f"over {http.MAX_ANSWER_BYTES // 1024**2} MB"),
    ("ledger.md", f"lease of\n{store_time.LEASE.total_seconds():g} s"),
    ("ledger.md", f"renews every {store_time.LEASE.total_seconds() / 3:g} s"),
    ("ledger.md", f"at\n   least {create_outcome.RECONCILE_GRACE.total_seconds():g} s"),
    (
        "ledger.md",
        f"does not know a run for {LOST_MINUTES:g} minutes",
    ),
    ("ledger.md", f"alive for {run_decision.GIVEN_UP_AFTER.total_seconds() / 60:g} minutes"),
    (
        "ledger.md",
        f"for {create_outcome.UNANSWERED_PATIENCE.total_seconds() / 60:g} minutes, at intervals",
    ),
    ("ledger.md", f"and {create_outcome.MAX_SEARCH_WAIT.total_seconds():g} s"),
    (
        "failures.md",
        f"did not know it for {LOST_MINUTES:g} minutes",
    ),
    ("failures.md", f"polls over {run_decision.GIVEN_UP_AFTER.total_seconds() / 60:g} minutes"),
    ("failures.md", f"the code is `{classify.UNREADABLE}`"),
    ("jobfile.md", f"up to {retry.MAX_BACKOFF.total_seconds() / 60:g} minutes"),
]


@pytest.mark.parametrize(("page", "words"), NUMBERS)
def test_numbers_are_those_of_the_code(page: str, words: str) -> None:
    assert words in text_of(DOCS / page)


def test_the_searches_are_as_many_as_the_docs_say() -> None:
    assert create_outcome.SEARCHES_BEFORE_ABSENT == 7
    for page in (DOCS / "ledger.md", DOCS / "adr/0004-an-unanswered-create-is-never-resent.md"):
        assert "seven searches" in text_of(page)


# ---- what the reader can try ----


@pytest.mark.parametrize(("page", "call"), commands())
def test_every_command_line_is_understood(
    page: str, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Which files are there does not matter.
    for kind in (click.Path, *click.Path.__subclasses__()):
        monkeypatch.setattr(kind, "convert", lambda self, value, param, ctx: value)
    args = shlex.split(call)
    context = click.Context(cli, info_name="batchrunner")
    if not args or args[0] == "--help":
        return
    name, command, rest = cli.resolve_command(context, args)
    assert command is not None
    if not rest:
        return  # in a sentence: the command itself is meant
    with contextlib.suppress(click.exceptions.Exit):  # --help
        while isinstance(command, click.Group):
            context = command.make_context(name, list(rest), parent=context)
            name, inner, rest = command.resolve_command(context, rest)
            assert inner is not None
            if not rest:
                return
            command = inner
        command.make_context(name, rest, parent=context)


def test_command_lines_are_found() -> None:
    assert len(commands()) > 20


class ExampleTables:
    """The tables that job files of the pages name."""

    refuse = None
    texts: ClassVar = {
        "pairs.csv": b"link,product\nhttps://a.example/1,Lamp\n",
        "shops.csv": b"url\nhttps://a.example/\n",
    }

    def open(self, path: str, options: TableOptions) -> Table:
        return open_table(io.BytesIO(self.texts[path]), file=path, options=options)


@pytest.mark.parametrize("block", blocks("yaml"), ids=lambda block: block.page)
def test_every_job_file_can_be_read(block: Block) -> None:
    schema = b'{"type": "object"}'
    read = yaml.parse(
        block.text,
        file=block.page,
        name="jobs",
        files=ExampleTables(),
        read_beside=lambda name: (name, schema),
    )
    assert read.specs


@pytest.mark.parametrize("block", blocks("yaml wrong"), ids=lambda block: block.page)
def test_every_wrong_job_file_is_wrong(block: Block) -> None:
    with pytest.raises(yaml.JobFileErrors):
        yaml.parse(block.text, file=block.page, name="jobs")


def test_every_option_exists() -> None:
    context = click.Context(cli)
    # Those of .ci/lock.py, tests.simulator and tests/conftest.py.
    options = {"--help", "--version", "--check", "--runs", "--share"}
    for name, _ in generate.commands():
        command: click.Command | None = cli
        for part in name.split():
            assert isinstance(command, click.Group)
            command = command.get_command(context, part)
        assert command is not None
        for param in command.params:
            options.update((*param.opts, *param.secondary_opts))
    for page in PAGES:
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", text_of(page)):
            assert option in options, f"{named(page)}: {option}"


def test_every_environment_variable_is_read_somewhere() -> None:
    sources = [*(ROOT / "batchrunner").rglob("*.py"), *(ROOT / "tests/contract").glob("*.py")]
    sources += [ROOT / "tests/sweeps.py"]
    code = "\n".join(map(text_of, sources))
    for page in PAGES:
        for name in re.findall(r"\b(?:TINYFISH|BATCHRUNNER)_[A-Z_]+\b", text_of(page)):
            assert name in code, f"{named(page)}: {name}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_within_the_project_leads_somewhere(page: Path) -> None:
    for target in _LINK.findall(prose_of(page)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        assert not anchor or anchor in slugs_of(there), target


def test_every_test_that_is_named_exists() -> None:
    for page in PAGES:
        for path, name in re.findall(r"(tests/[\w/]+\.py)(?:::(\w+))?", text_of(page)):
            assert (ROOT / path).exists(), f"{named(page)}: {path}"
            known = not name or f"def {name}" in text_of(ROOT / path)
            assert known, f"{named(page)}: {path}::{name}"


#: Pages of the sandbox's sites that are to fail.
BROKEN = {"http://shop.test/nope", "http://guard.test/blocked"}


def sandbox_urls() -> set[str]:
    found = re.findall(r"https?://\w+\.test(?:/[\w/?=.-]*)?", "\n".join(map(text_of, PAGES)))
    return {url.rstrip(".") for url in found} - BROKEN


def test_every_page_of_the_sandbox_is_there() -> None:
    async def visit() -> dict[str, int]:
        transport = InProcess(sites_app())
        async with httpx.AsyncClient(transport=transport, follow_redirects=True) as client:
            return {url: (await client.get(url)).status_code for url in sandbox_urls()}

    statuses = anyio.run(visit)
    assert {url for url, status in statuses.items() if status != 200} == set()
    fates = {url.split("/")[3] for url in statuses if url.startswith("http://faults.test/")}
    assert fates <= set(FAULTS)


def test_the_python_on_the_exports_page_prints_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for suffix, text in (("csv", generate._export("csv")), ("jsonl", generate._export("jsonl"))):
        lines = text.splitlines(keepends=True)[1:-1]
        (tmp_path / f"prices.{suffix}").write_text("".join(lines), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for block in (each for each in blocks("python") if each.page == "docs/exports.md"):
        code = compile(block.text, block.page, "exec")
        if "pandas" in block.text and "pandas" not in sys.modules:
            continue  # no dependency of ours
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            names: dict[str, Any] = {}
            exec(code, names)
        expected = re.findall(r"print\(.*\)  # (.*)", block.text)
        assert printed.getvalue().splitlines() == expected


# ---- decisions ----


@pytest.mark.parametrize(("number", "page"), list(enumerate(ADRS, 1)), ids=str)
def test_every_decision_has_its_number_and_its_parts(number: int, page: Path) -> None:
    text = text_of(page)
    assert page.name.startswith(f"{number:04}-")
    assert text.startswith(f"# {number}. ")
    parts = ["Status", "Context", "Decision", "Consequences"]
    assert re.findall(r"^## (.+)$", text, re.M) == parts
    assert text.count("\n") <= 60, "a decision fits on a page"
