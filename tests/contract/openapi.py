"""The contract in docs/openapi.yaml as a judge of HTTP traffic."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, MutableMapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

import httpx
import jsonschema_rs
import yaml
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from batchrunner.sandbox import SandboxConfig

_DOCUMENT: dict[str, Any] = yaml.load(
    (Path(__file__).parents[2] / "docs" / "openapi.yaml").read_text(encoding="utf-8"),
    getattr(yaml, "CSafeLoader", yaml.SafeLoader),
)
_NAME = "urn:openapi"
#: What stands in a JSON pointer as it is.
_POINTER = "/~"
_REGISTRY = jsonschema_rs.Registry([(_NAME, _DOCUMENT)])
#: Nobody but a browser asks for these, and the contract leaves them out.
_OUTSIDE = ("/v1/vault/", "/v1/profiles", "/live/", "/runs/", "/artifacts/")
#: Variants and answers of the sandbox that break the contract on purpose.
STRAYS = frozenset(
    {
        ("run_batch", "missing"),
        ("batch_error", "plain"),
        ("batch_error", "listed"),
        ("batch_error", "ok"),
        ("envelope", "flat"),
        ("no_credits", "403_credits"),
        ("sync_status", "500"),
        ("stream_error", "text"),
        ("names", "camel"),
        ("run_error", "bare"),
        ("failure_wait", "missing"),
        ("run_help", "beside"),
        ("result_error", "beside"),
        ("result", "text"),
        ("steps_so_far", "list"),
        ("profile_keys", "absent"),
        ("listed_runs", "short"),
        ("unknown_keys", "ignored"),
        ("webhook_url", "http"),
        ("wallet", "short"),
    }
)
#: Fates of runs that the contract does not know.
STRAYING_FATES = frozenset(
    {"lingering", "misspelled", "expired", "expired_with_result", "expired_silently"}
)
#: Answers to these are no JSON, and not described beyond their type.
_MEDIA = ("image/jpeg", "text/html")


def mistakes(value: Any, schema: str) -> list[str]:
    """Say how a value breaks the schema at a JSON pointer of the document."""
    found = _validator(schema).iter_errors(value)
    return [f"{list(error.instance_path)}: {error.message}" for error in found]


@cache
def _validator(schema: str) -> Any:
    return jsonschema_rs.Draft202012Validator(
        {"$ref": f"{_NAME}#{quote(schema, safe=_POINTER)}"},
        registry=_REGISTRY,
        validate_formats=True,
    )


def check_response(method: str, path: str, status: int, content_type: str, body: bytes) -> None:
    """Assert that an answer is one that the contract lists for this request."""
    operation = _operation(method, path)
    responses = _at(operation + "/responses")
    key = str(status) if str(status) in responses else f"{status // 100}XX"
    assert key in responses, f"{method} {path} does not list {status}"
    content = _resolved(f"{operation}/responses/{key}") + "/content"
    media = content_type.split(";")[0]
    assert media in _at(content), f"{method} {path} {status} is not {media}"
    if media == "text/event-stream":
        check_stream(body)
    elif media not in _MEDIA:
        schema = f"{content}/application~1json/schema"
        assert mistakes(json.loads(body), schema) == [], body


def check_stream(body: bytes) -> None:
    """Assert that a stream is frames of events in their order; it may break off anywhere."""
    *frames, _ = body.decode().split("\n\n")
    kinds = []
    for frame in frames:
        assert frame.startswith("data: "), frame
        data = frame.removeprefix("data: ")
        assert mistakes({"data": data}, "/components/schemas/SseFrame") == []
        event = json.loads(data)
        assert mistakes(event, "/components/schemas/SseEvent") == [], event
        kinds.append(event["type"])
    order = " ".join(kind for kind in kinds if kind != "HEARTBEAT")
    whole = r"STARTED( STREAMING_URL)?( PROGRESS)*( COMPLETE)?"
    assert re.fullmatch(whole, order) or not order, order


def check_request(method: str, path: str, query: bytes, body: bytes) -> None:
    """Assert that the contract allows this body, this path and this query."""
    operation = _operation(method, path)
    known = _at(operation)
    if "requestBody" in known:
        content = _resolved(f"{operation}/requestBody") + "/content"
        schema = f"{content}/application~1json/schema"
        assert mistakes(json.loads(body), schema) == [], body
    else:
        assert not body, f"{method} {path} takes no body"
    schemas = dict(_parameters(operation))
    for name, text in parse_qsl(query.decode(), keep_blank_values=True):
        assert ("query", name) in schemas, f"{method} {path} has no {name}"
        pointer = schemas["query", name]
        value = int(text) if _at(pointer).get("type") == "integer" else text
        assert mistakes(value, pointer) == [], f"{name}={text}"


def _parameters(operation: str) -> Iterator[tuple[tuple[str, str], str]]:
    for place, _ in enumerate(_at(operation).get("parameters", ())):
        pointer = _resolved(f"{operation}/parameters/{place}")
        parameter = _at(pointer)
        schema = _resolved(f"{pointer}/schema")
        yield (parameter["in"], parameter["name"]), schema


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
        method, path = request.method, request.url.path
        check_response(method, path, response.status_code, media, body)
        if response.is_success:
            check_request(method, path, request.url.query, await request.aread())
        return response


class Judged:
    """An ASGI application whose traffic is held to the contract, both ways.

    An answer in the API's place and one that breaks off are not the API's; what the contract does
    not speak of is let through.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.seen = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_OUTSIDE):
            await self._app(scope, receive, send)
            return
        sent, answer = bytearray(), bytearray()
        head: MutableMapping[str, Any] = {}
        whole = False

        async def received() -> Message:
            message = await receive()
            sent.extend(message.get("body", b""))
            return message

        async def checked_send(message: Message) -> None:
            nonlocal whole
            head.update(message if message["type"] == "http.response.start" else {})
            answer.extend(message.get("body", b""))
            whole = message["type"] == "http.response.body" and not message.get("more_body")
            await send(message)

        await self._app(scope, received, checked_send)
        if whole:
            self._judge(scope, bytes(sent), head, bytes(answer))

    def _judge(
        self, scope: Scope, sent: bytes, head: MutableMapping[str, Any], answer: bytes
    ) -> None:
        headers = dict(head["headers"])
        media, status = headers.get(b"content-type", b"").decode(), head["status"]
        if status in (302, 502) or media == "image/svg+xml" or b"content-encoding" in headers:
            return
        method, path = scope["method"], scope["path"]
        if not _is_known(method, path):
            assert status in (401, 404, 405), f"{method} {path} answers {status}"
            return
        self.seen += 1
        check_response(method, path, status, media, answer)
        if status < 300:
            check_request(method, path, scope["query_string"], sent)


def judging(app: ASGIApp, world: SandboxConfig) -> ASGIApp:
    """Hold the API of a sandbox to the contract, unless its world is one that leaves it."""
    keeps = STRAYS.isdisjoint(world.variants.items())
    known = STRAYING_FATES.isdisjoint({*world.script.values(), *world.rates})
    return Judged(app) if keeps and known else app


class Judging:
    """The same for a server, which swallows what its application raises: mistakes are kept."""

    def __init__(self) -> None:
        self.mistakes: list[str] = []

    def __call__(self, app: ASGIApp, world: SandboxConfig) -> ASGIApp:
        judged = judging(app, world)

        async def front(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                await judged(scope, receive, send)
            except AssertionError as mistake:
                self.mistakes.append(str(mistake))
                raise

        return front


def _is_known(method: str, path: str) -> bool:
    try:
        _operation(method, path)
    except AssertionError:
        return False
    return True


@lru_cache(maxsize=4096)
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
        token = token.replace("~1", "/").replace("~0", "~")
        value = value[int(token) if isinstance(value, list) else token]
    return value


def _escaped(token: str) -> str:
    return token.replace("~", "~0").replace("/", "~1")
