"""Joins schemas: a value fits all of them (`meet`), or one of them (`unite`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import partial
from typing import Any, TypeAlias

from batchrunner.inputs.nodes import Items, Node, Pairs, Scalar, boolean, decimal


class Nothing(Enum):
    """A schema that the API cannot say, as it leaves no choice."""

    NEVER = "never"  #: fits no value
    NULL = "null"  #: fits only null


NEVER, NULL = Nothing.NEVER, Nothing.NULL
Shape: TypeAlias = Node | Nothing


class CannotJoin(Exception):
    """Two schemas that no single one can replace."""


# ---- nodes that are not in the file, at the position of one that is ----


def scalar(value: str | bool | int | float, like: Node) -> Scalar:
    """Return a value; text is quoted text."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return Scalar(like.start, like.end, text, plain=not isinstance(value, str))


def items(nodes: Iterable[Node], like: Node) -> Items:
    """Return a list."""
    return Items(like.start, like.end, tuple(nodes))


def pairs(values: Mapping[str, Node], like: Node) -> Pairs:
    """Return a mapping."""
    nodes = {key: (scalar(key, value), value) for key, value in values.items()}
    return Pairs(like.start, like.end, nodes)


def typed(type_: str, like: Node, **others: Node) -> Pairs:
    """Return the schema of a type."""
    return pairs({"type": scalar(type_, like), **others}, like)


def value_of(schema: Node, key: str) -> Node | None:
    """Return the value of a keyword."""
    pair = schema.nodes.get(key) if isinstance(schema, Pairs) else None
    return pair and pair[1]


def plain(node: Node) -> Any:
    """Return a node as a value that can be compared: everything but its position."""
    if isinstance(node, Scalar):
        return (node.text, node.plain)
    if isinstance(node, Items):
        return tuple(plain(each) for each in node.nodes)
    return frozenset((key, plain(value)) for key, (_, value) in node.nodes.items())


def is_any(schema: Node) -> bool:
    """Return whether a schema excludes nothing."""
    return isinstance(schema, Pairs) and not schema.nodes.keys() - {"nullable"}


def fits_null(schema: Node) -> bool:
    """Return whether null is one of a schema's values."""
    if not isinstance(schema, Pairs) or is_nullable(schema):
        return True
    return not schema.nodes.keys() & {"type", "anyOf", "enum"}


def is_nullable(schema: Node) -> bool:
    """Return whether `nullable` is true."""
    value = value_of(schema, "nullable")
    return value is not None and boolean(value) is True


def with_null(shape: Shape, like: Node) -> Shape:
    """Return a schema that null fits, too."""
    if shape is NEVER or shape is NULL:
        return NULL
    if isinstance(shape, Pairs) and not fits_null(shape):
        nullable = scalar("nullable", like), scalar(True, like)
        return shape._replace(nodes={**shape.nodes, "nullable": nullable})
    return shape


def without_null(shape: Node) -> Node:
    """Return the schema without `nullable`."""
    if not isinstance(shape, Pairs) or "nullable" not in shape.nodes:
        return shape
    nodes = {key: pair for key, pair in shape.nodes.items() if key != "nullable"}
    return shape._replace(nodes=nodes)


# ---- one of them ----


def unite(shapes: Iterable[Shape], like: Node) -> Shape:
    """Return the schema of the values that fit at least one."""
    flat: list[Node] = []
    has_null = False
    for shape in shapes:
        if shape is NULL or (isinstance(shape, Pairs) and is_nullable(shape)):
            has_null = True
        if not isinstance(shape, Nothing):
            flat += _branches(without_null(shape))
    branches = _distinct(_with_one_enum(flat))
    if any(is_any(branch) for branch in branches):
        return pairs({}, like)
    united: Shape = pairs({"anyOf": items(branches, like)}, like)
    if len(branches) < 2:
        united = branches[0] if branches else NEVER
    return with_null(united, like) if has_null else united


def _branches(schema: Node) -> tuple[Node, ...]:
    any_of = value_of(schema, "anyOf")
    if isinstance(schema, Pairs) and len(schema.nodes) == 1 and isinstance(any_of, Items):
        return any_of.nodes
    return (schema,)


def _distinct(schemas: Iterable[Node]) -> list[Node]:
    return list({plain(schema): schema for schema in schemas}.values())


def _with_one_enum(schemas: list[Node]) -> list[Node]:
    """Put the words of all branches that are only words into the first of them."""
    enums = [each for each in schemas if _is_enum(each)]
    if len(enums) < 2:
        return schemas
    words = _distinct(word for each in enums for word in _entries(each, "enum"))
    one = typed("string", enums[0], enum=items(words, enums[0]))
    return [one if each is enums[0] else each for each in schemas if each not in enums[1:]]


def _is_enum(schema: Node) -> bool:
    return isinstance(schema, Pairs) and schema.nodes.keys() == {"type", "enum"}


def _entries(schema: Node, key: str) -> tuple[Node, ...]:
    value = value_of(schema, key)
    return value.nodes if isinstance(value, Items) else ()


# ---- all of them ----


def meet(first: Shape, second: Shape) -> Shape:
    """Return the schema of the values that fit both; raises CannotJoin."""
    if first is NEVER or second is NEVER:
        return NEVER
    if isinstance(first, Nothing) or isinstance(second, Nothing):  # one of them is NULL
        others = [each for each in (first, second) if not isinstance(each, Nothing)]
        return NULL if all(fits_null(each) for each in others) else NEVER
    if not isinstance(first, Pairs) or not isinstance(second, Pairs):
        return first if isinstance(second, Pairs) else second  # the reader refuses it
    has_null = fits_null(first) and fits_null(second)
    nodes = {key: pair for key, pair in first.nodes.items() if key != "nullable"}
    for key, pair in second.nodes.items():
        if key in nodes:
            nodes[key] = (nodes[key][0], _both(key, nodes[key][1], pair[1]))
        elif key != "nullable":
            nodes[key] = pair
    met = Pairs(first.start, first.end, nodes)
    return with_null(met, first) if has_null else met


def _both(key: str, first: Node, second: Node) -> Node:
    if plain(first) == plain(second):
        return first
    if key not in _BOTH:
        raise CannotJoin
    return _BOTH[key](first, second)


def _list(node: Node) -> tuple[Node, ...]:
    if isinstance(node, Items):
        return node.nodes
    raise CannotJoin


def _all_entries(first: Node, second: Node) -> Node:
    return items(_distinct((*_list(first), *_list(second))), first)


def _shared_entries(first: Node, second: Node) -> Node:
    kept = {plain(each) for each in _list(second)}
    return items([each for each in _list(first) if plain(each) in kept], first)


def _both_items(first: Node, second: Node) -> Node:
    met = meet(first, second)
    if isinstance(met, Nothing):
        raise CannotJoin
    return met


def _narrower_type(first: Node, second: Node) -> Node:
    words = {node.text: node for node in (first, second) if isinstance(node, Scalar)}
    if words.keys() == {"integer", "number"}:
        return words["integer"]
    raise CannotJoin


def _both_properties(first: Node, second: Node) -> Node:
    if not isinstance(first, Pairs) or not isinstance(second, Pairs):
        raise CannotJoin
    nodes = dict(first.nodes)
    for name, (key, value) in second.nodes.items():
        nodes[name] = key, _both_items(nodes[name][1], value) if name in nodes else value
    return first._replace(nodes=nodes)


def _bound(first: Node, second: Node, *, largest: bool) -> Node:
    one, other = decimal(first), decimal(second)
    if one is None or other is None:
        raise CannotJoin
    return first if (one > other) is largest else second


#: Keyword → what replaces its two values, where both schemas have it.
_BOTH: Mapping[str, Callable[[Node, Node], Node]] = {
    "type": _narrower_type,
    "properties": _both_properties,
    "required": _all_entries,
    "enum": _shared_entries,
    "items": _both_items,
    "minimum": partial(_bound, largest=True),
    "minItems": partial(_bound, largest=True),
    "maximum": partial(_bound, largest=False),
    "maxItems": partial(_bound, largest=False),
}
