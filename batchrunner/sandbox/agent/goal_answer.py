"""Answers a goal: chooses the parts of a page that its words ask for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from batchrunner.sandbox.agent.page import Page
from batchrunner.sandbox.agent.tables import Table
from batchrunner.sandbox.agent.word_stems import snake, stems_of

_EXCERPT = 500
#: A client's own marker in a goal, such as `[ref 7f3a-4]`; it says nothing about the page.
_REFERENCE = re.compile(r"\[ref\b[^\]]*\]", re.I)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The answer of a page to a goal, and the steps that found it."""

    result: dict[str, Any]
    actions: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Topic:
    noun: str
    asked: re.Pattern[str]
    keys: tuple[str, ...]


def _topic(noun: str, asked: str, *keys: str) -> _Topic:
    return _Topic(noun=noun, asked=re.compile(rf"\b(?:{asked})\b", re.I), keys=keys)


_TOPICS = (
    _topic("a title", "titles?|headlines?", "title"),
    _topic("a name", "names?|called", "name"),
    _topic(
        "a price",
        "prices?|pricing|costs?|amounts?|how much",
        *("price", "currency", "price_note", "period"),
    ),
    _topic(
        "the availability",
        r"availab\w*|in[- ]stock|out of stock|stock|sold out",
        *("availability", "in_stock"),
    ),
    _topic("a rating", "ratings?|stars|scores?", "rating"),
    _topic("reviews", "reviews?", "reviews"),
    _topic("features", "features?|highlights?", "features"),
    _topic("an author", "authors?|written by|wrote|byline", "author"),
    _topic("a date", "dates?|published|when", "date"),
    _topic("a description", r"descri\w+|summar\w+|about", "description"),
    _topic("headings", "headings?|sections?", "headings"),
    _topic("links", "links?|urls?", "links", "url"),
)
_SEVERAL = re.compile(
    r"\b(?:plans|tiers|products|items|articles|stories|posts|news|each|every|all|list)\b", re.I
)
_WHOLE_TABLE = re.compile(r"\b(?:tables?|rows?|columns?|everything|all|data)\b", re.I)


def answer_goal(page: Page, goal: str) -> Answer:
    """Return the parts of the page that the goal names, or a failure that says what is missing.

    A goal whose words name nothing gets an overview of the page.
    """
    goal = _REFERENCE.sub("", goal)
    topics = [topic for topic in _TOPICS if topic.asked.search(goal)]
    tables = _tables_asked(page, goal)
    if tables:
        return _from_tables(tables, goal)
    if _asks_for_cards(page, goal, topics):
        return _from_cards(page, topics)
    details = _details_asked(page, goal)
    if topics or details:
        return _from_facts(page, topics, details)
    overview = {
        "title": page.title,
        "description": page.description,
        "headings": list(page.headings),
        "text": page.text[:_EXCERPT],
    }
    return Answer(result=overview, actions=("Read the page",))


def _tables_asked(page: Page, goal: str) -> list[Table]:
    asked = set(stems_of(goal))
    named = [
        table
        for table in page.tables
        if asked & set(stems_of(" ".join((table.caption, *table.headers))))
    ]
    return named or (list(page.tables) if _WHOLE_TABLE.search(goal) else [])


def _from_tables(tables: list[Table], goal: str) -> Answer:
    parts, actions = [], []
    for table in tables:
        rows = _rows(table, goal)
        parts.append({"caption": table.caption, "rows": rows})
        called = f" “{table.caption}”" if table.caption else ""
        actions.append(f"Read {len(rows)} of {len(table.rows)} rows of the table{called}")
    result = parts[0] if len(parts) == 1 else {"tables": parts}
    return Answer(result=result, actions=tuple(actions))


def _rows(table: Table, goal: str) -> list[dict[str, Any]]:
    """Return the columns and rows that the goal names, or all if it names none."""
    if not table.rows or _WHOLE_TABLE.search(goal):
        return list(table.rows)
    first, *others = table.headers
    asked = set(stems_of(goal))
    named = {header for header in others if asked & set(stems_of(header))}
    kept = {first, *named} if named else set(table.headers)
    chosen = [row for row in table.rows if _mentions(goal, str(row.get(first, "")))]
    return [
        {header: value for header, value in row.items() if header in kept}
        for row in chosen or table.rows
    ]


def _mentions(goal: str, name: str) -> bool:
    return bool(name) and re.search(rf"\b{re.escape(name)}\b", goal, re.I) is not None


def _asks_for_cards(page: Page, goal: str, topics: list[_Topic]) -> bool:
    if not page.cards.records:
        return False
    held = {key for record in page.cards.records for key in record} | {"title"}
    asked = {key for topic in topics for key in topic.keys}
    if _SEVERAL.search(goal):
        return not asked or bool(asked & held)
    return bool(asked & held - set(page.facts))


def _from_cards(page: Page, topics: list[_Topic]) -> Answer:
    asked = {key for topic in topics for key in topic.keys}
    records = []
    for card in page.cards.records:
        record = {key: value for key, value in card.items() if key != "price_text"}
        if "title" in asked:
            record = {"title": record.pop("name"), **record}
        kept = asked | ({"name"} if "title" not in asked else set())
        records.append({key: record[key] for key in record if not asked or key in kept})
    kind = page.cards.kind
    return Answer(result={kind: records}, actions=(f"Read {len(records)} {kind}",))


def _details_asked(page: Page, goal: str) -> dict[str, str]:
    asked = set(stems_of(goal))
    return {
        snake(label): text for label, text in page.details.items() if asked & set(stems_of(label))
    }


def _from_facts(page: Page, topics: Iterable[_Topic], details: dict[str, str]) -> Answer:
    known = {**page.facts, "headings": list(page.headings), "links": list(page.links)}
    result: dict[str, Any] = {}
    actions, missing = [], []
    for topic in topics:
        found = {key: known[key] for key in topic.keys if known.get(key) not in (None, [])}
        if found:
            actions.append(f"Read the {topic.noun.rpartition(' ')[2]}")
        else:
            missing.append(topic.noun)
            found = {topic.keys[0]: None}
        result |= found
    result |= details
    actions += [f"Read the {label.replace('_', ' ')}" for label in details]
    if missing and _says_nothing(result):
        return _failure(missing)
    return Answer(result=result, actions=tuple(actions))


def _says_nothing(result: dict[str, Any]) -> bool:
    """Return whether only things were found that every page has."""
    return all(value is None for key, value in result.items() if key not in ("title", "name"))


def _failure(missing: list[str]) -> Answer:
    nouns = " or ".join(missing)
    return Answer(
        result={"status": "failure", "reason": f"Could not find {nouns} on the page"},
        actions=(f"Look for {nouns}",),
    )
