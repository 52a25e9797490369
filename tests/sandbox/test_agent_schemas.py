"""The agent answers schemas, and parses prices, numbers and markup, however strange they are."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrunner.sandbox.agent import SchemaError
from batchrunner.sandbox.agent.goal_answer import answer_goal
from batchrunner.sandbox.agent.html import parse, text_of
from batchrunner.sandbox.agent.page import read_page
from batchrunner.sandbox.agent.parse_values import find_number, find_price, number, truth
from batchrunner.sandbox.agent.schema_answer import answer_schema
from batchrunner.sandbox.agent.schema_check import schema_errors
from tests.sandbox.visits import failure, perform


def properties(**types: str) -> dict:
    return {"type": "object", "properties": {name: {"type": t} for name, t in types.items()}}


def list_of(name: str, item: dict) -> dict:
    return {"type": "object", "properties": {name: {"type": "array", "items": item}}}


PRODUCT = properties(name="string", price="number", in_stock="boolean", review_count="integer")
SHAPES = [
    (
        "shop.test/products/7",
        PRODUCT,
        {
            "name": "Lumen Pocket Projector",
            "price": 1299.0,
            "in_stock": False,
            "review_count": 76,
        },
    ),
    (
        "shop.test/products/9",
        properties(cost="string", stars="number", weight="string", shippingCost="number"),
        {"cost": "CHF 1’250.00", "stars": 4.0, "weight": "0.7 kg"},
    ),
    (
        "shop.test/products/1",
        {"type": "object", "properties": {"product": properties(title="string", amount="integer")}},
        {"product": {"title": "Aurora Desk Lamp", "amount": 49}},
    ),
    (
        "shop.test/products/1",
        list_of("products", properties(name="string", sellerName="string")),
        {"products": [{"name": "Aurora Desk Lamp"}]},
    ),
    (
        "shop.test/products/1",
        list_of("features", {"type": "string"}),
        {"features": ["Three colour temperatures", "Touch dimmer", "USB-C charging port"]},
    ),
    (
        "pricing.test/",
        list_of("plans", properties(plan_name="string", monthlyPrice="number", period="string")),
        {
            "plans": [
                {"plan_name": "Hobby", "monthlyPrice": 9.0, "period": "month"},
                {"plan_name": "Team", "monthlyPrice": 29.0, "period": "month"},
                {"plan_name": "Business", "monthlyPrice": 99.0, "period": "month"},
            ]
        },
    ),
    (
        "pricing.test/",
        list_of("plan_names", {"type": "string"}),
        {"plan_names": ["Hobby", "Team", "Business"]},
    ),
    (
        "data.test/nature",
        list_of("peaks", properties(name="string", height_m="integer", first_ascent="string")),
        {
            "peaks": [
                {"name": "Everest", "height_m": 8849, "first_ascent": "1953"},
                {"name": "Aconcagua", "height_m": 6961, "first_ascent": "1897"},
                {"name": "Denali", "height_m": 6190, "first_ascent": "1913"},
                {"name": "Kilimanjaro", "height_m": 5895, "first_ascent": "1889"},
                {"name": "Elbrus", "height_m": 5642, "first_ascent": "1874"},
            ]
        },
    ),
    (
        "data.test/nature",
        {
            "type": "object",
            "properties": {
                "rivers": {"type": "array", "items": properties(name="string"), "maxItems": 2}
            },
        },
        {"rivers": [{"name": "Nile"}, {"name": "Amazon"}]},
    ),
    (
        "slow.test/",
        properties(temperature="number", wind="number", pressure="integer"),
        {"temperature": 11.4, "wind": 6.2, "pressure": 1013},
    ),
    (
        "shop.test/products/16",
        {
            "type": "object",
            "properties": {
                "availability": {"type": "string", "enum": ["in_stock", "low_stock"]},
                "price": {"anyOf": [{"type": "boolean"}, {"type": "number"}]},
                "author": {"type": "string", "nullable": True},
            },
            "required": ["author"],
        },
        {"availability": "low_stock", "price": 34.0, "author": None},
    ),
    (
        "news.test/articles/quiet-drones",
        {
            "type": "object",
            "properties": {"published": {"type": "string", "format": "date"}},
        },
        {"published": "2025-01-21"},
    ),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("page", "schema", "result"), SHAPES)
async def test_a_schema_shapes_the_result(page, schema, result):
    found = await perform(f"http://{page}", "whatever", schema)
    assert found.result == result
    assert found.schema_errors == ()


@pytest.mark.anyio
async def test_what_the_page_does_not_say_is_a_schema_error():
    schema = {**properties(name="string", price="number"), "required": ["name", "price"]}
    found = await perform("http://news.test/articles/night-train", "", schema)
    assert found.result == {"name": "The night train is back, and it is full"}
    assert found.schema_errors == (
        SchemaError(
            path="#/price",
            expected="number",
            received="nothing",
            message="#/price should be number, but the result has nothing",
        ),
    )
    assert found.actions[-2:] == ("Read name", "Look for price")


@pytest.mark.anyio
async def test_a_wall_stays_a_failure_and_breaks_the_schema():
    found = await perform("http://portal.test/", "", {**PRODUCT, "required": ["price"]})
    assert found.result == failure("The page asks to sign in")
    assert [error.path for error in found.schema_errors] == ["#/price"]


# The schema check


@pytest.mark.parametrize(
    ("schema", "value", "path", "expected", "received"),
    [
        ({"type": "string"}, 1, "#", "string", "integer"),
        ({"type": "number"}, True, "#", "number", "boolean"),
        ({"type": "integer"}, 1.5, "#", "integer", "number"),
        ({"type": "object"}, [], "#", "object", "array"),
        ({"type": "string"}, None, "#", "string", "null"),
        ({"type": "number", "minimum": 3}, 2, "#", "at least 3", "2"),
        ({"type": "number", "maximum": 3}, 4, "#", "at most 3", "4"),
        ({"type": "array", "minItems": 1}, [], "#", "at least 1 items", "0 items"),
        ({"type": "array", "maxItems": 1}, [1, 2], "#", "at most 1 items", "2 items"),
        ({"type": "string", "enum": ["a"]}, "b", "#", "one of 'a'", "'b'"),
        ({"type": "string", "format": "date"}, "2025-13-01", "#", "a date", "'2025-13-01'"),
        ({"anyOf": [{"type": "string"}]}, 1, "#", "one of the anyOf schemas", "integer"),
        (list_of("a", {"type": "string"}), {"a": ["x", 1]}, "#/a/1", "string", "integer"),
        ({"type": "object", "required": ["a"]}, {}, "#/a", "a value", "nothing"),
    ],
)
def test_a_broken_schema_is_reported_with_its_place(schema, value, path, expected, received):
    (error,) = schema_errors(value, schema)
    assert (error.path, error.expected, error.received) == (path, expected, received)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string", "nullable": True}, None),
        ({"type": "number"}, 1),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, 1),
        ({"type": "string", "format": "date-time"}, "2025-03-04T10:00:00Z"),
        ({"type": "string", "format": "time"}, "10:00:00+01:00"),
        ({"type": "string", "format": "duration"}, "P1DT2H"),
        ({"type": "array", "items": {"type": "integer"}}, [1, 2]),
        (properties(a="string"), {"b": 1}),
    ],
)
def test_a_kept_schema_has_no_errors(schema, value):
    assert schema_errors(value, schema) == ()


# Values


@pytest.mark.parametrize(
    ("text", "amount", "currency", "period"),
    [
        ("$29 per month", 29.0, "USD", "month"),
        ("€5/yr", 5.0, "EUR", "year"),
        ("1.299,00 €", 1299.0, "EUR", None),
        ("1 499 kr", 1499.0, "kr", None),
        ("only $0.005 each", 0.005, "USD", None),
    ],
)
def test_a_price_is_found(text, amount, currency, period):
    price = find_price(text)
    assert (price.amount, price.currency, price.period) == (amount, currency, period)


@pytest.mark.parametrize("text", ["", "4.5 out of 5", "12 krona coins", "AUSD 5 x", "$"])
def test_no_price_is_made_up(text):
    assert find_price(text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [("8,804,190", 8804190), ("306.4", 306.4), ("-2", -2), ("0", 0)]
    + [(text, None) for text in ("00123", "1,23", "12 km", "", "v1", "١٢")],
)
def test_a_number_is_one_as_a_whole(text, value):
    assert number(text) == value


@pytest.mark.parametrize(
    ("text", "value"), [("4.6 out of 5", 4.6), ("−2.1 °C", -2.1), ("4,6 / 5", 5), ("none", None)]
)
def test_a_number_is_found_in_a_text(text, value):
    assert find_number(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("In stock", True),
        ("Low stock", True),
        ("yes", True),
        ("Sold out", False),
        ("Not available", False),
        ("Pre-order", False),
        ("perhaps", None),
    ],
)
def test_yes_and_no_are_told_apart(text, value):
    assert truth(text) is value


# Any page, any schema

PIECES = """
<h1> <h2> <p> <li> <ul> <table> <tr> <th> <td> <dl> <dt> <dd> <a/href=x> <main> <time> <form>
</h1> </h2> </p> </li> </ul> </table> </tr> </main> </article> </script> <article> <aside>
<p/class=price> <p/hidden> <script/type="application/ld+json"> $5 €1.299,00 4.5 Features Stock
{"@type":"Product","offers":[1e999,{"price":"\\ud800"}]} {"@type":"Product","offers":{"price":1}}
"""
MARKUP = st.lists(st.sampled_from(PIECES.split()) | st.text(max_size=5), max_size=40).map(" ".join)
NAMES = st.sampled_from(
    ["name", "price", "products", "features", "inStock", "rows", "url", "x_text", "", "数"]
)
LEAVES = st.sampled_from(
    [{"type": kind} for kind in ("string", "number", "integer", "boolean", "array", "object")]
    + [{}, {"type": "string", "enum": ["a", "in_stock"]}, {"type": "string", "format": "date"}]
    + [{"type": "number", "minimum": 3, "maximum": 4, "nullable": True}]
)
NODES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"type": st.just("array"), "items": inner, "maxItems": st.just(2)}),
        st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries(
            {
                "type": st.just("object"),
                "properties": st.dictionaries(NAMES, inner, max_size=4),
                "required": st.lists(NAMES, max_size=2),
            }
        ),
    ),
    max_leaves=6,
)


@pytest.mark.sweep
@given(
    html=MARKUP, goal=st.text() | st.sampled_from(["all prices", "table", "links"]), schema=NODES
)
def test_no_page_and_no_schema_is_too_strange(html, goal, schema):
    page = read_page(parse(html.encode("utf-8", "replace").decode()), "http://page.test/")
    for result in (answer_goal(page, goal).result, answer_schema(page, schema)):
        json.dumps(result, allow_nan=False, ensure_ascii=False).encode()
        schema_errors(result, schema)


@given(st.text(alphabet=st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp"))))
def test_text_is_kept_as_it_is(text):
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    assert text_of(parse(f"<h1>{escaped}</h1>").css_first("h1")) == text
