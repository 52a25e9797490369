"""Shares cases out: a few of them are proved each time, the others in a sweep."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import settings


def some(cases: Iterable[Any], quick: int) -> list[Any]:
    """Leave so many cases, spread evenly, to the quick tests, and mark the others as a sweep's."""
    every = list(cases)
    kept = {index * len(every) // quick for index in range(quick)}
    return [
        case if index in kept else pytest.param(case, marks=pytest.mark.sweep)
        for index, case in enumerate(every)
    ]


def examples(share: int) -> int:
    """Return how many examples a property draws of which each costs as much as *share* others."""
    return max(settings.default.max_examples // share, 1)
