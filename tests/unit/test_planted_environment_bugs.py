"""Bugs that are planted in how the program meets its environment, and the tests that catch them."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import test_crash_report as crashes
import test_display as displays
import test_network_settings as network
import test_standard_streams as streams
import test_variables as variables

from batchrunner.cli.output.progress import Display
from batchrunner.cli.standard_streams import go_on_without_output
from batchrunner.cli.variables import check_variables
from batchrunner.crash_report import describe
from batchrunner.errors import CannotContinue
from batchrunner.network.errors import NetworkSettingsError
from batchrunner.network.hosts import is_this_machine, needs_no_proxy, odd_entries
from tests.simulation.planting import Planter

TESTS = (crashes, displays, network, streams, variables)


@dataclass(frozen=True)
class Planted:
    """What is replaced by what, the test that fails, and how."""

    original: Callable[..., Any]
    substitute: Callable[..., Any]
    check: Callable[[pytest.MonkeyPatch, Path], Any]
    caught: type[BaseException] = AssertionError


BUGS = {
    "this machine by way of a proxy": Planted(
        is_this_machine,
        lambda *_: False,
        lambda *_: network.test_this_machine_is_never_reached_by_way_of_a_proxy("127.0.0.1"),
    ),
    "NO_PROXY is not read": Planted(
        needs_no_proxy,
        lambda *_: False,
        lambda *_: network.test_the_most_specific_variable_counts(
            {"HTTPS_PROXY": "nonsense://", "NO_PROXY": "*"}, None
        ),
        NetworkSettingsError,
    ),
    "an odd entry is dropped without a word": Planted(
        odd_entries,
        lambda _: [],
        lambda *_: network.one_warning("!"),
    ),
    "every command needs its output": Planted(
        go_on_without_output,
        lambda: None,
        lambda patch, _: streams.test_a_command_that_works_goes_on_without_output(
            streams.full, patch
        ),
        CannotContinue,
    ),
    "a report with messages": Planted(
        describe,
        lambda error, argv: traceback.format_exception(error),
        lambda *_: crashes.test_names_of_programs_are_told_and_what_a_user_wrote_is_not(),
    ),
    "variables are not checked": Planted(
        check_variables,
        lambda _: None,
        lambda _, folder: variables.test_a_command_says_it_in_one_message(folder),
    ),
    "a display that fails reaches the runner": Planted(
        Display.notify,
        lambda display, event: display.say(event.text),
        lambda *_: displays.test_a_display_that_has_failed_is_left_alone(),
        ValueError,
    ),
}


@pytest.fixture(autouse=True)
def closed() -> Any:
    yield
    while streams.MADE:
        streams.MADE.pop().close()


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS)
def test_the_bug_is_caught(bug: Planted, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Planter(monkeypatch).replace(bug.original, bug.substitute)
    for module in TESTS:  # they call some of it themselves
        if vars(module).get(bug.original.__name__) is bug.original:
            monkeypatch.setattr(module, bug.original.__name__, bug.substitute)
    with pytest.raises(bug.caught):
        bug.check(monkeypatch, tmp_path)
