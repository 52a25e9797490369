"""YAML text → the parser's events, without the parser's own nesting limit."""

from __future__ import annotations

from typing import Any

import yaml
from yaml.events import CollectionEndEvent, CollectionStartEvent, Event, StreamEndEvent

#: libyaml if PyYAML has it; unlike its composer, its parser does not recurse.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class ParserEvents:
    """The events of a YAML text, one by one.

    The parser scans up to 1,024 characters ahead of the event that it returns. Some versions refuse
    very deep nesting there (libyaml since 0.2.6: 1,000 levels), before the composer reaches its own
    limit. The text is then read again up to the refused character, so that the composer meets its
    own limit first, at the same position in every version.
    """

    def __init__(self, text: str, max_depth: int) -> None:
        """Read *text*; the composer stops after *max_depth* nested collections."""
        self._text = text
        self._max_depth = max_depth
        self._loader = LOADER(text)
        self._returned = 0

    def next(self) -> Event:
        """Return the next event; raises yaml.YAMLError if the text is no YAML."""
        try:
            event = _next(self._loader)
        except yaml.MarkedYAMLError as error:
            if error.problem_mark is None or not self._cut(error.problem_mark.index):
                raise
            event = _next(self._loader)
        self._returned += 1
        return event

    def _cut(self, end: int) -> bool:
        """Return whether the text before *end* is nested too deep; if so, read on in that text."""
        text = self._text[:end]
        if end == len(self._text) or not _is_deeper(LOADER(text), self._max_depth):
            return False
        self._text = text
        self._loader = LOADER(text)
        for _ in range(self._returned):
            _next(self._loader)
        return True


def _is_deeper(loader: Any, max_depth: int) -> bool:
    """Return whether more than *max_depth* collections are ever open at once."""
    level = 0
    try:
        while level <= max_depth and not isinstance(event := _next(loader), StreamEndEvent):
            level += isinstance(event, CollectionStartEvent)
            level -= isinstance(event, CollectionEndEvent)
    except yaml.YAMLError:
        return False
    return level > max_depth


def _next(loader: Any) -> Event:
    try:
        event: Event = loader.get_event()
    except ValueError as error:
        # Only PyYAML's own loader: an escape or version number that is out of range.
        mark = loader.get_mark()
        raise yaml.MarkedYAMLError(problem=str(error), problem_mark=mark) from error
    return event
