"""Whatever a schema is rewritten to: the API accepts it, and it fits what the schema fitted."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from typing import Any

import jsonschema_rs
from hypothesis import given
from hypothesis import strategies as st

from batchrunner.inputs.json_schema.keywords import KNOWN
from batchrunner.inputs.yaml import JobFileErrors, parse
from batchrunner.judge.output_schema_check import schema_breaches
from batchrunner.model import JobFile
from batchrunner.sandbox.agent.schema_check import schema_errors
from batchrunner.sandbox.http.output_schema import complaint
from tests.contract.openapi import mistakes

Schema = dict[str, Any]
Draw = Callable[[st.SearchStrategy[Any]], Any]
NAMES = ("name", "price", "title", "type", "$ref", "a/b", "x~y", "ü")
WORDS = ("a", "b", "no", "12", "null", "true", "")
NUMBERS = (-3, 0, 1, 2, 3, 7, 0.5, 2.0, 2.5, 9007199254740991)
VALUES = (*WORDS, *NUMBERS, None, True, False)
OTHERS = (*VALUES, "2026-11-30", "2026-11-30T20:00:00Z", [], ["a", 1], {}, {"name": 1}, [None])


#: What the API cannot say, or not as strictly.
LOOSE = ("additionalProperties", "oneOf", '"format"', "9007199254740991", "exclusive")
UNCHECKED = "does not check"


class Maker:
    """Makes schemas as pydantic and zod write them, and values that may fit them."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw
        self._exact = self.pick((True, False))

    def pick(self, choices: Sequence[Any]) -> Any:
        return self._draw(st.sampled_from(choices))

    def some(self, choices: Sequence[Any], least: int = 0) -> list[Any]:
        count = self._draw(st.integers(least, 3))
        return list({repr(one): one for one in (self.pick(choices) for _ in range(count))}.values())

    def document(self) -> Schema:
        definitions = {"One": self.leaf(), "Two": {**self.object(1), "$anchor": "two"}}
        head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Item"}
        return {**head, **self.object(3), "$defs": definitions}

    def schema(self, depth: int) -> Schema:
        if depth == 0:
            return self.leaf()
        kinds = (self.leaf, self.object, self.list, self.tuple, self.union, self.all, self.named)
        kind = self.pick(kinds)
        made: Schema = kind() if kind in (self.leaf, self.named) else kind(depth)
        return {**made, **self.pick(({}, {}, {"title": "T"}, {"default": 1, "x-y": 2}))}

    def leaf(self) -> Schema:
        made: Schema = self.pick(
            (
                {},
                {"type": "string"},
                {"type": "string", "format": "date", "description": "When"},
                {"type": "string", "format": "uuid", "minLength": 1},
                {"type": "boolean"},
                {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
                {"const": self.pick(VALUES)},
                {"enum": self.some(VALUES, 1)},
                {"type": "string", "enum": self.some(WORDS, 1)},
                {"type": "integer", "enum": self.some((1, 2, 3, 5), 1)},
                {"type": self.some(("string", "integer", "number", "boolean", "null"), 1)},
                {"type": self.pick(("integer", "number")), **self.bounds()},
            )
        )
        is_loose = any(word in json.dumps(made) for word in LOOSE)
        return {"type": "boolean"} if self._exact and is_loose else made

    def bounds(self) -> Schema:
        names = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
        return {name: self.pick(NUMBERS) for name in self.some(names)}

    def object(self, depth: int) -> Schema:
        parts = {name: self.schema(depth - 1) for name in self.some(NAMES)}
        made = {"type": "object", "properties": parts}
        if parts:
            made["required"] = self.some(list(parts))
        if self._exact:
            return made
        more = ({}, {}, {"additionalProperties": False}, {"additionalProperties": self.leaf()})
        return {**made, **self.pick(more)}

    def list(self, depth: int) -> Schema:
        return {"type": "array", "items": self.schema(depth - 1)}

    def tuple(self, depth: int) -> Schema:
        first = self.schema(depth - 1)
        if self._exact:
            return {"type": "array", "items": first, "maxItems": 1, "minItems": 1}
        return {"type": "array", "prefixItems": [first], "items": False}

    def union(self, depth: int) -> Schema:
        some = [self.schema(depth - 1) for _ in range(self.pick((1, 2)))]
        null = self.pick(([], [{"type": "null"}]))
        return {"anyOf" if self._exact else self.pick(("anyOf", "oneOf")): some + null}

    def all(self, depth: int) -> Schema:
        return {"allOf": [self.object(1), self.object(1)]}

    def named(self) -> Schema:
        return {"$ref": self.pick(("#/$defs/One", "#/%24defs/Two", "#two"))}

    def value(self, schema: Any, document: Schema) -> Any:
        """Return a value that often fits the schema."""
        if not isinstance(schema, dict) or self.pick(range(8)) == 0:
            return self.pick(OTHERS)
        for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
            if key in schema:
                value = self.value(self.pick(schema[key]), document)
                return [value] if key == "prefixItems" else value
        if "$ref" in schema:
            name = "One" if "One" in schema["$ref"] else "Two"
            return self.value(document["$defs"][name], document)
        if schema.get("type") == "array":
            return [self.value(schema["items"], document) for _ in range(self.pick((0, 1, 2)))]
        if schema.get("type") == "object":
            parts = schema["properties"].items()
            return {key: self.value(each, document) for key, each in parts if self.pick((1, 1, 0))}
        listed = [schema["const"]] if "const" in schema else schema.get("enum", OTHERS)
        return self.pick(listed)


@st.composite
def documents(draw: Draw) -> Schema:
    return Maker(draw).document()


def read(schema: Schema) -> JobFile | None:
    entry = {"url": "https://shop.example/1", "goal": "Read", "output_schema": schema}
    try:
        return parse(json.dumps([entry]), file="jobs.json", name="jobs")
    except JobFileErrors:
        return None


def sent(file: JobFile) -> Schema:
    (spec,) = file.specs
    schema: Schema = spec.options["output_schema"]
    return schema


def standard(schema: Any) -> Any:
    """Return a schema of the API in the words of JSON Schema."""
    if isinstance(schema, list):
        return [standard(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    rest = {key: value for key, value in schema.items() if key != "nullable"}
    if "properties" in rest:
        rest["properties"] = {key: standard(each) for key, each in rest["properties"].items()}
    rest |= {key: standard(rest[key]) for key in ("items", "anyOf") if key in rest}
    return {"anyOf": [rest, {"type": "null"}]} if schema.get("nullable") else rest


def is_looser(file: JobFile, document: Schema) -> bool:
    """Return whether the API's schema is known to fit more."""
    text = json.dumps(document)
    return any(word in text for word in LOOSE) or any(UNCHECKED in line for line in file.warnings)


@given(st.data())
def test_what_is_sent_is_accepted_and_fits_the_same_results(data: st.DataObject) -> None:
    maker = Maker(data.draw)
    document = maker.document()
    file = read(document)
    if file is None:
        return  # there is a test for each reason
    schema = sent(file)
    assert complaint(schema) is None
    assert mistakes(schema, "/components/schemas/OutputSchema") == []
    original = jsonschema_rs.Draft202012Validator(document, validate_formats=True)
    ours = jsonschema_rs.Draft202012Validator(standard(schema), validate_formats=True)
    for _ in range(4):
        value = maker.value(document, document)
        breaks = any(schema_breaches(value, schema))
        assert breaks is bool(schema_errors(value, schema))
        if ours.is_valid(value):
            assert not breaks
        if original.is_valid(value):
            assert not breaks
        elif not is_looser(file, document):
            assert breaks


@given(documents())
def test_what_is_sent_is_read_as_it_stands(document: Schema) -> None:
    if file := read(document):
        schema = sent(file)
        again = read(copy.deepcopy(schema))
        assert again is not None
        assert sent(again) == schema
        assert again.warnings == ()


ANYTHING = st.recursive(
    st.sampled_from(OTHERS),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(sorted(KNOWN)), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(KNOWN)), ANYTHING, max_size=4))
def test_any_keywords_with_any_values_are_read_or_refused(schema: Schema) -> None:
    if file := read(schema):
        assert complaint(sent(file)) is None
