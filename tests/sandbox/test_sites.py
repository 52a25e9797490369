"""The sample sites answer on their hosts and below /sites, with valid pages and no dead links."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import httpx
import pytest
from selectolax.lexbor import LexborHTMLParser

from batchrunner.sandbox.sites import sites_app

pytestmark = pytest.mark.anyio

NAMES = ("shop", "pricing", "data", "slow", "portal", "guard", "news", "faults")
VOID = {"meta", "link", "br", "img", "input", "hr"}


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param


def browser() -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(sites_app()), follow_redirects=True)


class Balance(HTMLParser):
    """Complains about an element that is not closed where it should be."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), f"an attribute of <{tag}> is there twice"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def assert_valid(html: str) -> None:
    checker = Balance()
    checker.feed(html)
    checker.close()
    assert not checker.open
    assert html.startswith("<!DOCTYPE html>")
    tree = LexborHTMLParser(html)
    assert [len(tree.css(part)) for part in ("title", "main", "h1")] == [1, 1, 1]
    assert tree.css_first("html").attributes["lang"]
    assert tree.css_first("meta[name=viewport]")


async def crawl(start: str) -> dict[str, httpx.Response]:
    answers: dict[str, httpx.Response] = {}
    waiting = [start]
    async with browser() as client:
        while waiting:
            address = waiting.pop()
            if address in answers:
                continue
            answer = answers[address] = await client.get(address)
            links = LexborHTMLParser(answer.text).css("a[href]")
            waiting += [str(answer.url.join(link.attributes["href"])) for link in links]
    return answers


@pytest.mark.parametrize("name", NAMES)
async def test_a_site_is_the_same_on_its_host_and_below_sites(name):
    at_host = await crawl(f"http://{name}.test/")
    below = await crawl(f"http://127.0.0.1:8000/sites/{name}/")
    assert len(at_host) == len(below)
    for address, answer in {**at_host, **below}.items():
        assert answer.status_code == 200, address
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert_valid(answer.text)


async def test_the_shop_is_complete():
    answers = await crawl("http://shop.test/")
    numbers = {int(found.group(1)) for url in answers if (found := re.search(r"s/(\d+)$", url))}
    assert numbers == set(range(1, 27))
    kinds = []
    for number in numbers:
        tree = LexborHTMLParser(answers[f"http://shop.test/products/{number}"].text)
        script = tree.css_first('script[type="application/ld+json"]')
        try:
            kinds.append("none" if script is None else "json" and type(json.loads(script.text())))
        except ValueError:
            kinds.append("broken")
    assert (kinds.count("none"), kinds.count("broken"), kinds.count(dict)) == (5, 1, 20)


@pytest.mark.parametrize(
    "address",
    [
        "http://shop.test/products/27",
        "http://shop.test/products/0",
        "http://shop.test/products/x",
        "http://shop.test/?page=4",
        "http://shop.test/?page=²",
        "http://slow.test/stations/moon",
        "http://news.test/articles/nothing",
        "http://pricing.test/enterprise",
        "http://data.test/x",
        "http://portal.test/x",
        "http://guard.test/x",
        "http://nobody.test/",
        "http://localhost/",
        "http://localhost/sites/nobody/",
    ],
)
async def test_an_unknown_address_is_a_proper_404_page(address):
    async with browser() as client:
        answer = await client.get(address)
    assert answer.status_code == 404
    assert_valid(answer.text)


@pytest.mark.parametrize("address", ["http://x/sites/shop", "http://x/sites"])
async def test_a_missing_slash_is_forgiven(address):
    async with browser() as client:
        answer = await client.get(address)
    assert answer.status_code == 200
    assert answer.url.path.endswith("/")


async def test_the_index_leads_to_every_site():
    async with browser() as client:
        tree = LexborHTMLParser((await client.get("http://localhost/sites/")).text)
    assert [link.attributes["href"] for link in tree.css("a")] == [f"/sites/{n}/" for n in NAMES]


@pytest.mark.parametrize(("station", "reads"), [("harbour", 3), ("lighthouse", 4), ("ridge", 3)])
async def test_slow_pages_ask_for_patience_without_remembering_anyone(station, reads):
    url = httpx.URL(f"http://slow.test/stations/{station}")
    waits = 0
    async with browser() as client:
        while meta := LexborHTMLParser((await client.get(url)).text).css_first("[http-equiv]"):
            waits += 1
            url = url.join(meta.attributes["content"].removeprefix("0;url="))
    assert waits == reads - 1


async def test_walls_answer_forms_with_the_same_wall():
    async with browser() as client:
        for url, status in (
            ("http://portal.test/orders", 200),
            ("http://guard.test/", 200),
            ("http://guard.test/blocked", 403),
        ):
            for method in ("GET", "POST"):
                answer = await client.request(method, url)
                assert answer.status_code == status
                assert LexborHTMLParser(answer.text).css_first("form")


async def test_a_method_that_a_page_does_not_take_is_a_page_too():
    async with browser() as client:
        answer = await client.post("http://news.test/")
    assert answer.status_code == 405
    assert_valid(answer.text)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("", "Test bench"),
        ("goal_failure/3", "Goal failure 3"),
        ("%3Cscript%3Ealert(1)%3C/script%3E", "<script>alert(1)< script>"),
        ("a" * 300, "A" + "a" * 119),
    ],
)
async def test_the_test_bench_names_a_page_after_its_path(path, name):
    async with browser() as client:
        answer = await client.get(f"http://faults.test/{path}")
        again = await client.get(f"http://faults.test/{path}")
    assert answer.text == again.text
    assert_valid(answer.text)
    tree = LexborHTMLParser(answer.text)
    assert tree.css_first("h1").text() == name
    assert not tree.css("script")
