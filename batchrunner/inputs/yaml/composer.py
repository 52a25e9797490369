"""YAML events → nodes, one entry at a time, within limits that hostile files cannot exceed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from batchrunner.inputs.nodes import Items, Node, Pairs, Scalar
from batchrunner.inputs.problem_log import Position, ProblemLog
from batchrunner.inputs.yaml.parser_events import ParserEvents

#: Maximum nesting of lists and mappings.
MAX_DEPTH = 50
#: Maximum nodes of one entry (a job, the defaults, …), with all nodes that its aliases name.
MAX_NODES = 20_000
#: Maximum nodes that the aliases of a whole file name.
MAX_ALIASED_NODES = 100_000_000

#: An event of one of the classes above. The stubs let marks and anchors be None where they are not.
_Event = Any

_MERGE = "<<"
_TAG = "tag:yaml.org,2002:"
#: Tags that change nothing about a node.
_REDUNDANT_TAGS = {
    ScalarEvent: (None, "!", _TAG + "str"),
    SequenceStartEvent: (None, "!", _TAG + "seq"),
    MappingStartEvent: (None, "!", _TAG + "map"),
}


class EventSpan(NamedTuple):
    """The position of an event."""

    start: Position
    end: Position


class _Anchored(NamedTuple):
    """The node of an anchor; None while its collection is still open."""

    node: Node | None
    size: int  #: nodes in it, itself included
    height: int  #: levels of lists and mappings in it, itself included


class _Opened(NamedTuple):
    """The counts when a collection was opened."""

    nodes: int
    deepest: int


class Composer:
    """Reads a YAML document as a stream of nodes, and keeps only those with an anchor.

    Its methods raise yaml.YAMLError if the text is no YAML, and TooManyProblems at a limit.
    """

    def __init__(self, text: str, log: ProblemLog) -> None:
        # The root does not count as a level if it is a mapping.
        self._next = ParserEvents(text, MAX_DEPTH + 1).next
        self._log = log
        self._anchors: dict[str, _Anchored] = {}
        self._shared: dict[int, Node] = {}
        self.is_cut = False  #: whether a syntax error may have cut the last entry short
        self._nodes = 0  # of this entry
        self._aliased = 0  # of the whole file
        self._deepest = 0  # level that the innermost open collection has reached
        self._compose: dict[type[Event], Callable[[_Event, int], Node]] = {
            ScalarEvent: self._scalar,
            AliasEvent: self._alias,
            SequenceStartEvent: self._items,
            MappingStartEvent: self._pairs,
        }

    def root(self) -> Event | None:
        """Return the event that opens the document's root; None if there is no document."""
        self._next()  # the stream's start
        if isinstance(self._next(), StreamEndEvent):
            return None
        return self._next()

    def finish(self) -> None:
        """Read the end of the document, and report a second document."""
        self._next()  # the document's end
        event = self._next()
        if isinstance(event, DocumentStartEvent):
            tip = "a job file is one document: remove the `---`"
            self._log.stop("a second document starts here", span(event), tip)

    def entries(self, start: SequenceStartEvent) -> Iterator[Node]:
        """Yield the nodes of the list that *start* opens, one by one."""
        self._open(start, 1)
        event = self._next()
        while type(event) is not SequenceEndEvent:
            self._nodes = 0
            node = self._node(event, 2)
            try:
                event = self._next()
            except yaml.YAMLError:
                self.is_cut = True
                yield node
                raise
            yield node

    def sections(self, start: MappingStartEvent) -> Iterator[tuple[Scalar, Event]]:
        """Yield each key of the mapping that *start* opens, with the event that opens its value.

        The caller must read the value before it takes the next key.
        """
        self._open(start, 1)
        seen: dict[str, Scalar] = {}
        while not isinstance(event := self._next(), MappingEndEvent):
            self._nodes = 0
            key = self._key(event, 1)
            first = self._next()
            if key is not None and key.text not in seen:
                seen[key.text] = key
                yield key, first
                continue
            self.value(first)
            if key is not None:
                self._report_repeated(key, seen[key.text])

    def value(self, event: Event) -> Node:
        """Return the whole node that *event* opens."""
        return self._node(event, 1)

    def is_shared(self, node: Node) -> bool:
        """Return whether the node may occur again, because it or its parent has an anchor."""
        return id(node) in self._shared

    def _node(self, event: Event, level: int) -> Node:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            tip = "is there a `-` or a bracket missing?"
            self._log.stop(f"more than {MAX_NODES:,} values in one entry", span(event), tip)
        known: _Event = event
        if type(event) is ScalarEvent and known.tag is None and known.anchor is None:
            # Nearly all nodes: as `_scalar` returns them, sooner.
            return Scalar(known.start_mark, known.end_mark, known.value, known.implicit[0])
        return self._compose[type(event)](event, level)

    def _scalar(self, event: _Event, level: int) -> Scalar:
        plain = event.implicit[0]
        if event.tag is not None and self._refuse_tag(event):
            plain = not event.style  # as without the tag: one problem is enough
        node = Scalar(event.start_mark, event.end_mark, event.value, plain)
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchored(node, 1, 0)
            self._shared[id(node)] = node
        return node

    def _items(self, event: _Event, level: int) -> Items:
        opened = self._open(event, level)
        nodes = []
        while type(item := self._next()) is not SequenceEndEvent:
            nodes.append(self._node(item, level + 1))
        node = Items(event.start_mark, event.end_mark, tuple(nodes))
        self._close(event, node, level, opened)
        return node

    def _pairs(self, event: _Event, level: int) -> Pairs:
        opened = self._open(event, level)
        pairs: dict[str, tuple[Scalar, Node]] = {}
        merged: list[Pairs] = []
        while type(item := self._next()) is not MappingEndEvent:
            key = self._key(item, level + 1)
            value = self._node(self._next(), level + 1)
            if key is None:
                continue
            if key.text == _MERGE and key.plain:
                merged += self._merged(value)
            elif key.text not in pairs:
                pairs[key.text] = key, value
            else:
                self._report_repeated(key, pairs[key.text][0])
        for mapping in merged:
            # The mapping's own keys win, then those that were merged first.
            pairs = {**mapping.nodes, **pairs}
        node = Pairs(event.start_mark, event.end_mark, pairs)
        self._close(event, node, level, opened)
        return node

    def _key(self, event: Event, level: int) -> Scalar | None:
        node = self._node(event, level)
        if isinstance(node, Scalar):
            return node
        self._log.add("a key must be text", node, "quote text that starts with `{` or `[`")
        return None

    def _report_repeated(self, key: Scalar, first: Scalar) -> None:
        message = f"key `{key.text}` stands twice; the first is on line {first.start.line + 1}"
        self._log.add(message, key, "keep one of them")

    def _merged(self, value: Node) -> list[Pairs]:
        mappings = []
        for node in value.nodes if isinstance(value, Items) else (value,):
            if isinstance(node, Pairs):
                mappings.append(node)
            else:
                tip = "write `<<: *name`, where `&name` marks a mapping above"
                self._log.add("`<<` merges mappings, and this is none", node, tip)
        return mappings

    def _alias(self, event: _Event, level: int) -> Node:
        name = event.anchor
        anchored = self._anchors.get(name)
        if anchored is None:
            tip = f"quote text that starts with `*`, or mark the value with `&{name}` above"
            self._log.stop(f"alias `*{name}` names nothing above it", span(event), tip)
        if anchored.node is None:
            self._log.stop(f"alias `*{name}` stands inside what it names", span(event))
        self._count_alias(anchored, event, level)
        return anchored.node

    def _count_alias(self, anchored: _Anchored, event: _Event, level: int) -> None:
        """Count the nodes of an alias as if they were written out."""
        self._nodes += anchored.size - 1
        self._aliased += anchored.size
        self._deepest = max(self._deepest, level - 1 + anchored.height)
        if self._nodes > MAX_NODES or self._aliased > MAX_ALIASED_NODES:
            tip = "move what all jobs share to `defaults`"
            self._log.stop("the aliases stand for too many values", span(event), tip)
        if self._deepest > MAX_DEPTH:
            self._log.stop(f"nested deeper than {MAX_DEPTH} levels", span(event))

    def _open(self, event: _Event, level: int) -> _Opened:
        if level > MAX_DEPTH:
            self._log.stop(f"nested deeper than {MAX_DEPTH} levels", span(event))
        if event.tag is not None:
            self._refuse_tag(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchored(None, 0, 0)
        opened = _Opened(self._nodes, self._deepest)
        self._deepest = level
        return opened

    def _close(self, event: _Event, node: Node, level: int, opened: _Opened) -> None:
        if event.anchor is not None:
            size, height = self._nodes - opened.nodes + 1, self._deepest - level + 1
            self._anchors[event.anchor] = _Anchored(node, size, height)
            self._shared[id(node)] = node
            if isinstance(node, Pairs):  # its parts can be merged one by one
                self._shared.update((id(part), part) for _, part in node.nodes.values())
        self._deepest = max(self._deepest, opened.deepest)

    def _refuse_tag(self, event: _Event) -> bool:
        """Report a tag that changes the type of the node; return whether there is one."""
        if event.tag in _REDUNDANT_TAGS[type(event)]:
            return False
        tag = event.tag.replace(_TAG, "!!", 1)
        tip = "remove it, or quote text that starts with `!`"
        self._log.add(f"the tag `{tag}` is not allowed", span(event), tip)
        return True


def span(event: _Event) -> EventSpan:
    """Return the position of the event, for a problem."""
    return EventSpan(event.start_mark, event.end_mark)
