"""Plants bugs: replaces public functions of the package, named by the functions themselves."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import wraps
from types import ModuleType
from typing import Any

import pytest

from batchrunner.store.database import StoreError
from tests.simulation.short_batches import Scenario
from tests.simulator.simulated_batch import simulate

PACKAGE = "batchrunner"


@dataclass
class Planter:
    """Replaces functions until the test ends."""

    patch: pytest.MonkeyPatch
    uncalled: set[str] = field(default_factory=set)  #: replaced, and no substitute was called yet

    def replace(self, original: Callable[..., Any], substitute: Callable[..., Any]) -> None:
        """
        Replace a public function in every module of the package that uses it, or a method.

        The function is an object, so a rename or a move of it is an import in the test that fails,
        and never a bug that is silently not planted.
        """
        *owner, name = original.__qualname__.split(".")
        assert not name.startswith("_"), f"{name} is private: plant the bug in a public function"
        self.uncalled.add(name)

        @wraps(original)
        def noted(*args: Any, **kwargs: Any) -> Any:
            self.uncalled.discard(name)
            return substitute(*args, **kwargs)

        if owner:
            self.patch.setattr(_class_of(original, owner), name, noted)
            return
        found = [(m, n) for m in _modules() for n, value in vars(m).items() if value is original]
        for module, used_as in found:
            self.patch.setattr(module, used_as, noted)


def _modules() -> list[ModuleType]:
    return [
        module
        for name, module in [*sys.modules.items()]
        if name.partition(".")[0] == PACKAGE and module is not None
    ]


def _class_of(method: Callable[..., Any], path: list[str]) -> Any:
    owner: Any = sys.modules[method.__module__]
    for name in path:
        owner = getattr(owner, name)
    return owner


@dataclass(frozen=True)
class Bug:
    """A bug, the simulated batch in which it shows, and what the check says about it."""

    plant: Callable[[Planter], None]
    scenario: Scenario
    caught: str  #: the invariant that it breaks, or the refusal of the database
    label: str = ""

    @property
    def name(self) -> str:
        """What it does."""
        return self.label or getattr(self.plant, "__name__", "")


def each_of(bugs: Iterable[Bug], slow: Collection[str] = ()) -> pytest.MarkDecorator:
    """Return the mark of a test of each bug; the *slow* ones are part of the sweep."""
    sweep = [pytest.mark.sweep]
    return pytest.mark.parametrize(
        "bug",
        [pytest.param(bug, id=bug.name, marks=sweep if bug.name in slow else []) for bug in bugs],
    )


def check_caught(bug: Bug, patch: pytest.MonkeyPatch) -> None:
    """Plant a bug, and require that its simulated batch fails with the message named."""
    planter = Planter(patch)
    bug.plant(planter)
    with pytest.raises((AssertionError, StoreError), match=bug.caught):
        simulate(bug.scenario)
    assert not planter.uncalled, "what is replaced here was never called"
