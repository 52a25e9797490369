"""A database that is away for a moment is waited for when a command starts."""

from __future__ import annotations

import pytest

from batchrunner.app import open_database
from batchrunner.cli.options import note
from batchrunner.store.database import StoreError


class Away:
    """A call that fails so many times before it works."""

    def __init__(self, times: int, *, passing: bool = True) -> None:
        self.times = times
        self.calls = 0
        self.passing = passing

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.times:
            raise StoreError("the server is away", next="wait", passing=self.passing)
        return "here"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_database, "OPEN_RETRY_SECONDS", 0.001)


def test_a_server_that_comes_back_is_waited_for_and_that_is_said_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert open_database.retry_while_away(Away(3), note) == "here"
    assert capsys.readouterr().err == "waiting for the database: the server is away\n"


def test_what_does_not_pass_is_an_error_at_once() -> None:
    away = Away(1, passing=False)
    with pytest.raises(StoreError, match="away"):
        open_database.retry_while_away(away, note)
    assert away.calls == 1


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_database, "OPEN_PATIENCE_SECONDS", 0.01)
    with pytest.raises(StoreError, match="away"):
        open_database.retry_while_away(Away(10**6), note)
