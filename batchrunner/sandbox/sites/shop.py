"""`shop.test`: a small shop whose prices come in many forms, with and without JSON-LD."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from batchrunner.sandbox.sites.rendering import load, page

_PER_PAGE = 9

_SCHEMA_ORG = {
    "In stock": "https://schema.org/InStock",
    "Low stock": "https://schema.org/LimitedAvailability",
    "Out of stock": "https://schema.org/OutOfStock",
    "Pre-order": "https://schema.org/PreOrder",
    "Made to order": "https://schema.org/MadeToOrder",
}


def _stocked(number: int, product: dict[str, Any]) -> dict[str, Any]:
    # 47 is coprime to 360, so products side by side get very different colours.
    defaults = {"markup": "json-ld", "was": None, "sku": f"LL-{number:04}"}
    return {**defaults, **product, "number": number, "hue": number * 47 % 360}


_PRODUCTS = [_stocked(number, product) for number, product in enumerate(load("products"), start=1)]
_PAGES = -(-len(_PRODUCTS) // _PER_PAGE)


def _offer(product: dict[str, Any]) -> dict[str, Any]:
    kind, price = "Offer", "price"
    if product["markup"] == "range":
        kind, price = "AggregateOffer", "lowPrice"
    return {
        "@type": kind,
        price: product["amount"],
        "priceCurrency": product["currency"],
        "availability": _SCHEMA_ORG[product["availability"]],
    }


def _linked_data(product: dict[str, Any]) -> dict[str, Any] | None:
    if product["markup"] in ("html", "broken"):
        return None
    thing = {
        "@type": "Product",
        "name": product["name"],
        "description": product["description"],
        "sku": product["sku"],
        "brand": {"@type": "Brand", "name": product["brand"]},
        "offers": _offer(product),
        "aggregateRating": {
            "@type": "AggregateRating",
            "ratingValue": product["rating"],
            "reviewCount": product["reviews"],
        },
    }
    if product["markup"] == "graph":
        crumbs = {"@type": "BreadcrumbList", "itemListElement": []}
        return {"@context": "https://schema.org", "@graph": [crumbs, thing]}
    return {"@context": "https://schema.org", **thing}


async def _shelf(request: Request) -> HTMLResponse:
    text = request.query_params.get("page", "1")
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 3 else 0
    if not 1 <= number <= _PAGES:
        raise HTTPException(404)
    start = (number - 1) * _PER_PAGE
    return page(
        request,
        "shop_index.html",
        products=_PRODUCTS[start : start + _PER_PAGE],
        page=number,
        pages=_PAGES,
        total=len(_PRODUCTS),
    )


async def _product(request: Request) -> HTMLResponse:
    number = request.path_params["number"]
    if not 1 <= number <= len(_PRODUCTS):
        raise HTTPException(404)
    product = _PRODUCTS[number - 1]
    others = [_PRODUCTS[(number + step) % len(_PRODUCTS)] for step in (0, 1, 2)]
    return page(
        request,
        "shop_product.html",
        product=product,
        linked=_linked_data(product),
        others=others,
    )


ROUTES = [Route("/", _shelf), Route("/products/{number:int}", _product)]
