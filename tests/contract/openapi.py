"""The contract in docs/openapi.yaml as a judge of HTTP traffic."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import yaml
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

_NAME = "urn:openapi"
_DOCUMENT: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[2] / "docs" / "openapi.yaml").read_text(encoding="utf-8")
)
_REGISTRY: Registry[Any] = Registry().with_resource(
    _NAME, Resource(contents=_DOCUMENT, specification=DRAFT202012)
)


def mistakes(value: Any, schema: str) -> list[str]:
    """Say how a value breaks the schema at a JSON pointer of the document."""
    validator = Draft202012Validator(
        {"$ref": f"{_NAME}#{schema}"}, registry=_REGISTRY, format_checker=FormatChecker()
    )
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


def check_response(method: str, path: str, status: int, content_type: str, body: bytes) -> None:
    """Assert that an answer is one that the contract lists for this request."""
    operation = _operation(method, path)
    responses = _at(operation + "/responses")
    key = str(status) if str(status) in responses else f"{status // 100}XX"
    assert key in responses, f"{method} {path} does not list {status}"
    content = _resolved(f"{operation}/responses/{key}") + "/content"
    media = content_type.split(";")[0]
    assert media in _at(content), f"{method} {path} {status} is not {media}"
    if media == "application/json":
        schema = f"{content}/application~1json/schema"
        assert mistakes(json.loads(body), schema) == [], body


def check_request(method: str, path: str, body: bytes) -> None:
    """Assert that the contract allows this body."""
    request = _operation(method, path) + "/requestBody"
    if body:
        schema = _resolved(request) + "/content/application~1json/schema"
        assert mistakes(json.loads(body), schema) == [], body


class Checked(httpx.AsyncBaseTransport):
    """Hold all traffic to the contract: every answer, and every request that was accepted.

    Only `tolerated` statuses may differ, which stand for what answers in the API's place.
    """

    def __init__(
        self, inner: httpx.AsyncBaseTransport, *, tolerated: frozenset[int] = frozenset()
    ) -> None:
        self._inner = inner
        self._tolerated = tolerated

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        body = await response.aread()
        if response.status_code in self._tolerated:
            return response
        media = response.headers["content-type"]
        check_response(request.method, request.url.path, response.status_code, media, body)
        if response.is_success:
            check_request(request.method, request.url.path, await request.aread())
        return response


def _operation(method: str, path: str) -> str:
    exact = [template for template in _DOCUMENT["paths"] if template == path]
    fitting = [
        template
        for template in _DOCUMENT["paths"]
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path)
    ]
    for template in exact + fitting:
        if method.lower() in _DOCUMENT["paths"][template]:
            return f"/paths/{_escaped(template)}/{method.lower()}"
    raise AssertionError(f"the contract has no {method} {path}")


def _resolved(pointer: str) -> str:
    reference = _at(pointer).get("$ref")
    return pointer if reference is None else reference.removeprefix("#")


def _at(pointer: str) -> Any:
    value: Any = _DOCUMENT
    for token in pointer.split("/")[1:]:
        value = value[token.replace("~1", "/").replace("~0", "~")]
    return value


def _escaped(token: str) -> str:
    return token.replace("~", "~0").replace("/", "~1")
