"""Rewrites a schema to the keywords of the API; what has no counterpart is left to the reader."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce

from batchrunner.inputs.field_types import did_you_mean
from batchrunner.inputs.json_schema import keywords as kw
from batchrunner.inputs.json_schema.changes import Change, Changes
from batchrunner.inputs.json_schema.joining import (
    NEVER,
    NULL,
    CannotJoin,
    Nothing,
    Shape,
    is_any,
    is_nullable,
    meet,
    pairs,
    scalar,
    unite,
    value_of,
    with_null,
)
from batchrunner.inputs.json_schema.literals import literals
from batchrunner.inputs.json_schema.own_keywords import Nodes, OwnKeywords
from batchrunner.inputs.json_schema.references import Place, References, within
from batchrunner.inputs.nodes import Items, Node, Pairs, Scalar, boolean, is_null
from batchrunner.inputs.problem_log import ProblemLog

#: Most schemas that one schema may stand for, with all that its `$ref` name.
MAX_SCHEMAS = 5_000
#: Most schemas around one, also through a `$ref`.
MAX_NESTING = 60


class TooLarge(Exception):
    """A schema stands for too many others; the log says so."""


class Rewriter:
    """Rewrites one schema; *name* says which."""

    def __init__(self, document: Node, name: str, log: ProblemLog, changes: Changes) -> None:
        self._name = name
        self._log = log
        self._changes = changes
        self._references = References(document)
        self._own = OwnKeywords(self._schema, self._report, changes)
        self._left = MAX_SCHEMAS
        self.has_failed = False

    def rewritten(self) -> Node:
        """
        Return the schema in the keywords of the API; `has_failed` says if problems were reported.

        Raises TooLarge.
        """
        root = self._references.root
        shape = self._schema(root)
        if isinstance(shape, Nothing):
            what = "only null" if shape is NULL else "no value"
            return self._report(f"{what} fits it", root.node, "write the properties of an object")
        return shape

    def _report(self, message: str, node: Node, tip: str | None = None) -> Node:
        self.has_failed = True
        self._log.add(f"{message} in {self._name}", node, tip)
        return pairs({}, node)

    # ---- a schema, and what stands beside each other in it ----

    def _schema(self, at: Place) -> Shape:
        node = at.node
        self._left -= 1
        if self._left < 0 or len(at.trail) > MAX_NESTING:
            message = f"{self._name} is too large with its `$ref` written out"
            self._log.add(message, self._references.root.node, "leave parts of it out")
            raise TooLarge
        if isinstance(node, Scalar) and (value := boolean(node)) is not None:
            self._changes.add(Change.REWRITTEN, "`true` → `{}`", at.path)
            return pairs({}, node) if value else NEVER
        if not isinstance(node, Pairs):
            return node
        excluded = value_of(node, "not")
        if excluded is not None and (is_any(excluded) or boolean(excluded) is True):
            return NEVER
        shape = self._joined(at._replace(trail=(*at.trail, id(node))))
        return with_null(shape, node) if is_nullable(node) else shape

    def _joined(self, at: Place) -> Shape:
        shapes = [self._own_schema(at), *self._applied(at)]
        try:
            return reduce(meet, shapes)
        except CannotJoin:
            tip = "write them as one schema"
            return self._report(f"the schemas at {at.path} cannot be joined", at.node, tip)

    def _applied(self, at: Place) -> Iterator[Shape]:
        """Give the schemas that stand beside a schema's own keywords."""
        for key in kw.APPLICATORS:
            value = value_of(at.node, key)
            if not _is_applied(key, value):
                continue
            if isinstance(value, Scalar):
                yield self._referenced(value, at)
                continue
            parts = value.nodes if isinstance(value, Items) else ()
            places = [within(at, each, f"{at.path}/{key}/{n}") for n, each in enumerate(parts)]
            shapes = [self._schema(place) for place in places]
            if key == "allOf":
                self._changes.add(Change.REWRITTEN, "`allOf` joined", at.path)
                yield from shapes
            else:
                yield self._union(key, shapes, at)

    def _union(self, key: str, shapes: list[Shape], at: Place) -> Shape:
        if NULL in shapes:
            self._changes.add(Change.REWRITTEN, "null in a union → `nullable`", at.path)
        united = unite(shapes, at.node)
        if not isinstance(united, Nothing) and is_any(united):
            self._changes.add(Change.REWRITTEN, "a union with `{}` → `{}`", at.path)
        if key == "oneOf" and not isinstance(united, Nothing) and value_of(united, "anyOf"):
            self._changes.add(Change.REWRITTEN, "`oneOf` → `anyOf`", at.path)
        return united

    # ---- references ----

    def _referenced(self, reference: Scalar, at: Place) -> Shape:
        said = f"`$ref` at {at.path} names `{reference.text[:200]}`"
        target = self._references.target(reference.text, at)
        if target is None and self._references.is_outside(reference.text, at):
            tip = "copy its schema to `$defs`, and write `$ref: '#/$defs/…'`"
            return self._report(f"{said}, which is another document,", reference, tip)
        if target is None:
            tip = self._defined(reference.text)
            return self._report(f"{said}, which does not exist", reference, tip)
        if id(target.node) in at.trail:
            tip = "write out as many levels as you need"
            message = f"{said}, which contains itself, and the API takes no recursion,"
            return self._report(message, reference, tip)
        self._changes.add(Change.REWRITTEN, "`$ref` written out", at.path)
        return self._schema(target._replace(trail=at.trail))

    def _defined(self, reference: str) -> str:
        """Return a tip with the names that a `$ref` could have used."""
        sections = [(key, value_of(self._references.root.node, key)) for key in kw.DEFINITIONS]
        names = [f"#/{key}/{name}" for key, value in sections for name in _names(value)]
        shown = ", ".join(f"`{name[:60]}`" for name in names[:5])
        close = did_you_mean(reference, tuple(names))
        return close or (f"defined are {shown}" if shown else "define it under `$defs`")

    # ---- its own keywords ----

    def _own_schema(self, at: Place) -> Shape:
        nodes = self._kept(at)
        listed = _listed(nodes)
        if listed is not None:
            return self._literals(listed, nodes, at)
        types = _types(nodes)
        shapes = [self._typed(nodes, type_, at, len(types) > 1) for type_ in types]
        if NULL in shapes and len(shapes) > 1:
            self._changes.add(Change.REWRITTEN, "null in `type` → `nullable`", at.path)
        return shapes[0] if len(shapes) == 1 else unite(shapes, at.node)

    def _kept(self, at: Place) -> Nodes:
        """Return the keywords that are a schema's own, and more than words about it."""
        kept: Nodes = {}
        for key, pair in at.node.nodes.items() if isinstance(at.node, Pairs) else ():
            if key == "description":
                self._changes.add(Change.GUIDANCE, f"`{key}`", at.path)
            elif key in kw.ANNOTATIONS or key in kw.DEFINITIONS or key.startswith("x-"):
                self._changes.add(Change.LEFT_OUT, f"`{key[:40]}`", at.path)
            elif key in kw.UNCHECKED:
                says_nothing = boolean(pair[1]) is False
                kind = Change.LEFT_OUT if says_nothing else Change.UNCHECKED
                self._changes.add(kind, f"`{key}`", at.path)
            elif not _is_applied(key, pair[1]):
                kept[key] = pair
        return kept

    def _typed(self, nodes: Nodes, type_: str | None, at: Place, is_one_of_many: bool) -> Shape:
        if type_ == kw.NULL:
            return NULL
        if is_one_of_many:
            relevant = kw.RELEVANT_FOR
            nodes = {
                key: pair for key, pair in nodes.items() if type_ in relevant.get(key, (type_,))
            }
        own = dict(nodes)
        if type_ is not None and isinstance(own["type"][1], Items):
            own["type"] = own["type"][0], scalar(type_, own["type"][1])
        self._own.of_type(own, type_, at)
        return Pairs(at.node.start, at.node.end, own)

    def _literals(self, listed: tuple[Node, ...], nodes: Nodes, at: Place) -> Shape:
        types = tuple(type_ for type_ in _types(nodes) if type_ is not None)
        found = literals(listed, types, at.node)
        key = "const" if "const" in nodes else "enum"
        is_text = not isinstance(found.shape, Nothing) and value_of(found.shape, "enum")
        what = "`const` → `enum`" if key == "const" and is_text else f"`{key}` by types and bounds"
        if key == "enum" and is_text:
            what = "`enum` of text alone"
        self._changes.add(Change.REWRITTEN, what, at.path)
        if found.is_wider:
            self._changes.add(Change.UNCHECKED, f"`{key}`", at.path)
        unknown = {name: pair for name, pair in nodes.items() if name not in kw.KNOWN}
        if not unknown:
            return found.shape
        return meet(found.shape, Pairs(at.node.start, at.node.end, unknown))


def _names(definitions: Node | None) -> tuple[str, ...]:
    return tuple(definitions.nodes) if isinstance(definitions, Pairs) else ()


def _is_applied(key: str, value: Node | None) -> bool:
    """Return whether a keyword holds schemas that apply beside the others of its schema."""
    if key == "$ref":
        return isinstance(value, Scalar)
    return key in kw.APPLICATORS and isinstance(value, Items) and bool(value.nodes)


def _types(nodes: Nodes) -> tuple[str | None, ...]:
    value = nodes["type"][1] if "type" in nodes else None
    if isinstance(value, Scalar) and value.text == kw.NULL:
        return (kw.NULL,)
    if isinstance(value, Scalar) and not is_null(value):
        return (value.text,)
    entries = value.nodes if isinstance(value, Items) else ()
    words = tuple(each.text for each in entries if isinstance(each, Scalar))
    return words if words and len(words) == len(entries) else (None,)


def _listed(nodes: Nodes) -> tuple[Node, ...] | None:
    """Return the values that a schema lists; None if it lists none, or text as the API does."""
    if "const" in nodes:
        return (nodes["const"][1],)
    listed = nodes["enum"][1] if "enum" in nodes else None
    if not isinstance(listed, Items) or not listed.nodes or _types(nodes) == ("string",):
        return None
    return listed.nodes
