"""Lets every test import `tests.fakes`, wherever pytest is started; no example is timed.

Every sandbox of this process is held to the API's description, whatever a test is about.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from batchrunner.sandbox import sandbox

#: Files whose tests take longest.
LONGEST = ("test_swarm.py", "test_crashes.py")

# What is chosen already stays: where CI is set, Hypothesis draws the same examples each time.
settings.register_profile("patient", settings.default, deadline=None)
settings.register_profile("few", settings.default, deadline=None, max_examples=10)
settings.load_profile("patient")


@pytest.fixture(autouse=True, scope="session")
def judged() -> Iterator[None]:
    from tests.contract.openapi import STRAYING_FATES, STRAYS, Judged

    build = sandbox.api_app

    def judging(service: Any, **kwargs: Any) -> Any:
        app = build(service, **kwargs)
        world = service.config
        keeps = STRAYS.isdisjoint(world.variants.items())
        known = STRAYING_FATES.isdisjoint({*world.script.values(), *world.rates})
        return Judged(app) if keeps and known else app

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sandbox, "api_app", judging)
        yield


def pytest_xdist_auto_num_workers() -> int:
    """Work with more processes than there are cores: tests of real processes mostly wait."""
    return (os.cpu_count() or 1) + 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, then mix files that mostly wait with files that compute."""
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
