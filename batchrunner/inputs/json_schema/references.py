"""Finds what a `$ref` names inside the same schema."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import unquote, urljoin

from batchrunner.inputs.nodes import Items, Node, Pairs, Scalar

#: A pointer that begins some levels above, as zod-to-json-schema writes it on request.
_RELATIVE = re.compile(r"(?P<up>[0-9]{1,3})(?P<down>(?:/.*)?)")


class Place(NamedTuple):
    """A schema in the document: its node, its path, and the resource that it belongs to."""

    node: Node
    path: str = "#"
    base: str = ""  #: the address that `$id` gives it, or to a schema around it
    trail: tuple[int, ...] = ()  #: the schemas around it, also through a `$ref`


def pointer(*steps: object) -> str:
    """Return steps as the end of a JSON pointer."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in steps)


class References:
    """The schemas of a document, by the names that a `$ref` may use."""

    def __init__(self, document: Node) -> None:
        self.root = within(Place(document), document, "#")
        self._named = {"": self.root, self.root.base: self.root, **dict(_names(self.root))}

    def target(self, reference: str, origin: Place) -> Place | None:
        """Return the schema that a `$ref` at *origin* names; None if it is not in the document."""
        if relative := _RELATIVE.fullmatch(reference):
            return self._relative(origin, int(relative["up"]), relative["down"])
        address, _, fragment = _absolute(origin.base, reference).partition("#")
        if fragment and not fragment.startswith("/"):
            return self._named.get(f"{address}#{unquote(fragment)}")
        resource = self._named.get(address)
        if resource is None:
            return None
        return _step(resource, unquote(fragment)) or _step(self.root, unquote(fragment))

    def is_outside(self, reference: str, origin: Place) -> bool:
        """Return whether a `$ref` names another document."""
        address = _absolute(origin.base, reference).partition("#")[0]
        return address not in self._named

    def _relative(self, origin: Place, up: int, down: str) -> Place | None:
        steps = origin.path.split("/")[1:]
        if up > len(steps):
            return None
        kept = "".join(f"/{step}" for step in steps[: len(steps) - up])
        return _step(self.root, kept + unquote(down))


def _absolute(base: str, reference: str) -> str:
    if reference.startswith("#") or not reference:
        return base + reference
    try:
        return urljoin(base, reference)
    except ValueError:  # such as a bracket that stays open
        return reference


def _step(resource: Place, path: str) -> Place | None:
    """Follow a JSON pointer."""
    place = resource
    for step in path.split("/")[1:]:
        found = _child(place.node, step.replace("~1", "/").replace("~0", "~"))
        if found is None:
            return None
        place = within(place, found, f"{place.path}/{step}")
    return place


def _child(node: Node, step: str) -> Node | None:
    if isinstance(node, Pairs):
        pair = node.nodes.get(step)
        return pair and pair[1]
    if isinstance(node, Items) and step.isdecimal() and int(step) < len(node.nodes):
        return node.nodes[int(step)]
    return None


def within(outer: Place, node: Node, path: str) -> Place:
    """Return the place of a node inside another one's; its `$id` may begin a resource."""
    name = identifier(node)
    if name is None or name.startswith("#"):
        return outer._replace(node=node, path=path)
    base = _absolute(outer.base, name).partition("#")[0]
    return outer._replace(node=node, path=path, base=base)


def identifier(node: Node) -> str | None:
    """Return the name that a schema gives itself."""
    for key in ("$id", "id"):
        text = _text(node, key)
        if text is not None and (key == "$id" or text.startswith("#") or "://" in text):
            return text
    return None


def _text(node: Node, key: str) -> str | None:
    pair = node.nodes.get(key) if isinstance(node, Pairs) else None
    return pair[1].text if pair and isinstance(pair[1], Scalar) else None


def _names(place: Place) -> Iterator[tuple[str, Place]]:
    name = identifier(place.node)
    if name is not None:
        yield _absolute(place.base, name) if name.startswith("#") else place.base, place
    for key in ("$anchor", "$dynamicAnchor"):
        anchor = _text(place.node, key)
        if anchor is not None:
            yield f"{place.base}#{anchor}", place
    for step, child in _children(place.node):
        yield from _names(within(place, child, place.path + pointer(step)))


def _children(node: Node) -> Iterator[tuple[object, Node]]:
    if isinstance(node, Pairs):
        yield from ((key, value) for key, (_, value) in node.nodes.items())
    elif isinstance(node, Items):
        yield from enumerate(node.nodes)
