"""The API's advice on the screen: whole, and without power over the terminal."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from batchrunner.app.status import batch_status
from batchrunner.cli import cli
from batchrunner.cli.output.run_printer import OneRunPrinter
from batchrunner.cli.output.run_text import run_lines
from batchrunner.model import ProfileHint, RunError, RunHelp
from batchrunner.store.attempts import apply_poll
from batchrunner.store.batches import find_batch
from batchrunner.store.store import Store
from batchrunner.text.terminal import screen_safe
from batchrunner.tinyfish.console_views import read_run_details
from batchrunner.tinyfish.event_stream import read_event
from tests.fakes import NOW, begin, failure, keys, start, success

GUIDE = "https://docs.test/guide"
HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202eSay less"
HELP = RunHelp(url=GUIDE, message=HOSTILE, profile_hint=ProfileHint(message="x", reason=HOSTILE))
SENT = {"help_url": GUIDE, "help_message": HOSTILE, "profile_hint": {"message": "Log in"}}


@pytest.fixture
def database(tmp_path: Path) -> str:
    """Make a batch with one job that ran well and two that the API advises about."""
    path = str(tmp_path / "batchrunner.db")
    with closing(Store.open(path)) as store:
        good, *bad = start(store, begin(store, 4))
        beside = success(good, "{}", error=RunError(message=HOSTILE, code="busy"))
        advised = [replace(failure(each, steps=1), run=None) for each in bad]
        shown = [
            replace(each, run=replace(beside.run, run_id=f"r{at}", error=None, help=HELP))  # type: ignore[type-var]
            for at, each in enumerate(advised)
        ]
        apply_poll(store, "alice", [beside, *shown], [], NOW)
    return path


def test_status_shows_advice_once_with_how_many_jobs_it_is_about(database: str) -> None:
    shown = CliRunner().invoke(cli, ["status", "prices", "--db", database])
    assert screen_safe(shown.output) == shown.output
    assert "what the API says of its runs:" in shown.stdout
    assert shown.stdout.count(f"Say less {GUIDE}") == 1
    assert "help (3 jobs): " in shown.stdout
    assert "profile hint (3 jobs): " in shown.stdout
    assert "runs that reported an error beside their result (1)" in shown.stdout
    assert "  busy: \\x1b]0;owned" in shown.stdout


def test_programs_get_the_advice_as_it_was_sent(database: str) -> None:
    found = json.loads(
        CliRunner().invoke(cli, ["status", "prices", "--db", database, "--json"]).stdout
    )
    (advice,) = found["advice"]
    assert (advice["url"], advice["message"], advice["jobs"]) == (GUIDE, HOSTILE, 3)
    assert advice["first_id"] == keys(2)[1]
    assert [each["help"]["url"] for each in found["failures"]] == [GUIDE] * 3
    (error,) = found["run_errors"]
    assert (error["code"], error["message"]) == ("busy", HOSTILE)
    with closing(Store.open(database)) as store:
        batch = store.read(find_batch, "prices")
        assert batch is not None
        assert batch_status(store, batch).advice[0].help == HELP


@pytest.mark.parametrize("place", ["error", "beside"])
def test_a_run_is_shown_with_the_advice_about_it(place: str) -> None:
    error = {"message": "It broke", **(SENT if place == "error" else {})}
    run = {"run_id": "r", "status": "FAILED", "error": error, **(SENT if place == "beside" else {})}
    details = read_run_details(json.dumps(run))
    assert details is not None
    lines = list(run_lines(details))
    assert all(screen_safe(line) == line for line in lines)
    assert sum(GUIDE in line for line in lines) == 1
    assert sum(line.split()[:3] == ["profile", "hint", "Log"] for line in lines) == 1


def test_a_run_that_is_watched_ends_with_the_advice(capsys: pytest.CaptureFixture[str]) -> None:
    event = read_event(json.dumps({"type": "COMPLETE", "status": "FAILED", "error": "no", **SENT}))
    assert event is not None
    OneRunPrinter().run_event(event, is_first=False)
    printed = capsys.readouterr().out
    assert screen_safe(printed) == printed
    assert GUIDE in printed
    assert "profile hint: Log in" in printed
