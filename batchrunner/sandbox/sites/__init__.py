"""Sample websites that the sandbox's agent reads over HTTP."""

from __future__ import annotations

from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import BaseRoute, Host, Mount, Route, Router

from batchrunner.sandbox.sites import shop, simple_sites
from batchrunner.sandbox.sites.rendering import page

__all__ = ["sites_app"]

#: by name: its pages, and one sentence for people
_SITES: dict[str, tuple[list[Route], str]] = {
    "shop": (shop.ROUTES, "A small shop: 26 products, many currencies, three pages."),
    "pricing": (simple_sites.PRICING, "Three plans with a price and a list of features each."),
    "data": (simple_sites.DATA, "Tables of cities, rivers and peaks."),
    "slow": (simple_sites.SLOW, "Weather readings that take a few reloads to appear."),
    "portal": (simple_sites.PORTAL, "A login wall."),
    "guard": (simple_sites.GUARD, "A captcha."),
    "news": (simple_sites.NEWS, "A front page and five stories."),
    "faults": (simple_sites.FAULTS, "An ordinary page at every path."),
}


def sites_app() -> Starlette:
    """Build the sample sites as one application.

    A site answers on its own host (`shop.test`) and, so that a browser can open it without a
    name server, below `/sites/<name>/` on every other host. Everything else is a 404 page.
    """
    hosts: list[BaseRoute] = []
    mounts: list[BaseRoute] = []
    for name, (routes, _) in _SITES.items():
        site = Router(routes)
        hosts.append(Host(f"{name}.test", app=site))
        mounts.append(Mount(f"/sites/{name}", app=site))
    return Starlette(
        routes=[*hosts, *mounts, Route("/sites/", _index)],
        exception_handlers={HTTPException: _error},
    )


async def _index(request: Request) -> HTMLResponse:
    sites = [(name, sentence) for name, (_, sentence) in _SITES.items()]
    return page(request, "sites_index.html", sites=sites)


async def _error(request: Request, exc: Exception) -> HTMLResponse:
    status = HTTPStatus(exc.status_code if isinstance(exc, HTTPException) else 500)
    return page(
        request,
        "error.html",
        status=status,
        code=status.value,
        phrase=status.phrase,
        explanation=status.description or "The site cannot answer this.",
    )
