"""Vault, profiles and wallet: listed without secrets; what the account has not got is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.programs import CANARY, batchrunner, served


@contextmanager
def account(folder: Path, **world: Any) -> Iterator[dict[str, str]]:
    """Serve an account of some kind while the block runs; give what a command needs to use it."""
    with served(folder, **world) as remote:
        yield remote.env


def test_what_the_account_has_is_listed_without_secrets(tmp_path: Path) -> None:
    with account(tmp_path) as env:
        vault = batchrunner("vault", "--json", cwd=tmp_path, env=env).json()
        shown = batchrunner("vault", cwd=tmp_path, env=env)
        profiles = batchrunner("profiles", "--json", cwd=tmp_path, env=env).json()
        named = batchrunner("profiles", cwd=tmp_path, env=env)
    assert vault["items"]
    for item in vault["items"]:
        assert item["itemId"] in shown.out
        for field in item["fieldMetadata"]:
            assert set(field) <= {"fieldId", "label", "type"}
    assert profiles
    for profile in profiles:
        assert profile["id"] in named.out
        assert "fingerprint_seed" not in profile


def test_a_wallet_is_shown_and_its_lack_is_reported(tmp_path: Path) -> None:
    with account(tmp_path) as env:
        lacking = batchrunner("wallet", cwd=tmp_path, env=env)
    assert (lacking.code, lacking.out) == (2, "")
    assert "has not got a wallet" in lacking.err
    with account(tmp_path, credits=Decimal("12.50")) as env:
        shown = batchrunner("wallet", cwd=tmp_path, env=env)
        raw = batchrunner("wallet", "--json", cwd=tmp_path, env=env).json()
    assert "the account has 12.50 USD" in shown.out
    assert "a step" in shown.out
    assert raw["available_balance"] == "12.50"


@pytest.mark.parametrize(
    ("variant", "command", "code", "words"),
    [
        (("vault", "none"), "vault", 0, "no password manager is connected"),
        (("vault", "down"), "vault", 3, "did not give the vault"),
        (("profiles", "none"), "profiles", 0, "has no browser profiles"),
        (("wallet", "short"), "wallet", 0, "the account has"),
    ],
)
def test_an_account_that_lacks_something_is_no_mistake(
    variant: tuple[str, str], command: str, code: int, words: str, tmp_path: Path
) -> None:
    with account(tmp_path, variants=dict([variant]), credits=Decimal(5)) as env:
        shown = batchrunner(command, cwd=tmp_path, env=env)
    assert shown.code == code
    assert words in shown.said


def test_an_api_that_cannot_be_reached_is_reported(tmp_path: Path) -> None:
    nowhere = {"TINYFISH_API_KEY": CANARY, "TINYFISH_BASE_URL": "http://127.0.0.1:9"}
    for command in ("vault", "profiles", "wallet"):
        ended = batchrunner(command, cwd=tmp_path, env=nowhere)
        assert (ended.code, ended.out) == (3, "")
        assert "tip:" in ended.err
        assert CANARY not in ended.said
