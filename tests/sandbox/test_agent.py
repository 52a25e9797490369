"""The agent reads pages for real: what it returns is what the page says."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable

import anyio
import httpx
import pytest
import trio.testing

from batchrunner.sandbox.agent import Agent, Findings
from tests.sandbox.visits import failure, perform

ADDRESS = "http://page.test/"


async def perform_at(handler: Callable, goal="", schema=None, url=ADDRESS) -> Findings:
    async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as client:
        return await Agent(client).perform(url, goal, schema)


def page_of(html: str, **options):
    headers = {"content-type": "text/html; charset=utf-8"}
    return lambda request: httpx.Response(200, text=html, headers=headers, **options)


async def chunks(*parts: bytes):
    for part in parts:
        yield part


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
async def test_a_long_way_is_reported_in_at_most_nine_lines():
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
