"""Divides cases between the quick tests and the sweep."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import settings

#: By how much the seeds of a sweep are multiplied: a longer sweep proves more.
SEEDS = int(os.environ.get("BATCHRUNNER_TEST_SEEDS", "1"))


def seeds(few: int) -> range:
    """Return this many seeds, or a multiple of them where a longer sweep is asked for."""
    return range(few * SEEDS)


def some(cases: Iterable[Any], quick: int) -> list[Any]:
    """Keep this many cases, spread evenly, for the quick tests; mark the others for the sweep."""
    every = list(cases)
    kept = {index * len(every) // quick for index in range(quick)}
    return [
        case if index in kept else pytest.param(case, marks=pytest.mark.sweep)
        for index, case in enumerate(every)
    ]


def examples(share: int) -> int:
    """Return the number of examples for a property, each as expensive as *share* usual ones."""
    return max(settings.default.max_examples // share, 1)
