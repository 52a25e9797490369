"""The glossary defines the words of the commands, and retired words are gone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from batchrunner.cli import cli
from batchrunner.model import FailureCategory

ROOT = Path(__file__).parents[2]
GLOSSARY = ROOT / "docs" / "glossary.md"
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(ROOT.glob("jobs.*.yaml")),
]

#: Words in commands, options and their values that mean what they mean in plain English.
_PLAIN_WORDS = """
after against all amount answer apart apply at auto batchrunner because before by character code
column columns created cursor db delimiter deposit dir doctor durations encoding estimate every
exit explain explode fail fetch field file follow format fresh from glob good guard help html id
ignore init into invalid join json jsonl keep kind last late leave ledger limit list listen name
new nights no only or output overwrite path port quiet reason rerun schema screenshots script
seconds selftest set share sheet show skip sort start table text time to under undo until unwrap
url verbose version watch where which withdraw write yes zone
"""
PLAIN = frozenset(_PLAIN_WORDS.split())


def sections() -> dict[str, list[tuple[str, str]]]:
    """Return the words and definitions below each heading of the glossary."""
    parts = re.split(r"^## (.+)\n", GLOSSARY.read_text(encoding="utf-8"), flags=re.M)[1:]
    entries = [re.findall(r"^- \*\*(.+?)\*\*: (.+)$", part, re.M) for part in parts[1::2]]
    return dict(zip(parts[::2], entries, strict=True))


def retired() -> list[str]:
    table = GLOSSARY.read_text(encoding="utf-8").split("## Retired words")[1]
    return re.findall(r"^\| (?!was called|---)([a-z ]+) \|", table, re.M)


def contexts(
    command: click.Command = cli, name: str = "batchrunner", parent: click.Context | None = None
) -> Iterator[click.Context]:
    """Yield the context of a command and of every command inside it."""
    context = click.Context(command, info_name=name, parent=parent)
    yield context
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            assert found is not None
            yield from contexts(found, inner, context)


def help_texts() -> dict[str, str]:
    return {each.command_path: each.command.get_help(each) for each in contexts()}


def words_of_commands() -> set[str]:
    """Return the words in the names of commands, of options and of their values."""
    names = [str(context.info_name) for context in contexts()]
    for param in (param for context in contexts() for param in context.command.params):
        names += [param.metavar or "", *(option for option in param.opts if option[:2] == "--")]
    return {word for name in names for word in re.findall(r"[a-z]{2,}", name.lower())}


def prose_of(page: Path) -> str:
    """Return the hand-written words of a page, without code, links and names of tests."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".yaml":
        return "\n".join(re.findall(r"(?:^| )# (.*)$", text, re.M))
    if page == GLOSSARY:
        text = text.split("## Retired words")[0]
    for code in (
        r"<!-- generated: .*?<!-- end -->",
        r"^```.*?^```$",
        r"`[^`]+`",
        r"\]\([^)]+\)",
        r"tests/[\w/]+\.py(::\w+)?",
    ):
        text = re.sub(code, "", text, flags=re.M | re.DOTALL)
    return text


def found_in(text: str) -> set[str]:
    """Return the retired words in a text; names of options do not count."""
    words = "|".join(retired())
    return {each.lower() for each in re.findall(rf"(?i)(?<!-)\b(?:{words})(?:s|ed|ing)?\b", text)}


# ---- the glossary ----


@pytest.mark.parametrize("section", ["For users", "For readers of the code", "Failure categories"])
def test_every_word_stands_once_in_alphabetical_order_with_one_sentence(section: str) -> None:
    entries = sections()[section]
    words = [word for word, _ in entries]
    assert words == sorted(set(words), key=str.lower)
    for word, sentence in entries:
        assert re.fullmatch(r"[^.]+\.", re.sub(r"`[^`]*`|\([^)]*\)", "", sentence)), word


def test_every_failure_category_is_defined() -> None:
    assert [word for word, _ in sections()["Failure categories"]] == sorted(
        map(str, FailureCategory)
    )


def test_every_word_for_users_is_used() -> None:
    pages = [page.read_text(encoding="utf-8") for page in PAGES if page != GLOSSARY]
    text = re.sub(r"\s+", " ", " ".join([*help_texts().values(), *pages])).lower()
    assert [word for word, _ in sections()["For users"] if word.lower() not in text] == []


def test_every_word_of_the_commands_is_defined_or_plain() -> None:
    found = words_of_commands()
    defined = {
        word.lower()
        for section in ("For users", "Failure categories")
        for word, _ in sections()[section]
    }
    unknown = {word for word in found - PLAIN if not {word, word.removesuffix("s")} & defined}
    assert unknown == set(), "define it in docs/glossary.md"
    assert found >= PLAIN, "no command has this word any more"


# ---- retired words ----


def test_retired_words_are_found_in_every_form() -> None:
    assert found_in("It looked at a ladder, rung by rung") == {"looked", "ladder", "rung"}
    assert found_in("selftest --look 20") == set()


def test_no_help_text_uses_a_retired_word() -> None:
    assert {name: found_in(text) for name, text in help_texts().items() if found_in(text)} == {}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_uses_a_retired_word(page: Path) -> None:
    allowed = {"ledger"} if page.name == "ledger.md" else set()
    assert found_in(prose_of(page)) - allowed == set()
