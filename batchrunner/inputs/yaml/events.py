"""YAML text → the parser's events, with no nesting limit but the composer's own."""

from __future__ import annotations

from typing import Any

import yaml
from yaml.events import CollectionEndEvent, CollectionStartEvent, Event, StreamEndEvent

#: libyaml where PyYAML has it; its parser alone does not recurse, as its composer does.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Events:
    """The events of a YAML text, one by one.

    The parser scans up to 1,024 characters ahead of the event that it returns. Some versions refuse
    there what is nested very deep (libyaml since 0.2.6: 1,000 levels), before the reader has seen
    the level at which its own limit is. The text is then read again up to the refused character, so
    that the reader meets its own limit first, at the same place and whatever the version.
    """

    def __init__(self, text: str, deepest: int) -> None:
        """Read *text*; the reader of the events goes no deeper than *deepest* collections."""
        self._text = text
        self._deepest = deepest
        self._loader = LOADER(text)
        self._returned = 0

    def next(self) -> Event:
        """Return the next event; raises yaml.YAMLError where the text is no YAML."""
        try:
            event = _next(self._loader)
        except yaml.MarkedYAMLError as error:
            if error.problem_mark is None or not self._cut(error.problem_mark.index):
                raise
            event = _next(self._loader)
        self._returned += 1
        return event

    def _cut(self, end: int) -> bool:
        """Say whether the text before *end* is nested too deep; read on in that text if it is."""
        text = self._text[:end]
        if end == len(self._text) or not _is_deeper(LOADER(text), self._deepest):
            return False
        self._text = text
        self._loader = LOADER(text)
        for _ in range(self._returned):
            _next(self._loader)
        return True


def _is_deeper(loader: Any, deepest: int) -> bool:
    """Say whether more than *deepest* collections are ever open at once."""
    level = 0
    try:
        while level <= deepest and not isinstance(event := _next(loader), StreamEndEvent):
            level += isinstance(event, CollectionStartEvent)
            level -= isinstance(event, CollectionEndEvent)
    except yaml.YAMLError:
        return False
    return level > deepest


def _next(loader: Any) -> Event:
    try:
        event: Event = loader.get_event()
    except ValueError as error:
        # Only PyYAML's own loader: an escape or a version that no number or character is.
        mark = loader.get_mark()
        raise yaml.MarkedYAMLError(problem=str(error), problem_mark=mark) from error
    return event
