"""Every place that has to know all failure categories knows them; the message names the place."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from batchrunner.model.categories import (
    CATEGORIES,
    CONFIGURABLE,
    NOT_COUNTED,
    FailureCategory,
    FixedBy,
    RequestEffect,
)
from batchrunner.model.states import JobState
from batchrunner.store.schema import metadata
from batchrunner.store.store import Store

DOCS = Path(__file__).parents[2] / "docs"
#: A category that every list of categories has.
KNOWN = f"'{FailureCategory.SYSTEM_FAILURE}'"


def missing_in(text: str, pattern: str) -> list[str]:
    """Return the categories that a text does not have; *pattern* has a place for the name."""
    return [
        str(each) for each in FailureCategory if not re.search(pattern.format(each), text, re.M)
    ]


def lists_in_schema() -> Iterator[tuple[str, str]]:
    for table in metadata.tables.values():
        for constraint in table.constraints:
            condition = str(getattr(constraint, "sqltext", ""))
            if KNOWN in condition:
                yield f"{table.name}: {constraint.name}", condition


def lists_in_migrated_database(path: Path) -> Iterator[tuple[str, str]]:
    Store.open(str(path)).close()
    with closing(sqlite3.connect(path)) as database:
        tables = database.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        for name, sql in tables:
            for condition in re.findall(r"CHECK \((.*)\)", sql):
                if KNOWN in condition:
                    yield f"{name}: {condition[:40]}…", condition


def test_every_category_has_a_row_in_the_table() -> None:
    assert set(CATEGORIES) == set(FailureCategory)


def test_every_list_of_categories_in_the_schema_is_complete() -> None:
    found = dict(lists_in_schema())
    assert len(found) >= 2
    for place, condition in found.items():
        assert missing_in(condition, "'{}'") == [], f"store/schema.py, {place}"


def test_the_migrations_allow_every_category(tmp_path: Path) -> None:
    found = dict(lists_in_migrated_database(tmp_path / "new.db"))
    assert len(found) >= 2
    for place, condition in found.items():
        assert missing_in(condition, "'{}'") == [], f"no migration adds it to the CHECK of {place}"


def test_every_category_has_a_section_in_the_documentation() -> None:
    page = (DOCS / "failures.md").read_text(encoding="utf-8")
    assert missing_in(page, "^### {}$") == [], "docs/failures.md has no section for it"
    table = "docs/failures.md: its table is out of date, run docs/generate.py"
    assert missing_in(page, r"^\| \[`{}`\]") == [], table


def test_every_category_is_in_the_glossary() -> None:
    page = DOCS / "glossary.md"
    if page.exists():
        text = page.read_text(encoding="utf-8")
        assert missing_in(text, r"\*\*{}\*\*") == [], "docs/glossary.md: run docs/generate.py"


# ---- the rows agree with themselves ----


@pytest.mark.parametrize("category", FailureCategory)
def test_what_does_not_count_has_a_fixed_answer(category: FailureCategory) -> None:
    row = CATEGORIES[category]
    if category in NOT_COUNTED:
        assert category not in CONFIGURABLE
        assert row.request_effect is not RequestEffect.NONE, "nothing would slow its retries down"
    else:
        assert row.request_effect is RequestEffect.NONE
    assert row.ends_in in (JobState.FAILED, JobState.CANCELLED)


def test_only_the_user_decides_on_what_is_retried_by_name() -> None:
    for row in CATEGORIES.values():
        if row.retried_only_if_named:
            assert row.fixed_by is FixedBy.USER
            assert not row.retry_suggested
