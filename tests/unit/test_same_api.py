"""Commands in messages ask the API that the user's own command named."""

from __future__ import annotations

import pytest

from batchrunner.cli.same_api import on_same_api


@pytest.mark.parametrize(
    ("text", "args", "shown"),
    [
        (
            "without one: batchrunner recover jobs.yaml --db a.db",
            ["run", "jobs.yaml", "--sandbox"],
            "without one: batchrunner recover --sandbox jobs.yaml --db a.db",
        ),
        (
            "`batchrunner runs cancel 1` or batchrunner audit x",
            ["run", "--api-url", "http://127.0.0.1:1"],
            "`batchrunner runs cancel --api-url http://127.0.0.1:1 1` or "
            "batchrunner audit --api-url http://127.0.0.1:1 x",
        ),
        ("batchrunner audit x", ["--api-url=http://h"], "batchrunner audit --api-url http://h x"),
        ("batchrunner audit x", ["run", "jobs.yaml"], "batchrunner audit x"),
        ("batchrunner status x", ["run", "--sandbox"], "batchrunner status x"),
        ("batchrunner diff OTHER x", ["diff", "--sandbox"], "batchrunner diff --sandbox OTHER x"),
        ("batchrunner quality x", ["--db", "a b.db"], "batchrunner quality --db 'a b.db' x"),
        ("batchrunner diff x --db a.db", ["--db", "b.db"], "batchrunner diff x --db a.db"),
        ("batchrunner run x --sandbox", ["run", "--sandbox"], "batchrunner run x --sandbox"),
    ],
)
def test_a_command_in_a_message_works_where_pasted(text: str, args: list[str], shown: str) -> None:
    assert on_same_api(text, args) == shown


def test_a_password_in_the_address_of_the_api_is_not_repeated() -> None:
    shown = on_same_api("batchrunner audit x", ["run", "--api-url", "http://me:secret@h/"])
    assert "secret" not in shown
