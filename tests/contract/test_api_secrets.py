"""The key goes to the API and nowhere else."""

from __future__ import annotations

import base64
import json
import logging
import traceback
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from api_wire import KEY, FakeApi, Parts, Talk, Wire, http, jobs, nobody, raw
from click.testing import CliRunner

from batchrunner.cli import cli
from batchrunner.model import Refused, RequestFailed
from batchrunner.tinyfish.client import TinyFishClient
from batchrunner.tinyfish.http import AddressError, shown_address
from batchrunner.tinyfish.redaction import Secret


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def refuse(talk: Talk) -> None:
    talk.take()
    talk.send(http(b'{"error": {"code": "FORBIDDEN", "message": "No"}}', "403 Forbidden"))


def garble(talk: Talk) -> None:
    talk.take()
    talk.send(b"\x00\xff\r\n\r\n")


async def use(api: TinyFishClient) -> str:
    """Use every endpoint; return all that their failures say, causes and frames included."""
    said = [repr(await api.create(jobs(2), None)), repr(await api.create_one(jobs(1)[0], None))]
    calls = [
        lambda: api.get("a"),
        lambda: api.get_many(["a"]),
        lambda: api.search("x"),
        lambda: api.cancel("a"),
        lambda: api.cancel_many(["a"]),
    ]
    for call in calls:
        try:
            await call()
        except RequestFailed as error:
            said += ["".join(traceback.format_exception(error)), repr(error), repr(error.fault)]
            said += [repr(error.__cause__), repr(error.__context__), str(error)]
    return "\n".join([*said, repr(api), repr(vars(api)), str(api)])


@pytest.mark.anyio
@pytest.mark.parametrize("behave", [refuse, garble, None])
async def test_neither_failures_nor_logs_nor_reprs_show_the_key(
    behave: type, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    if behave is None:
        async with TinyFishClient(nobody(), KEY) as api:
            said = await use(api)
    else:
        with Wire(behave) as wire:
            async with TinyFishClient(wire.url, KEY) as api:
                said = await use(api)
        # A refused request for many runs is followed by one for the first of them alone.
        assert len(wire.requests) == (9 if behave is refuse else 7)
        assert all(request.count(KEY.encode()) == 1 for request in wire.requests)
    assert "RequestFailed" in said
    assert KEY not in said
    assert KEY not in caplog.text
    assert "/v1/" not in caplog.text


@pytest.mark.parametrize(
    "key", [f"{KEY}\n", f"{KEY}\r\nX: y", f"{KEY}\0", f"{KEY}é", f"\ud83d{KEY}"]
)
def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(ValueError, match="characters") as raised:
        TinyFishClient("https://api.test", key)
    assert KEY not in "".join(traceback.format_exception(raised.value))


@pytest.mark.anyio
async def test_the_key_is_in_one_header_of_every_request_and_in_nothing_else() -> None:
    fake = FakeApi(httpx.Response(200, json={}))
    async with fake.api as api:
        await use(api)
    assert len(fake.requests) == 7
    for request in fake.requests:
        assert request.headers["X-API-Key"] == KEY
        assert "Authorization" not in request.headers
        others = [value for name, value in request.headers.items() if name != "x-api-key"]
        assert KEY not in f"{request.url}{others}{request.content!r}"
        assert (request.url.scheme, request.url.host) == ("https", "api.test")


@pytest.mark.anyio
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    fake = FakeApi(lambda request: raw(b"", status, location="https://evil.test/"))
    async with fake.api as api:
        await use(api)
    assert {request.url.host for request in fake.requests} == {"api.test"}
    assert len(fake.requests) == 7


@pytest.mark.parametrize(
    "address",
    [
        "http://api.test",
        "http://10.0.0.1",
        "http://127.0.0.1.evil.test",
        "http://localhost.evil.test",
        "http://0.0.0.0",
        "HTTP://api.test",
        "ftp://api.test",
        "api.test",
        "//api.test",
        "https://",
        "https://user:pass@api.test",
        "http://127.0.0.1@evil.test",
        "",
        "https://api.test:port",
        "http://[::1",
    ],
)
def test_an_address_that_would_give_the_key_away_is_refused(address: str) -> None:
    with pytest.raises(AddressError) as raised:
        TinyFishClient(address, KEY)
    assert KEY not in str(raised.value)


@pytest.mark.parametrize(
    "address",
    [
        "http://user:PASSWORD1@127.0.0.1:1",
        "https://user:PASSWORD1@api.test",
        "https://user:x@PASSWORD1@api.test",
        "https://user:x/PASSWORD1@api.test",
        "https://user:x:PASSWORD1@[::1",
        "user:PASSWORD1@api.test",
        "http://PASSWORD1@api.test",
        "https://user:PASSWORD1",
        "https://user:PASSWORD1/api.test",
        "https://user:1PASSWORD1:8443",
        "user:PASSWORD1",
        "https:/user:PASSWORD1",
        "https://api.test/?key=PASSWORD1",
        "https://api.test#PASSWORD1",
        "https://user:12345:PASSWORD1@",
        "https://user:\nPASSWORD1",
    ],
)
def test_an_address_that_is_refused_is_shown_without_its_password(address: str) -> None:
    with pytest.raises(AddressError) as raised:
        TinyFishClient(address, KEY)
    assert "PASSWORD1" not in "".join(traceback.format_exception(raised.value))
    assert "***" in str(raised.value)


@pytest.mark.parametrize("command", [["estimate", "j.yaml"], ["wallet"], ["doctor"]])
@pytest.mark.parametrize("address", ["https://user:PASSWORD1@[::1", "https://user:PASSWORD1"])
def test_no_command_shows_the_password_of_an_address(
    command: list[str], address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "j.yaml").write_text("- {url: 'https://shop.example/1', goal: Read}")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(
        cli, command, env={"TINYFISH_BASE_URL": address, "TINYFISH_API_KEY": KEY}
    )
    assert result.exit_code in (2, 3), result.output
    assert isinstance(result.exception, SystemExit)
    assert "PASSWORD1" not in result.output
    assert "***" in result.output or "address" in result.output


@pytest.mark.parametrize(
    "address", ["api.test:8443", "ftp://api.test", "http://api.test:80/v1", "//api.test", "http://"]
)
def test_an_address_without_a_secret_is_shown_as_it_is(address: str) -> None:
    assert shown_address(address) == address


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("https://agent.tinyfish.ai", "https://agent.tinyfish.ai"),
        ("https://api.test:8443/", "https://api.test:8443"),
        ("HTTPS://API.test", "https://api.test"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_a_safe_address_is_accepted(address: str, origin: str) -> None:
    assert TinyFishClient(address, KEY).origin == origin


@pytest.mark.anyio
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_no_proxy_stands_between_us_and_this_machine(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Wire(garble) as proxy:
        monkeypatch.setenv(variable, proxy.url)
        async with TinyFishClient(nobody(), KEY) as api:
            assert isinstance(await api.create(jobs(1), None), Refused)
    assert proxy.connections == 0


@pytest.mark.anyio
async def test_an_answer_that_repeats_the_key_in_a_cookie_takes_it_nowhere() -> None:
    headers = {"Set-Cookie": f"key={KEY}; Domain=evil.test"}
    fake = FakeApi(lambda request: httpx.Response(200, headers=headers, stream=Parts([b"{}"])))
    async with fake.api as api:
        await use(api)
    assert not any("cookie" in request.headers for request in fake.requests)


# ---- a key that the API repeats in another form ----

LONG_KEY = "sk-tf_A1/b+2=C3.d4"


def in_json(char: str) -> str:
    return f"\\u{ord(char):04x}"


#: How a server, a gateway or a page in between may write text that it repeats.
FORMS = {
    "as it is": LONG_KEY,
    "escaped in JSON": "".join(map(in_json, LONG_KEY)),
    "in upper case": "".join(map(in_json, LONG_KEY)).replace("\\U", "\\u").upper(),
    "one character of it": LONG_KEY.replace("A", in_json("A")),
    "the last character": LONG_KEY[:-1] + in_json("4"),
    "slashes escaped": LONG_KEY.replace("/", "\\/"),
    "in JSON in JSON": json.dumps(json.dumps("".join(map(in_json, LONG_KEY)))),
    "in a url": quote(LONG_KEY, safe=""),
    "in a url, lower case": LONG_KEY.replace("/", "%2f").replace("+", "%2b").replace("=", "%3d"),
    "every byte in a url": "".join(f"%{ord(char):02X}" for char in LONG_KEY),
    "twice in a url": quote(quote(LONG_KEY, safe=""), safe=""),
    "in a page": "".join(f"&#{ord(char)};" for char in LONG_KEY),
    "in a page, hex": LONG_KEY.replace("/", "&#x2F;").replace("+", "&#x2b;"),
    "in a page in a page": LONG_KEY.replace("/", "&amp;#x2f;"),
    "in JavaScript": "".join(f"\\x{ord(char):02x}" for char in LONG_KEY),
    "code points": "".join(f"\\u{{{ord(char):x}}}" for char in LONG_KEY),
    "hex digits": LONG_KEY.encode().hex(),
    "basic authentication": base64.b64encode(f"user:{LONG_KEY}".encode()).decode(),
    "base64 without a user": base64.b64encode(f":{LONG_KEY}!".encode()).decode(),
    "base64 of the key": base64.urlsafe_b64encode(LONG_KEY.encode()).decode(),
    "mixed": in_json("s") + "%6b" + LONG_KEY[2:-1] + "&#52;",
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_key_is_removed_in_every_form(form: str) -> None:
    said = f'{{"a": "before {form} after", "caf\\u00e9": "50% \\"A1\\" &amp; \\/"}}'
    cleaned = Secret(LONG_KEY).removed_from(said.encode())
    rest = said.partition(form)
    assert cleaned.startswith(rest[0].encode())
    assert cleaned.endswith(rest[2].encode())
    assert b"***" in cleaned
    kept = cleaned[len(rest[0]) : len(cleaned) - len(rest[2])].decode()
    assert len(kept.replace("***", "").strip('"\\=')) <= 8, "only what surrounds it in base64"
    assert Secret(LONG_KEY).removed_from_text(said).encode() == cleaned


def test_an_answer_without_the_key_is_not_changed() -> None:
    said = rb'{"a": "sk-\u0074f_ %41 \\ \/ &#65; sk-tf_A1/b+2=C3.d"}'
    assert Secret(LONG_KEY).removed_from(said) is said


@pytest.mark.anyio
async def test_an_escaped_key_reaches_neither_messages_nor_results() -> None:
    escaped = "".join(map(in_json, KEY))
    body = f'{{"error": {{"code": "FORBIDDEN", "message": "Key {escaped} is odd"}}}}'
    fake = FakeApi(lambda request: httpx.Response(403, stream=Parts([body.encode()])))
    async with fake.api as api:
        answer = await api.create(jobs(1), None)
    assert isinstance(answer, Refused)
    assert answer.fault.message == "Key *** is odd"


@pytest.mark.anyio
async def test_another_secret_that_the_api_repeats_is_removed_from_its_answers() -> None:
    secret = "c2VjcmV0LXBhdGgtb2YtYS1ydW4"
    said = f'{{"error": {{"code": "INVALID_INPUT", "message": "https://a.test/{secret}?"}}}}'

    def repeat(talk: Talk) -> None:
        talk.take()
        talk.send(http(said.encode(), "400 Bad Request"))

    with Wire(repeat) as wire:
        async with TinyFishClient(wire.url, KEY) as api:
            api.hide(secret)
            answer = await api.create(jobs(1), None)
    assert isinstance(answer, Refused)
    assert answer.fault.message == "https://a.test/***?"
