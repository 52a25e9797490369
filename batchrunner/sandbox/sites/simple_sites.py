"""The sample sites that need only a template and a little data."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from zlib import crc32

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from batchrunner.sandbox.sites.rendering import load, page

_PLANS = load("plans")
_TABLES = load("tables")
_STATIONS = load("stations")
_ARTICLES = load("articles")
_MAX_NAME = 120


async def _pricing(request: Request) -> HTMLResponse:
    return page(request, "pricing.html", plans=_PLANS)


async def _cities(request: Request) -> HTMLResponse:
    return page(request, "data.html", title="Cities", tables=[_TABLES["cities"]])


async def _nature(request: Request) -> HTMLResponse:
    tables = [_TABLES["rivers"], _TABLES["peaks"]]
    return page(request, "data.html", title="Rivers and peaks", tables=tables)


async def _station(request: Request) -> HTMLResponse:
    slug = request.path_params.get("slug", "harbour")
    if slug not in _STATIONS:
        raise HTTPException(404)
    station = _STATIONS[slug]
    text = request.query_params.get("step", "1")
    step = int(text) if text.isascii() and text.isdigit() and len(text) <= 3 else 1
    if step >= station["reads"]:
        return page(request, "slow_station.html", station=station)
    path = request.url.path.removeprefix(request.scope.get("root_path", ""))
    return page(request, "slow_wait.html", path=path, step=step, steps=station["reads"])


def _wall(
    template: str, status: HTTPStatus = HTTPStatus.OK
) -> Callable[[Request], Awaitable[HTMLResponse]]:
    async def answer(request: Request) -> HTMLResponse:
        return page(request, template, status=status)

    return answer


async def _front_page(request: Request) -> HTMLResponse:
    return page(request, "news_index.html", articles=_ARTICLES)


async def _article(request: Request) -> HTMLResponse:
    slug = request.path_params["slug"]
    found = [article for article in _ARTICLES if article["slug"] == slug]
    if not found:
        raise HTTPException(404)
    others = [article for article in _ARTICLES if article["slug"] != slug][:3]
    return page(request, "news_article.html", article=found[0], others=others)


async def _bench(request: Request) -> HTMLResponse:
    path = request.path_params["path"].strip("/")
    words = path.replace("/", " ").replace("_", " ").replace("-", " ")[:_MAX_NAME].strip()
    name = words[:1].upper() + words[1:] or "Test bench"
    price = f"${5 + crc32(path.encode()) % 10_000 / 100:.2f}"
    return page(request, "faults_page.html", name=name, price=price)


_FORM = ["GET", "POST"]

PRICING = [Route("/", _pricing)]
DATA = [Route("/", _cities), Route("/nature", _nature)]
SLOW = [Route("/", _station), Route("/stations/{slug}", _station)]
PORTAL = [
    Route(path, _wall("portal.html"), methods=_FORM) for path in ("/", "/orders", "/invoices")
]
GUARD = [
    Route("/", _wall("guard.html"), methods=_FORM),
    Route("/blocked", _wall("guard.html", HTTPStatus.FORBIDDEN), methods=_FORM),
]
NEWS = [Route("/", _front_page), Route("/articles/{slug}", _article)]
FAULTS = [Route("/{path:path}", _bench)]
