"""Schemas as pydantic and zod write them, and what is sent for each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import batchrunner as br
from batchrunner.app.input_request import InputRequest
from batchrunner.app.load import read_job_file, rows_as_job_file
from batchrunner.app.read_input import ROWS_FILE, rows_as_table
from batchrunner.inputs.mapping.choices import ColumnChoices
from batchrunner.inputs.yaml import JobFileErrors, parse
from batchrunner.model import JobFile
from batchrunner.model.output_schema import plain_schema
from batchrunner.model.question import question_digest
from batchrunner.sandbox.http.output_schema import complaint
from batchrunner.store.job_rows import output_schema_digest

Schema = dict[str, Any]
NUMBER, TEXT = {"type": "number"}, {"type": "string"}


def read(schema: Any) -> JobFile:
    entry = {"url": "https://shop.example/1", "goal": "Read", "output_schema": schema}
    return parse(json.dumps([entry], indent=1), file="jobs.json", name="jobs")


def sent(schema: Any) -> Schema:
    found: Schema = read(schema).specs[0].options["output_schema"]
    assert complaint(found) is None
    return found


def item(schema: Any, **root: Any) -> Schema:
    return {"type": "object", "properties": {"x": schema}, **root}


def faults(schema: Any) -> list[tuple[str, str]]:
    with pytest.raises(JobFileErrors) as caught:
        read(schema)
    return [(problem.message, problem.tip or "") for problem in caught.value.problems]


#: What pydantic or zod writes for a property → what is sent.
PROPERTIES: dict[str, tuple[Any, Any]] = {
    "Optional[float]": (
        {"anyOf": [NUMBER, {"type": "null"}], "default": None, "title": "X"},
        {**NUMBER, "nullable": True},
    ),
    "z.string().nullable()": ({"type": ["string", "null"]}, {**TEXT, "nullable": True}),
    "Union[int, str]": (
        {"anyOf": [{"type": "integer"}, TEXT]},
        {"anyOf": [{"type": "integer"}, TEXT]},
    ),
    "z.union of three": (
        {"type": ["string", "number", "null"], "minimum": 1, "maxLength": 3},
        {"anyOf": [TEXT, {**NUMBER, "minimum": 1}], "nullable": True},
    ),
    "Literal['a']": ({"const": "a", "title": "X"}, {**TEXT, "enum": ["a"]}),
    "Literal['a', None]": ({"enum": ["a", None]}, {**TEXT, "enum": ["a"], "nullable": True}),
    "z.enum().nullable()": (
        {"type": ["string", "null"], "enum": ["a", "b", None]},
        {**TEXT, "enum": ["a", "b"], "nullable": True},
    ),
    "nullable of OpenAPI": (
        {"type": "string", "enum": ["a", None], "nullable": True},
        {"type": "string", "enum": ["a"], "nullable": True},
    ),
    "Literal[5]": ({"const": 5}, {"type": "integer", "minimum": 5, "maximum": 5}),
    "IntEnum": (
        {"enum": [1, 2, 5], "type": "integer"},
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 2},
                {"type": "integer", "minimum": 5, "maximum": 5},
            ]
        },
    ),
    "Literal[True]": ({"const": True, "type": "boolean"}, {"type": "boolean"}),
    "union of literals": (
        {"anyOf": [{"const": "a", "type": "string"}, {"const": "b", "type": "string"}]},
        {**TEXT, "enum": ["a", "b"]},
    ),
    "conint(gt=0, lt=10)": (
        {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 10},
        {"type": "integer", "minimum": 1, "maximum": 9},
    ),
    "confloat(gt=0)": ({**NUMBER, "exclusiveMinimum": 0}, {**NUMBER, "minimum": 0}),
    "draft 4": (
        {"type": "integer", "minimum": 0, "exclusiveMinimum": True},
        {"type": "integer", "minimum": 1},
    ),
    "z.int()": (
        {"type": "integer", "minimum": -9007199254740991, "maximum": 9007199254740991},
        {"type": "integer"},
    ),
    "UUID": ({"type": "string", "format": "uuid"}, TEXT),
    "datetime": ({"type": "string", "format": "date-time"}, {**TEXT, "format": "date-time"}),
    "constr": ({"type": "string", "pattern": "^a", "minLength": 1, "maxLength": 9}, TEXT),
    "Decimal": (
        {"anyOf": [NUMBER, {"type": "string", "pattern": r"^\d+$"}]},
        {"anyOf": [NUMBER, TEXT]},
    ),
    "Any": ({"title": "X"}, {}),
    "Optional[Any]": ({"anyOf": [{}, {"type": "null"}]}, {}),
    "set[str]": (
        {"type": "array", "items": TEXT, "uniqueItems": True},
        {"type": "array", "items": TEXT},
    ),
    "Tuple[int, str]": (
        {
            "type": "array",
            "prefixItems": [{"type": "integer"}, TEXT],
            "minItems": 2,
            "maxItems": 2,
        },
        {
            "type": "array",
            "minItems": 2,
            "maxItems": 2,
            "items": {"anyOf": [{"type": "integer"}, TEXT]},
        },
    ),
    "z.tuple() of draft 7": (
        {"type": "array", "items": [TEXT], "additionalItems": False},
        {"type": "array", "items": TEXT, "maxItems": 1},
    ),
    "Dict[str, int]": (
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"type": "object"},
    ),
    "z.record(z.enum())": (
        {
            "type": "object",
            "propertyNames": {"type": "string", "enum": ["a", "b"]},
            "additionalProperties": NUMBER,
            "required": ["a", "b"],
        },
        {"type": "object", "properties": {"a": NUMBER, "b": NUMBER}, "required": ["a", "b"]},
    ),
    "z.strictObject()": (
        {"type": "object", "properties": {"a": TEXT}, "additionalProperties": False},
        {"type": "object", "properties": {"a": TEXT}},
    ),
    "z.intersection()": (
        {
            "allOf": [
                {"type": "object", "properties": {"a": TEXT}, "required": ["a"]},
                {"type": "object", "properties": {"b": NUMBER, "a": {"enum": ["q"]}}},
            ]
        },
        {
            "type": "object",
            "properties": {"a": {**TEXT, "enum": ["q"]}, "b": NUMBER},
            "required": ["a"],
        },
    ),
    "true": (True, {}),
    "a property named like a keyword": (
        {"type": "object", "properties": {"$ref": TEXT, "title": TEXT, "const": NUMBER}},
        {"type": "object", "properties": {"$ref": TEXT, "title": TEXT, "const": NUMBER}},
    ),
}


@pytest.mark.parametrize(("schema", "expected"), PROPERTIES.values(), ids=PROPERTIES.keys())
def test_a_property_is_sent_as_the_api_takes_it(schema: Any, expected: Any) -> None:
    assert sent(item(schema)) == item(expected)


#: `$ref` → what else the document has; each leads to the schema of a number.
REFERENCES: dict[str, Schema] = {
    "#/$defs/N": {"$defs": {"N": NUMBER}},
    "#/definitions/N": {"definitions": {"N": NUMBER}},
    "#/%24defs/a~1b~0": {"$defs": {"a/b~": NUMBER}},
    "#n": {"$defs": {"N": {**NUMBER, "$anchor": "n"}}},
    "#old": {"definitions": {"N": {**NUMBER, "$id": "#old"}}},
    "n.json": {"$id": "https://a.example/item.json", "$defs": {"N": {**NUMBER, "$id": "n.json"}}},
    "https://a.example/item.json#/$defs/N": {
        "$id": "https://a.example/item.json",
        "$defs": {"N": NUMBER},
    },
    "#/$defs/M": {"$defs": {"M": {"$ref": "#/$defs/N"}, "N": NUMBER}},
    "2/$defs/N": {"$defs": {"N": NUMBER}},
}


@pytest.mark.parametrize("reference", REFERENCES)
def test_a_reference_inside_the_schema_is_written_out(reference: str) -> None:
    document = item({"$ref": reference, "description": "Its price"}, **REFERENCES[reference])
    assert sent(document) == item(NUMBER)


def test_a_reference_may_name_another_property() -> None:
    document = {"type": "object", "properties": {"a": NUMBER, "b": {"$ref": "#/properties/a"}}}
    assert sent(document)["properties"]["b"] == NUMBER


def test_the_root_may_be_a_reference() -> None:
    assert sent({"$ref": "#/definitions/I", "definitions": {"I": item(TEXT)}}) == item(TEXT)


TREE = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Tree"}}}
#: A schema that cannot be sent → words of its only problem, and of the tip.
REFUSED: dict[str, tuple[Any, str, str]] = {
    "recursion": (
        {"$ref": "#/$defs/Tree", "$defs": {"Tree": TREE}},
        "#/$defs/Tree/properties/next names `#/$defs/Tree`, which contains itself",
        "levels",
    ),
    "recursion by path": (
        item({"type": "array", "items": {"$ref": "#/properties/x"}}),
        "#/properties/x/items names `#/properties/x`, which contains itself",
        "levels",
    ),
    "missing": (
        item({"$ref": "#/$defs/Ofer"}, **{"$defs": {"Offer": TEXT}}),
        "`#/$defs/Ofer`, which does not exist",
        "#/$defs/Offer",
    ),
    "remote": (
        item({"$ref": "https://a.example/b.json"}),
        "which is another document",
        "`$defs`",
    ),
    "another file": (item({"$ref": "offer.json#/x"}), "which is another document", "`$defs`"),
    "list at the top": ({"type": "array", "items": TEXT}, "must be the top", "wrap it"),
    "union at the top": (
        {"oneOf": [item(TEXT), item(NUMBER)]},
        "`type: object` must be the top",
        "wrap it",
    ),
    "null alone": (item({"type": "null"}, required=["x"]), "can only be null", "remove"),
    "never": (item({"not": {}}, required=["x"]), "no value fits it", "remove"),
    "not": (item({"not": TEXT}), "does not support `not` at #/properties/x", "`expect`"),
    "if": (item({"if": TEXT}), "does not support `if`", "`expect`"),
    "contradiction": (
        item({"allOf": [TEXT, NUMBER]}),
        "the schemas at #/properties/x cannot be joined",
        "one schema",
    ),
    "typing error": (item({"type": "string", "tittle": "x"}), "does not support `tittle`", "title"),
    "wrong format": (item({"type": "string", "format": "datetime"}), "`format`", "date-time"),
}


@pytest.mark.parametrize(("schema", "message", "tip"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_sent_is_an_error_with_its_path(schema: Any, message: str, tip: str) -> None:
    ((said, proposed),) = faults(schema)
    assert message in said
    assert tip in proposed


def test_references_that_multiply_are_refused_in_time() -> None:
    names = {f"D{n}": item({"$ref": f"#/$defs/D{n + 1}"}) for n in range(8)}
    for schema in names.values():
        schema["properties"] |= {f"p{n}": schema["properties"]["x"] for n in range(20)}
    ((said, _),) = faults({"$ref": "#/$defs/D0", "$defs": {**names, "D8": TEXT}})
    assert "too large" in said
    chain = {f"D{n}": {"$ref": f"#/$defs/D{n + 1}"} for n in range(900)}
    ((said, _),) = faults(item({"$ref": "#/$defs/D0"}, **{"$defs": chain}))
    assert "too large" in said


def test_all_mistakes_are_reported_at_once_and_each_once() -> None:
    offer = {"type": "object", "properties": {"p": {"type": "str"}, "q": {"$ref": "#/no"}}}
    parts = {"a": {"$ref": "#/$defs/O"}, "b": {"not": TEXT}}
    found = faults({"type": "object", "properties": parts, "$defs": {"O": offer}})
    assert len(found) == 3


# ---- what was changed ----


def test_each_change_is_reported_once_and_grouped() -> None:
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Item",
        "type": "object",
        "properties": {
            "a": {"title": "A", "anyOf": [TEXT, {"type": "null"}]},
            "b": {"title": "B", "type": "string", "pattern": "^b"},
            "c": {"$ref": "#/$defs/C"},
        },
        "$defs": {"C": {"title": "C", "type": "number", "description": "With VAT"}},
    }
    assert read(document).warnings == (
        "jobs.json:5: `output_schema` is written as the API takes it: null in a union → "
        "`nullable`, `$ref` written out; left out: `$schema`, `title` (4), `$defs`",
        "jobs.json:5: `output_schema` is sent without what the API does not check: `pattern` at "
        "#/properties/b; `expect` can check it",
        "jobs.json:5: `output_schema` is sent without what the API does not take: `description` "
        "at #/$defs/C; say it in the goal",
    )


def test_a_schema_of_the_api_is_sent_as_it_is_written() -> None:
    document = item({"anyOf": [TEXT]}, required=[], nullable=False)
    assert sent(document) == document
    assert read(document).warnings == ()


# ---- spellings of the same ----

OFFER = {"type": "object", "properties": {"p": {**NUMBER, "nullable": True}}, "required": ["p"]}
SPELLINGS: list[Any] = [
    item(OFFER),
    item({**OFFER, "nullable": False}, required=[]),
    item({"$ref": "#/$defs/O"}, **{"$defs": {"O": {"title": "O", **OFFER}}}),
    {
        "properties": {
            "x": {
                "required": ["p"],
                "additionalProperties": False,
                "properties": {"p": {"anyOf": [{"type": "null"}, NUMBER]}},
                "type": "object",
            }
        },
        "type": "object",
    },
]


@pytest.mark.parametrize("schema", SPELLINGS)
def test_spellings_of_one_schema_are_the_same_question(schema: Any) -> None:
    one, other = ({"output_schema": sent(each)} for each in (SPELLINGS[0], schema))
    assert output_schema_digest(one) == output_schema_digest(other)
    asked = [question_digest("https://a.example", "Read", each) for each in (one, other)]
    assert asked[0] == asked[1]


def test_the_order_of_names_and_branches_makes_no_difference() -> None:
    one = item({"anyOf": [{**TEXT, "enum": ["a", "b"]}, NUMBER]}, required=["x", "y"])
    other = item({"anyOf": [NUMBER, {**TEXT, "enum": ["b", "a"]}, NUMBER]}, required=["y", "x"])
    assert plain_schema(one) == plain_schema(other)
    assert plain_schema(one) != plain_schema(item(NUMBER))
    assert plain_schema(item({**NUMBER, "minimum": 1.0})) == plain_schema(
        item({**NUMBER, "minimum": 1})
    )


# ---- what beginners write ----

NAME_AND_PRICE = {
    "type": "object",
    "properties": {"name": TEXT, "price": NUMBER},
    "required": ["name", "price"],
}
MEANT: list[tuple[Any, Schema]] = [
    ({"name": "string", "price": "number"}, NAME_AND_PRICE),
    ({"name": "str", "price": "float"}, NAME_AND_PRICE),
    ({"name": {"type": "string"}, "price": {"type": "number"}}, NAME_AND_PRICE),
    ({"type": "object", "name": "string", "price": "number"}, NAME_AND_PRICE),
    ({"name": "Lamp", "price": 12.5}, NAME_AND_PRICE),
    ({"title": "string"}, {"type": "object", "properties": {"title": TEXT}, "required": ["title"]}),
    (
        ["name", "price"],
        {**NAME_AND_PRICE, "properties": {"name": TEXT, "price": TEXT}},
    ),
    (
        "name, price",
        {**NAME_AND_PRICE, "properties": {"name": TEXT, "price": TEXT}},
    ),
    (
        {"tags": ["string"], "best?": {"seller": "text"}, "when": "date", "x": "integer | null"},
        {
            "type": "object",
            "properties": {
                "tags": {"type": "array", "items": TEXT},
                "best": {"type": "object", "properties": {"seller": TEXT}, "required": ["seller"]},
                "when": {"type": "string", "format": "date"},
                "x": {"type": "integer", "nullable": True},
            },
            "required": ["tags", "when", "x"],
        },
    ),
    (
        [{"name": "string"}],
        {
            "type": "object",
            "properties": {
                "items": {
                    "type": "array",
                    "items": {"type": "object", "properties": {"name": TEXT}, "required": ["name"]},
                }
            },
            "required": ["items"],
        },
    ),
]


@pytest.mark.parametrize(("written", "meant"), MEANT)
def test_a_list_of_fields_is_answered_with_the_schema_to_paste(written: Any, meant: Any) -> None:
    ((said, tip),) = faults(written)
    assert "no JSON Schema" in said
    pasted = tip.removeprefix("write ")
    assert sent(yaml.safe_load(pasted)) == meant
    assert json.loads(pasted) == meant


def test_a_word_in_the_place_of_a_schema_is_answered_with_its_schema() -> None:
    ((_, tip),) = faults(item("number"))
    assert tip == 'write {"type": "number"}'
    ((_, tip),) = faults("schema.json")
    assert tip == 'write {"from": "schema.json"}'
    ((_, tip),) = faults('{"type": "object"}')
    assert "quotes" in tip


# ---- files and classes ----


def load(folder: Path, schema: str, name: str = "schema.json") -> JobFile:
    (folder / "jobs.yaml").write_text(
        f"defaults: {{goal: Read, output_schema: {{from: {name}}}}}\n"
        "jobs: [{url: 'https://a.example/1'}, {url: 'https://a.example/2'}]\n"
    )
    (folder / "schema.json").write_text(schema)
    return read_job_file(folder / "jobs.yaml")


def test_a_schema_may_be_in_a_file_beside_the_job_file(tmp_path: Path) -> None:
    text = json.dumps(item({"$ref": "#/$defs/N"}, **{"$defs": {"N": NUMBER}}), indent="\t")
    job_file = load(tmp_path, text)
    assert [spec.options["output_schema"] for spec in job_file.specs] == [item(NUMBER)] * 2
    (line,) = job_file.warnings
    assert line.startswith(f"{tmp_path / 'schema.json'}:1: `output_schema` is written")


def test_a_mistake_in_such_a_file_is_reported_where_it_is(tmp_path: Path) -> None:
    with pytest.raises(br.InputError) as caught:
        load(tmp_path, '{"type": "object",\n "properties": {"a": {"type": "strng"}}}')
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.column) == (str(tmp_path / "schema.json"), 2, 31)
    for broken in ("", "{", "[1", '{"a": \x00}', "- - -\n  x: ["):
        with pytest.raises(br.InputError):
            load(tmp_path, broken)


def test_a_file_that_is_not_there_is_reported_where_it_is_named(tmp_path: Path) -> None:
    with pytest.raises(br.InputError) as caught:
        load(tmp_path, "{}", name="other.json")
    (problem,) = caught.value.problems
    assert problem.line == 1
    assert "other.json" in problem.message


class Model:
    """Has what a pydantic model has; the program does not know pydantic."""

    @classmethod
    def model_json_schema(cls) -> Schema:
        return item({"anyOf": [TEXT, {"type": "null"}]}, title="Model")


def test_a_class_that_knows_its_schema_is_taken_in_rows_and_defaults() -> None:
    row = {"url": "https://a.example/1", "goal": "Read"}
    rows = [{**row, "output_schema": Model}, {**row, "output_schema": Model.model_json_schema()}]
    expected = item({**TEXT, "nullable": True})
    for job_file in (
        rows_as_job_file(rows, "prices"),
        rows_as_job_file([row], "prices", defaults={"output_schema": Model}),
    ):
        assert [spec.options["output_schema"] for spec in job_file.specs] == [expected]


def test_such_a_class_is_taken_in_rows_with_columns() -> None:
    row = {"link": "https://a.example/1", "output_schema": Model}
    said = InputRequest(
        paths=(ROWS_FILE,), choices=ColumnChoices(url="{link}", goal="Read", to_options=True)
    )
    (spec,) = rows_as_table([row], said).specs
    assert spec.options["output_schema"] == item({**TEXT, "nullable": True})


def test_pydantic_itself(tmp_path: Path) -> None:
    pydantic = pytest.importorskip("pydantic")
    offer = pydantic.create_model("Offer", seller=(str, ...), price=(float | None, None))
    model = pydantic.create_model("Item", name=(str, ...), offers=(list[offer], []))
    row = {"url": "https://a.example/1", "goal": "Read", "output_schema": model}
    (spec,) = rows_as_job_file([row], "prices").specs
    price = {**NUMBER, "nullable": True}
    parts = {"type": "object", "properties": {"seller": TEXT, "price": price}}
    assert spec.options["output_schema"] == {
        "type": "object",
        "properties": {
            "name": TEXT,
            "offers": {"type": "array", "items": {**parts, "required": ["seller"]}},
        },
        "required": ["name"],
    }
