"""Rewrites the keywords of one type: properties, items, bounds and formats."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import floor, isfinite
from typing import TypeAlias

from batchrunner.inputs.field_types import did_you_mean
from batchrunner.inputs.json_schema.changes import Change, Changes
from batchrunner.inputs.json_schema.joining import (
    NEVER,
    NULL,
    Nothing,
    Shape,
    is_any,
    items,
    pairs,
    scalar,
    unite,
    value_of,
)
from batchrunner.inputs.json_schema.keywords import FORMATS, OPEN_ENDED, OTHER_FORMATS
from batchrunner.inputs.json_schema.references import Place, pointer, within
from batchrunner.inputs.nodes import Items, Node, Pairs, Scalar, boolean, decimal, is_null

#: Numbers from here on are further apart than 1, or nearly: bounds like these exclude nothing.
_HUGE = 1e15
#: Bound → the same without the bound itself, and the step from one to the other.
_EXCLUSIVE = {"minimum": ("exclusiveMinimum", 1), "maximum": ("exclusiveMaximum", -1)}

Nodes: TypeAlias = dict[str, tuple[Scalar, Node]]
#: Reports a problem, and gives a schema to go on with.
Report: TypeAlias = Callable[[str, Node, str], Node]


class OwnKeywords:
    """Rewrites keywords in place; *rewrite* does so with a schema inside."""

    def __init__(self, rewrite: Callable[[Place], Shape], report: Report, changes: Changes) -> None:
        self._rewrite = rewrite
        self._report = report
        self._changes = changes

    def of_type(self, nodes: Nodes, type_: str | None, at: Place) -> None:
        """Rewrite the keywords of a type; None: the schema has none."""
        if type_ in (None, "object"):
            self._open_ended(nodes, at)
            self._properties(nodes, at)
        if type_ in (None, "array"):
            self._tuple(nodes, at)
            self._items(nodes, at)
        if type_ in (None, "number", "integer"):
            for bound in _EXCLUSIVE:
                self._bound(nodes, bound, type_, at)
        if type_ == "string":
            self._words(nodes)
        self._format(nodes, type_, at)

    # ---- objects ----

    def _properties(self, nodes: Nodes, at: Place) -> None:
        key, properties = nodes.get("properties", (None, None))
        if key is None or not isinstance(properties, Pairs):
            return
        kept: Nodes = {}
        for name, (name_node, value) in properties.nodes.items():
            place = within(at, value, at.path + pointer("properties", name))
            shape = self._rewrite(place)
            if not isinstance(shape, Nothing):
                kept[name] = name_node, shape
            elif name in _texts(nodes, "required"):
                message = f"`{name}` at {place.path} can only be null"
                if shape is NEVER:
                    message = f"`{name}` at {place.path} is required, and no value fits it"
                kept[name] = name_node, self._report(message, value, "remove the property")
            else:
                self._changes.add(Change.UNCHECKED, "a property without a value", place.path)
        nodes["properties"] = key, properties._replace(nodes=kept)

    def _open_ended(self, nodes: Nodes, at: Place) -> None:
        """Drop what is said about properties that are not in `properties`, or name them there."""
        given = {key: nodes.pop(key) for key in OPEN_ENDED if key in nodes}
        extra = given.get("additionalProperties", (None, None))[1]
        names = self._listed_names(given.get("propertyNames"), at)
        if isinstance(extra, Pairs) and extra.nodes:
            listed = (*names, *_texts(nodes, "required"))
            self._add_properties(nodes, listed, extra, at)
        for key, (_, value) in given.items():
            says_nothing = boolean(value) is not None or is_any(value)
            if names and key in ("additionalProperties", "propertyNames"):
                self._changes.add(Change.REWRITTEN, "names of a mapping → `properties`", at.path)
            elif says_nothing:
                self._changes.add(Change.LEFT_OUT, f"`{key}`", at.path)
            else:
                self._changes.add(Change.UNCHECKED, f"`{key}`", at.path)

    def _listed_names(self, given: tuple[Scalar, Node] | None, at: Place) -> tuple[str, ...]:
        """Return the names that a mapping may have, if they are listed."""
        if given is None:
            return ()
        shape = self._rewrite(within(at, given[1], f"{at.path}/propertyNames"))
        listed = None if isinstance(shape, Nothing) else value_of(shape, "enum")
        entries = listed.nodes if isinstance(listed, Items) else ()
        return tuple(each.text for each in entries if isinstance(each, Scalar))

    def _add_properties(
        self, nodes: Nodes, names: tuple[str, ...], schema: Pairs, at: Place
    ) -> None:
        key, known = nodes.get("properties", (scalar("properties", schema), pairs({}, schema)))
        if isinstance(known, Pairs) and set(names) - known.nodes.keys():
            added = {name: (scalar(name, schema), schema) for name in names}
            nodes["properties"] = key, known._replace(nodes={**added, **known.nodes})

    # ---- lists ----

    def _tuple(self, nodes: Nodes, at: Place) -> None:
        """Write a tuple as a list whose entries fit one of its schemas."""
        key = "prefixItems" if "prefixItems" in nodes else "items"
        listed = nodes[key][1] if key in nodes else None
        closing = "items" if key == "prefixItems" else "additionalItems"
        if not isinstance(listed, Items):
            return
        del nodes[key]
        rest = [nodes.pop(each)[1] for each in (closing, "unevaluatedItems") if each in nodes]
        shapes = [
            self._rewrite(within(at, each, at.path + pointer(key, index)))
            for index, each in enumerate(listed.nodes)
        ]
        for each in rest:
            if boolean(each) is False:
                self._limit(nodes, len(listed.nodes), each)
            else:
                shapes.append(self._rewrite(within(at, each, at.path + pointer(closing))))
        one = self._stated(unite(shapes, listed), listed, at)
        nodes["items"] = scalar("items", listed), one
        self._changes.add(Change.UNCHECKED, f"the order in `{key}`", at.path)

    def _limit(self, nodes: Nodes, most: int, like: Node) -> None:
        given = decimal(nodes["maxItems"][1]) if "maxItems" in nodes else None
        if given is None or given > most:
            nodes["maxItems"] = scalar("maxItems", like), scalar(most, like)

    def _items(self, nodes: Nodes, at: Place) -> None:
        for key in ("additionalItems", "unevaluatedItems"):
            if key in nodes:
                del nodes[key]
                self._changes.add(Change.LEFT_OUT, f"`{key}`", at.path)
        key_node, value = nodes.get("items", (None, None))
        if key_node is None or value is None or "prefixItems" in nodes:
            return
        shape = self._rewrite(within(at, value, f"{at.path}/items"))
        if shape is NEVER:
            del nodes["items"]
            self._limit(nodes, 0, value)
        else:
            nodes["items"] = key_node, self._stated(shape, value, at)

    def _stated(self, shape: Shape, node: Node, at: Place) -> Node:
        if not isinstance(shape, Nothing):
            return shape
        what = "null" if shape is NULL else "no value"
        message = f"only {what} fits the entries of the list at {at.path}"
        return self._report(message, node, "say what the entries are")

    # ---- numbers and text ----

    def _bound(self, nodes: Nodes, bound: str, type_: str | None, at: Place) -> None:
        exclusive, _ = _EXCLUSIVE[bound]
        key, limit = nodes.pop(exclusive, (None, None))
        if key is not None and limit is not None:
            if boolean(limit) is True:  # as draft 4 writes it
                key, limit = nodes.pop(bound, (key, limit))
            if boolean(limit) is None:
                self._exclusive(nodes, bound, (key, limit), type_, at)
        given = nodes.get(bound)
        if given is not None and _is_huge(given[1]):
            del nodes[bound]
            self._changes.add(Change.LEFT_OUT, "bounds of 16 digits", at.path)

    def _exclusive(
        self, nodes: Nodes, bound: str, pair: tuple[Scalar, Node], type_: str | None, at: Place
    ) -> None:
        """Write a bound that does not fit itself as one that does."""
        exclusive, step = _EXCLUSIVE[bound]
        limit = decimal(pair[1])
        if limit is None:
            if not _is_huge(pair[1]):
                nodes[exclusive] = pair  # the reader refuses it
            return
        if type_ == "integer":
            limit = (floor(limit) if step > 0 else -floor(-limit)) + step
            self._changes.add(Change.REWRITTEN, f"`{exclusive}` → `{bound}`", at.path)
        else:
            self._changes.add(Change.UNCHECKED, f"`{exclusive}` (but `{bound}`)", at.path)
        given = decimal(nodes[bound][1]) if bound in nodes else None
        if given is None or (limit > given) is (step > 0):
            nodes[bound] = scalar(bound, pair[0]), scalar(limit, pair[1])

    def _format(self, nodes: Nodes, type_: str | None, at: Place) -> None:
        value = nodes["format"][1] if "format" in nodes else None
        if not isinstance(value, Scalar) or value.text in FORMATS:
            return
        is_known = value.text in OTHER_FORMATS or type_ in ("number", "integer")
        if is_known or did_you_mean(value.text, FORMATS) is None:
            del nodes["format"]
            kind = Change.UNCHECKED if type_ == "string" else Change.LEFT_OUT
            self._changes.add(kind, f"`format: {value.text[:40]}`", at.path)

    def _words(self, nodes: Nodes) -> None:
        """Write the words of an `enum` alike, and leave out null where `nullable` says so."""
        key, listed = nodes.get("enum", (None, None))
        if key is None or not isinstance(listed, Items):
            return
        is_nullable = "nullable" in nodes and boolean(nodes["nullable"][1]) is True
        kept = [each for each in listed.nodes if not (is_nullable and is_null(each))]
        words = [
            scalar(each.text, each) if isinstance(each, Scalar) and not is_null(each) else each
            for each in kept
        ]
        nodes["enum"] = key, items(words, listed)


def _texts(nodes: Mapping[str, tuple[Scalar, Node]], key: str) -> tuple[str, ...]:
    value = nodes[key][1] if key in nodes else None
    entries = value.nodes if isinstance(value, Items) else ()
    return tuple(each.text for each in entries if isinstance(each, Scalar))


def _is_huge(node: Node) -> bool:
    if not isinstance(node, Scalar) or not node.plain:
        return False
    try:
        number = float(node.text)
    except ValueError:
        return False
    return isfinite(number) and abs(number) >= _HUGE
