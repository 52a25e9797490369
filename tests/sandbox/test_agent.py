"""The agent reads pages for real: what it returns is what the page says."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable

import anyio
import httpx
import pytest
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from batchrunner.sandbox.agent import Agent, Findings, SchemaError
from batchrunner.sandbox.agent.goal_answer import answer_goal
from batchrunner.sandbox.agent.html import parse, text_of
from batchrunner.sandbox.agent.page import read_page
from batchrunner.sandbox.agent.parse_values import find_number, find_price, number, truth
from batchrunner.sandbox.agent.schema_answer import answer_schema
from batchrunner.sandbox.agent.schema_check import schema_errors
from batchrunner.sandbox.sites import sites_app

ADDRESS = "http://page.test/"


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param


async def perform(url, goal="", schema=None) -> Findings:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(sites_app())) as client:
        return await Agent(client).perform(url, goal, schema)


async def perform_at(handler: Callable, goal="", schema=None, url=ADDRESS) -> Findings:
    async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as client:
        return await Agent(client).perform(url, goal, schema)


def page_of(html: str, **options):
    headers = {"content-type": "text/html; charset=utf-8"}
    return lambda request: httpx.Response(200, text=html, headers=headers, **options)


async def chunks(*parts: bytes):
    for part in parts:
        yield part


def failure(reason: str) -> dict[str, str]:
    return {"status": "failure", "reason": reason}


def properties(**types: str) -> dict:
    return {"type": "object", "properties": {name: {"type": t} for name, t in types.items()}}


def list_of(name: str, item: dict) -> dict:
    return {"type": "object", "properties": {name: {"type": "array", "items": item}}}


# What the goal chooses

CITY = "Large cities of the world"
CHOICES = [
    (
        "shop.test/products/1",
        "Extract the product name and price",
        {"name": "Aurora Desk Lamp", "price": 49.0, "currency": "USD"},
    ),
    (
        "shop.test/products/13",
        "What does it cost, and is it in stock? [ref br-price-rating-4]",
        {
            "price": 899.0,
            "currency": "USD",
            "price_note": "from",
            "availability": "Made to order",
            "in_stock": False,
        },
    ),
    (
        "shop.test/products/5",
        "The price, please",
        {"price": 39.95, "currency": "USD"},
    ),
    (
        "shop.test/products/7",
        "Is it available?",
        {"availability": "Out of stock", "in_stock": False},
    ),
    (
        "shop.test/products/17",
        "Rating and reviews",
        {"rating": 4.5, "reviews": 129},
    ),
    (
        "shop.test/products/12",
        "Get the brand, the weight and the features",
        {
            "features": ["Ceramic pot", "24 h keep-warm", "Quiet lid"],
            "brand": "Kumo",
            "weight": "2.8 kg",
        },
    ),
    (
        "data.test/",
        "What is the population of Tokyo?",
        {"caption": CITY, "rows": [{"City": "Tokyo", "Population": 14094034}]},
    ),
    (
        "data.test/nature",
        "List the rivers and their length",
        {
            "caption": "Long rivers",
            "rows": [
                {"River": "Nile", "Length (km)": 6650},
                {"River": "Amazon", "Length (km)": 6400},
                {"River": "Yangtze", "Length (km)": 6300},
                {"River": "Danube", "Length (km)": 2850},
            ],
        },
    ),
    (
        "slow.test/",
        "Read the temperature and the wind",
        {"temperature": "11.4 °C", "wind": "6.2 m/s"},
    ),
    (
        "news.test/articles/night-train",
        "Extract the title, the author and the publication date",
        {
            "title": "The night train is back, and it is full",
            "author": "Ines Okafor",
            "date": "2025-03-04",
        },
    ),
    (
        "news.test/articles/library-seeds",
        "Which headings are there?",
        {"headings": ["The library that lends seeds", "Due back after the harvest", "Late fees"]},
    ),
    (
        "faults.test/some/page",
        "name",
        {"name": "Some page"},
    ),
    (
        "shop.test/products/24",
        "name and price",
        {
            "name": '=HYPERLINK("http://attacker.test/","Free mug") Formula Mug',
            "price": 12.0,
            "currency": "USD",
        },
    ),
    (
        "shop.test/products/25",
        "name and features",
        {
            "name": "<script>alert(\"hi\")</script> 'Quoted' & Framed Poster 🎨",
            "features": ["50 × 70 cm", "<b>bold</b> type", "Acid-free paper"],
        },
    ),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("page", "goal", "result"), CHOICES, ids=[case[0] for case in CHOICES])
async def test_the_goal_chooses_what_is_returned(page, goal, result):
    found = await perform(f"http://{page}", goal)
    if "headings" in result:
        found.result["headings"] = found.result["headings"][:3]
    assert found.result == result
    assert found.schema_errors == ()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("number", "amount", "currency"),
    [
        (2, 1299.0, "DKK"),
        (3, 64.5, "GBP"),
        (4, 24.9, "EUR"),
        (8, 2499.0, "INR"),
        (9, 1250.0, "CHF"),
        (10, 349.0, "SEK"),
        (11, 86.0, "USD"),
        (12, 12800.0, "JPY"),
        (14, 189.0, "EUR"),
        (19, 210.0, "GBP"),
        (20, 389.9, "BRL"),
        (22, 249.0, "PLN"),
        (23, 45.0, "USD"),
        (26, 1149.0, "EUR"),
    ],
)
async def test_prices_are_understood_in_every_form(number, amount, currency):
    found = await perform(f"http://shop.test/products/{number}", "price")
    assert found.result == {"price": amount, "currency": currency}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("page", "goal", "kind", "count", "first"),
    [
        (
            "shop.test/?page=3",
            "List all products with their prices",
            "products",
            8,
            {"name": "Orchard Apple Press", "price": 210.0, "currency": "GBP"},
        ),
        (
            "pricing.test/",
            "Extract every plan with its price",
            "plans",
            3,
            {"name": "Hobby", "price": 9.0, "currency": "USD", "period": "month"},
        ),
        (
            "pricing.test/",
            "Which features are there?",
            "plans",
            3,
            {"name": "Hobby", "features": ["1 seat", "500 pages a month", "Community support"]},
        ),
        (
            "news.test/",
            "List the headlines with author and date",
            "articles",
            5,
            {
                "title": "The night train is back, and it is full",
                "author": "Ines Okafor",
                "date": "2025-03-04",
            },
        ),
        (
            "127.0.0.1/sites/news/",
            "all stories",
            "articles",
            5,
            {
                "name": "The night train is back, and it is full",
                "author": "Ines Okafor",
                "date": "2025-03-04",
                "description": (
                    "After eleven years the sleeper between the two capitals runs again; "
                    "the first three months sold out in a day."
                ),
                "url": "http://127.0.0.1/sites/news/articles/night-train",
            },
        ),
        (
            "data.test/",
            "Extract the whole table",
            "rows",
            18,
            {"City": "Tokyo", "Country": "Japan", "Population": 14094034, "Area (km²)": 2194},
        ),
        (
            "data.test/nature",
            "Extract both tables",
            "tables",
            2,
            {
                "caption": "Long rivers",
                "rows": [
                    {"River": "Nile", "Length (km)": 6650, "Mouth": "Mediterranean Sea"},
                    {"River": "Amazon", "Length (km)": 6400, "Mouth": "Atlantic Ocean"},
                    {"River": "Yangtze", "Length (km)": 6300, "Mouth": "East China Sea"},
                    {"River": "Danube", "Length (km)": 2850, "Mouth": "Black Sea"},
                ],
            },
        ),
        (
            "news.test/articles/tidal-power",
            "all links",
            "links",
            4,
            {"text": "Jonas Lindqvist", "url": "http://news.test/"},
        ),
    ],
)
async def test_lists_come_as_lists(page, goal, kind, count, first):
    found = await perform(f"http://{page}", goal)
    assert len(found.result[kind]) == count
    assert found.result[kind][0] == first


@pytest.mark.anyio
async def test_a_goal_that_names_nothing_gets_an_overview():
    found = await perform("http://shop.test/products/3", "Go on [ref br-price-1]")
    assert list(found.result) == ["title", "description", "headings", "text"]
    assert found.result["title"] == "Meridian Wall Clock · Lantern & Loom"
    assert found.result["text"].startswith("Meridian Wall Clock £64.50 In stock")


# What stands in the way


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("url", "goal", "reason"),
    [
        ("http://portal.test/orders", "List the orders", "The page asks to sign in"),
        (
            "http://guard.test/",
            "price",
            "A captcha blocks the page: “Verify you are human”",
        ),
        (
            "http://guard.test/blocked",
            "price",
            "A captcha blocks the page: “Verify you are human”",
        ),
        ("http://shop.test/nope", "price", "The page answered 404 Not Found"),
        ("http://news.test/", "price", "Could not find a price on the page"),
        (
            "http://news.test/",
            "price and rating",
            "Could not find a price or a rating on the page",
        ),
        ("ftp://shop.test/", "price", "The address is not a web address"),
        ("shop.test", "price", "The address is not a web address"),
        ("http://[::1", "price", "The address is not a web address"),
        ("http://", "price", "The address is not a web address"),
        ("", "price", "The address is not a web address"),
    ],
)
async def test_what_cannot_be_had_is_a_failure_with_a_reason(url, goal, reason):
    found = await perform(url, goal)
    assert found.result == failure(reason)
    assert 2 <= len(found.actions) <= 9


@pytest.mark.anyio
async def test_what_is_missing_beside_what_is_there_is_null():
    found = await perform("http://faults.test/x", "price and rating")
    assert found.result["price"] > 0
    assert found.result["rating"] is None


def raises(error: type[Exception]):
    def handler(request):
        raise error("no")

    return handler


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (raises(httpx.ConnectError), "The site could not be reached"),
        (raises(httpx.ReadTimeout), "The page did not answer in time"),
        (
            raises(httpx.RemoteProtocolError),
            "The site broke off before its answer was complete",
        ),
        (lambda request: httpx.Response(401), "The page asks to sign in"),
        (lambda request: httpx.Response(503), "The page answered 503 Service Unavailable"),
        (lambda request: httpx.Response(599), "The page answered 599"),
        (
            lambda request: httpx.Response(200, headers={"content-type": "application/pdf"}),
            "The page is a file of type application/pdf",
        ),
        (page_of("x" * 2_000_001), "The page is larger than 2 MB"),
        (
            lambda request: httpx.Response(
                200,
                content=gzip.compress(b" " * 30_000_000),
                headers={"content-encoding": "gzip"},
            ),
            "The page is larger than 2 MB",
        ),
        (
            lambda request: httpx.Response(
                200, content=chunks(b"no"), headers={"content-encoding": "gzip"}
            ),
            "The page's compression is broken",
        ),
        (
            lambda request: httpx.Response(200, content=chunks(*[b"x" * 500_000] * 9)),
            "The page is larger than 2 MB",
        ),
        (page_of("<div>" * 100_000), "The page is nested too deeply to be read"),
        (
            lambda request: httpx.Response(302, headers={"location": "/again"}),
            "The page kept sending the browser on and never finished",
        ),
        (
            lambda request: httpx.Response(302, headers={"location": "ftp://page.test/"}),
            "The address is not a web address",
        ),
        (
            page_of('<meta http-equiv="refresh" content="0">'),
            "The page kept sending the browser on and never finished",
        ),
        (
            page_of("<meta http-equiv=refresh content='0; URL=/\x01'>"),
            "The address is not a web address",
        ),
    ],
)
async def test_a_bad_answer_is_a_failure_with_a_reason(handler, reason):
    found = await perform_at(handler, "price")
    assert found.result == failure(reason)
    assert 2 <= len(found.actions) <= 9


@pytest.mark.anyio
async def test_a_page_is_not_a_wall_because_it_speaks_of_one():
    html = "<h1>Are you a robot?</h1><p>Why shops ask, and what a mug of it costs: <b>$9</b></p>"
    found = await perform_at(page_of(html), "price")
    assert found.result == {"price": 9.0, "currency": "USD"}
    login = "<form><input type=password></form><h1>Lamp</h1><p>$9</p>" + "<p>Bright.</p>" * 200
    found = await perform_at(page_of(login), "price")
    assert found.result == {"price": 9.0, "currency": "USD"}


def test_an_answer_that_drips_runs_into_the_deadline():
    async def drip():
        while True:
            await anyio.sleep(5)
            yield b"."

    found = trio.run(
        perform_at,
        lambda request: httpx.Response(200, content=drip()),
        clock=trio.testing.MockClock(autojump_threshold=0),
    )
    assert found.result == failure("The page did not answer within 15 seconds")


# The way to the page


@pytest.mark.anyio
async def test_the_actions_tell_what_was_done():
    found = await perform("http://slow.test/stations/lighthouse", "wind")
    assert found.actions == (
        "Open http://slow.test/stations/lighthouse",
        "Wait for the page to finish",
        "Wait for the page to finish",
        "Wait for the page to finish",
        "Read the wind",
    )
    assert "14.7 m/s" in found.html
    found = await perform("http://host/sites/shop", "all prices")
    assert found.actions == (
        "Open http://host/sites/shop",
        "Follow the redirect to http://host/sites/shop/",
        "Read 9 products",
    )


@pytest.mark.anyio
async def test_a_long_way_is_told_in_at_most_nine_lines():
    def handler(request):
        step = int(request.url.params.get("step", "0"))
        if step < 5:
            return httpx.Response(302, headers={"location": f"/?step={step + 1}"})
        if step < 10:
            return page_of(f'<meta http-equiv="Refresh" content="0; url=/?step={step + 1}">')(None)
        return page_of("<h1>There</h1>$5")(None)

    goal = "name, price, rating, title, links, headings"
    found = await perform_at(handler, goal)
    assert found.result["name"] == "There"
    assert len(found.actions) == 9
    assert sum(line.count("Wait") for line in found.actions) == 5


@pytest.mark.anyio
async def test_a_page_that_renews_itself_is_finished():
    html = '<meta http-equiv="refresh" content="300"><h1>Scores</h1>'
    found = await perform_at(page_of(html), "name")
    assert found.result == {"name": "Scores"}


@pytest.mark.anyio
@pytest.mark.parametrize("charset", ["latin-1", "base64", "no-such-codec", "unicode_escape"])
async def test_a_strange_encoding_is_read_as_well_as_it_can_be(charset):
    def handler(request):
        headers = {"content-type": f"text/html; charset={charset}"}
        return httpx.Response(200, content=b"<h1>Caf\xe9 \\ud800</h1>", headers=headers)

    found = await perform_at(handler, "name")
    assert found.result["name"].startswith("Caf")
    json.dumps(found.result, ensure_ascii=False).encode()


# Shaping

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
def test_a_broken_schema_is_told_with_its_place(schema, value, path, expected, received):
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


@given(
    html=MARKUP, goal=st.text() | st.sampled_from(["all prices", "table", "links"]), schema=NODES
)
def test_no_page_and_no_schema_is_too_strange(html, goal, schema):
    page = read_page(parse(html.encode("utf-8", "replace").decode()), ADDRESS)
    for result in (answer_goal(page, goal).result, answer_schema(page, schema)):
        json.dumps(result, allow_nan=False, ensure_ascii=False).encode()
        schema_errors(result, schema)


@given(st.text(alphabet=st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp"))))
def test_text_is_kept_as_it_is(text):
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    assert text_of(parse(f"<h1>{escaped}</h1>").css_first("h1")) == text
