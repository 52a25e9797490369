"""Lets every test import `tests.builders`, wherever pytest is started; says what a sweep is.

`pytest` runs what proves the promises in minutes. `pytest -m sweep` runs the long rest: many seeds,
every crash point, the fuzzer, and each property test once more with many more examples.
"""

import os
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from hypothesis import settings

#: Files whose tests take longest.
LONGEST = ("test_fuzzed_batches.py", "test_crashes.py")
SWEEP = "sweep"

# No example is timed.
settings.register_profile("quick", max_examples=25, deadline=None)
settings.register_profile(SWEEP, max_examples=200, deadline=None)
# Tests start processes, which are not to compile every module anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_configure(config: pytest.Config) -> None:
    """Let property tests draw more in a sweep."""
    settings.load_profile(SWEEP if config.option.markexpr == SWEEP else "quick")


def pytest_xdist_auto_num_workers() -> int:
    """Work with more processes than there are cores: tests of real processes mostly wait."""
    return (os.cpu_count() or 1) + 2


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes longest, then mix files that mostly wait with files that compute."""
    if config.option.markexpr == SWEEP:
        for item in items:
            if item.get_closest_marker("hypothesis"):
                item.add_marker(SWEEP)
    places = _places({item.path: None for item in items})
    items.sort(key=lambda item: places[item.path])


def _places(files: Iterable[Path]) -> Mapping[Path, tuple[bool, int]]:
    """Return where each file comes: folders take turns."""
    before: Counter[Path] = Counter()
    places = {}
    for file in files:
        places[file] = (file.name not in LONGEST, before[file.parent])
        before[file.parent] += 1
    return places
