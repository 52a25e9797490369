"""Checks a result against the pages that the agent saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from batchrunner.grounding.found import Grounded, Grounding, Status
from batchrunner.grounding.page_index import index_pages
from batchrunner.grounding.search import Searcher
from batchrunner.grounding.values import Leaf, leaves
from batchrunner.judge.answer import Answer, read_answer, wrapper_of

#: Values that are checked; results may have any number.
MAX_VALUES = 500


def ground(
    result: str | Any,
    pages: Sequence[str | bytes],
    *,
    url: str | None = None,
    named: frozenset[str] = frozenset(),
    is_late: Callable[[], bool] = lambda: False,
) -> Grounding:
    """
    Search pages for each value of a result; never raises, whatever they hold.

    *result* is what a run answered, as text or parsed. *pages* are the HTML of the pages that the
    agent saw, as text or bytes; *url* is the address of the first, which makes its links whole.
    *named* are the top-level fields that the job's schema or `expect` names. Values that are left
    when *is_late* says so are not checked.
    """
    answer = read_answer(result, named) if isinstance(result, str) else _answer_of(result, named)
    if answer.set_aside:
        return Grounding(problem="the result is too large to be checked")
    index = index_pages(pages)
    if index.is_empty:
        return Grounding(problem="no page holds text" if pages else "no page was captured")
    values = leaves(answer.value)
    check = _Check(Searcher(index, answer.value, url, named), is_late)
    found = [(leaf, check.search(leaf)) for leaf in islice(values, MAX_VALUES)]
    by_path = {
        answer.path_of(leaf.path): final
        for leaf, each in found
        if each and (final := check.explained(leaf, each))
    }
    return Grounding(by_path=by_path, unchecked=len(found) - len(by_path) + sum(1 for _ in values))


class _Check:
    """A search that can end early: values that are left then are not checked."""

    def __init__(self, searcher: Searcher, is_late: Callable[[], bool]) -> None:
        self._searcher, self._is_late = searcher, is_late

    def search(self, leaf: Leaf) -> Grounded | None:
        """Return what was found of a value; None if it was not checked."""
        return None if self._is_late() else self._searcher.search(leaf)

    def explained(self, leaf: Leaf, found: Grounded) -> Grounded | None:
        """Return what was found; an absent number that follows from other values is derived."""
        if found.status is not Status.ABSENT:
            return found
        if self._is_late():
            return None
        return self._searcher.explain(leaf) or found


def _answer_of(value: Any, named: frozenset[str]) -> Answer:
    path = list[str]()
    while isinstance(value, dict) and (name := wrapper_of(value, named)) is not None:
        if not isinstance(value[name], dict | list) or len(path) > 5:
            break
        value = value[name]
        path.append(name)
    return Answer(value, ".".join(path))
