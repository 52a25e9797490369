"""What comes from the API about artifacts is hostile: each threat is refused, one by one."""

from __future__ import annotations

import gzip
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import anyio
import httpx
import pytest
import trio.testing

from batchrunner.artifacts import download
from batchrunner.artifacts.download import (
    ArtifactDownloader,
    Downloaded,
    DownloadFailed,
    DownloadFailure,
)
from batchrunner.artifacts.url_safety import is_public
from batchrunner.model.artifacts import ArtifactKind

pytestmark = pytest.mark.anyio

KEY = "sk-tinyfish-canary-5b1e07"
API = "https://api.example"
LOOPBACK = "http://127.0.0.1:8787"
PUBLIC = "93.184.215.14"
JPEG = b"\xff\xd8\xff\xe0" + b"picture" * 200
MP4 = b"\0\0\0\x18ftypisom" + b"frames" * 200
PAGE = b"<!doctype html><p>18.50</p>"

Answer = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


class World:
    """An API and the rest of the network, which remember what they were asked."""

    def __init__(
        self,
        answer: Answer,
        *,
        hosts: dict[str, Sequence[str]] | None = None,
        api: str = API,
    ) -> None:
        self.api: list[httpx.Request] = []
        self.outside: list[httpx.Request] = []
        self.lookups: list[str] = []
        self._hosts = hosts or {}
        self._answer = answer
        self.received = b""
        self.fetcher = ArtifactDownloader(
            api,
            KEY,
            httpx.MockTransport(lambda request: self._note(self.api, request)),
            resolve=self._resolve,
            outside=httpx.MockTransport(lambda request: self._note(self.outside, request)),
        )

    def _note(self, asked: list[httpx.Request], request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return self._answer(request)

    async def _resolve(self, host: str, port: int) -> Sequence[str]:
        self.lookups.append(host)
        return self._hosts.get(host, (PUBLIC,))

    async def take(self, block: bytes) -> None:
        self.received += block

    async def address(self, address: str, kind: ArtifactKind = ArtifactKind.VIDEO) -> Downloaded:
        async with self.fetcher:
            return await self.fetcher.address(address, kind, self.take)

    async def step(
        self, step: str = "s-1", kind: ArtifactKind = ArtifactKind.SCREENSHOTS
    ) -> Downloaded:
        async with self.fetcher:
            return await self.fetcher.step("run-1", step, kind, self.take)


def saying(content: bytes, media: str = "video/mp4", **headers: str) -> Answer:
    named = {"content-type": media, **{k.replace("_", "-"): v for k, v in headers.items()}}
    return lambda request: httpx.Response(200, content=content, headers=named)


async def refused(brought: Any) -> DownloadFailed:
    with pytest.raises(DownloadFailed) as raised:
        await brought
    return raised.value


# ---- what is good is downloaded ----


async def test_a_step_comes_by_the_key_and_a_recording_without_it() -> None:
    world = World(saying(JPEG, "image/jpeg"))
    brought = await world.step()
    assert (brought.media, brought.size, world.received) == ("image/jpeg", len(JPEG), JPEG)
    assert world.api[0].headers["X-API-Key"] == KEY
    assert world.api[0].url == f"{API}/v1/runs/run-1/steps/s-1/screenshot"
    world = World(saying(MP4))
    assert (await world.address("https://cdn.example/a.mp4?signature=x")).media == "video/mp4"
    [asked] = world.outside
    assert KEY not in str(asked.headers)
    assert (asked.url.host, asked.headers["Host"]) == (PUBLIC, "cdn.example")
    assert asked.extensions["sni_hostname"] == "cdn.example"
    assert asked.headers["Accept-Encoding"] == "identity"


async def test_the_sandbox_of_this_machine_is_the_only_plain_http_that_is_asked() -> None:
    world = World(saying(MP4), api=LOOPBACK)
    await world.address(f"{LOOPBACK}/artifacts/a.mp4")
    assert "X-API-Key" not in world.api[0].headers
    for other in ("http://127.0.0.1:8788/a.mp4", "http://localhost:8787/a.mp4"):
        error = await refused(World(saying(MP4), api=LOOPBACK).address(other))
        assert (error.kind, error.message) == (DownloadFailure.REFUSED, "its address is not https")


async def test_a_store_that_does_not_say_a_type_is_believed_by_the_bytes() -> None:
    world = World(saying(MP4, "binary/octet-stream"))
    assert (await world.address("https://cdn.example/a")).media == "video/mp4"


async def test_the_next_address_of_a_host_is_asked_where_the_first_does_not_answer() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == PUBLIC:
            raise httpx.ConnectError("unreachable")
        return httpx.Response(200, content=MP4)

    world = World(answer, hosts={"cdn.example": (PUBLIC, "93.184.215.15")})
    await world.address("https://cdn.example/a")
    assert [request.url.host for request in world.outside] == [PUBLIC, "93.184.215.15"]


# ---- addresses ----

ADDRESSES = {
    "plain_http": "http://cdn.example/a.mp4",
    "file": "file:///etc/passwd",
    "data": "data:video/mp4;base64,AAAA",
    "ftp": "ftp://cdn.example/a.mp4",
    "javascript": "javascript:alert(1)",
    "no_host": "https:///a.mp4",
    "relative": "/v1/runs",
    "credentials": "https://user:password@cdn.example/a.mp4",
    "the_api_as_a_user_name": "https://api.example@127.0.0.1/a.mp4",
    "backslash": "https://cdn.example\\@127.0.0.1/a.mp4",
    "line_break": "https://cdn.example/a\r\nX-API-Key: x",
    "endless_address": "https://cdn.example/" + "a" * 9000,
    "bad_port": "https://cdn.example:99999/a",
    "loopback": "https://127.0.0.1/a",
    "loopback_v6": "https://[::1]/a",
    "loopback_name": "https://localhost/a",
    "any": "https://0.0.0.0/a",
    "decimal": "https://2130706433/a",
    "octal": "https://0177.0.0.1/a",
    "hexadecimal": "https://0x7f.1/a",
    "short": "https://127.1/a",
    "full_width_digits": "https://１２７.0.0.1/a",
    "metadata": "https://169.254.169.254/latest/meta-data/",
    "mapped_metadata": "https://[::ffff:169.254.169.254]/a",
    "private": "https://10.0.0.8/a",
    "shared": "https://100.64.0.1/a",
    "unique_local": "https://[fd00::1]/a",
    "link_local_v6": "https://[fe80::1]/a",
    "multicast": "https://224.0.0.1/a",
    "six_to_four": "https://[2002:7f00:1::]/a",
    "nat64": "https://[64:ff9b::7f00:1]/a",
}


def as_the_system_reads(host: str) -> Sequence[str]:
    """Read numbers in every form that the system's own lookup takes; no name server is asked."""
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, 443)]


@pytest.mark.parametrize("threat", ADDRESSES)
async def test_an_address_is_refused_and_nobody_is_asked(threat: str) -> None:
    world = World(saying(MP4))

    async def resolve(host: str, port: int) -> Sequence[str]:
        return as_the_system_reads(host)

    world.fetcher._resolve = resolve
    error = await refused(world.address(ADDRESSES[threat]))
    assert error.kind is DownloadFailure.REFUSED
    assert (world.api, world.outside) == ([], [])


@pytest.mark.parametrize("inner", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fe80::1%1"])
async def test_a_name_that_leads_into_a_private_network_is_refused(inner: str) -> None:
    world = World(saying(MP4), hosts={"evil.example": (PUBLIC, inner)})
    error = await refused(world.address("https://evil.example/a"))
    assert (error.kind, world.outside) == (DownloadFailure.REFUSED, [])


async def test_a_name_server_that_changes_its_mind_is_not_asked_again() -> None:
    world = World(saying(MP4))
    await world.address("https://rebinding.example/a")
    assert world.lookups == ["rebinding.example"]
    assert world.outside[0].url.host == PUBLIC


def test_what_is_public_is_recognized_in_every_form() -> None:
    assert all(map(is_public, [PUBLIC, "2606:2800:21f:cb07::1", f"::ffff:{PUBLIC}"]))
    assert not any(
        map(is_public, ["192.168.0.1", "::", "255.255.255.255", "name", "", "198.18.0.1"])
    )


# ---- redirects ----


def leading(*places: str) -> Answer:
    """Redirect from place to place, and answer with a recording at the last one."""
    left = iter(places)

    def answer(request: httpx.Request) -> httpx.Response:
        place = next(left, None)
        if place is None:
            return httpx.Response(200, content=MP4, headers={"content-type": "video/mp4"})
        return httpx.Response(302, headers={"location": place, "set-cookie": "session=me"})

    return answer


async def test_three_redirects_are_followed_without_key_and_cookies() -> None:
    places = ("https://b.example/", "https://c.example/", "https://b.example/d")
    world = World(leading(*places))
    await world.address("https://a.example/")
    assert len(world.outside) == 4
    assert all("cookie" not in request.headers for request in world.outside)
    assert all(KEY not in str(request.headers) for request in world.outside)


async def test_the_key_does_not_follow_a_redirect_of_the_api() -> None:
    picture = httpx.Response(200, content=JPEG, headers={"content-type": "image/jpeg"})
    answers = iter([httpx.Response(302, headers={"location": "https://cdn.example/a"}), picture])
    world = World(lambda _: next(answers))
    await world.step()
    assert world.api[0].headers["X-API-Key"] == KEY
    assert KEY not in str(world.outside[0].headers)


async def test_not_even_back_to_the_api() -> None:
    picture = httpx.Response(200, content=JPEG, headers={"content-type": "image/jpeg"})
    answers = iter([httpx.Response(302, headers={"location": f"{API}/a"}), picture])
    world = World(lambda _: next(answers))
    await world.step()
    assert [("X-API-Key" in request.headers) for request in world.api] == [True, False]


REDIRECTS = {
    "a_fourth": [f"https://{letter}.example/" for letter in "bcde"],
    "to_plain_http": ["http://b.example/"],
    "to_loopback": ["https://127.0.0.1/"],
    "to_metadata_behind_a_good_one": ["https://b.example/", "https://169.254.169.254/"],
    "to_a_file": ["file:///etc/passwd"],
    "with_credentials": ["https://user:password@b.example/"],
    "to_nowhere": ["https://[/"],
}


@pytest.mark.parametrize("threat", REDIRECTS)
async def test_a_redirect_is_refused(threat: str) -> None:
    world = World(leading(*REDIRECTS[threat]), hosts={h: (h,) for h in ("127.0.0.1",)})
    world._hosts["169.254.169.254"] = ("169.254.169.254",)
    assert (await refused(world.address("https://a.example/"))).kind is DownloadFailure.REFUSED
    assert not any(request.url.host.startswith(("127.", "169.")) for request in world.outside)


# ---- bytes ----

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
BYTES: dict[str, tuple[ArtifactKind, Answer]] = {
    "script_for_a_picture": (ArtifactKind.SCREENSHOTS, saying(SVG, "image/svg+xml")),
    "script_that_says_to_be_a_picture": (ArtifactKind.SCREENSHOTS, saying(SVG, "image/jpeg")),
    "page_for_a_picture": (ArtifactKind.SCREENSHOTS, saying(PAGE, "text/html")),
    "program_for_a_picture": (
        ArtifactKind.SCREENSHOTS,
        saying(b"\x7fELF" + bytes(600), "image/png"),
    ),
    "picture_for_a_page": (ArtifactKind.HTML, saying(JPEG, "text/html")),
    "json_for_a_page": (ArtifactKind.HTML, saying(b'{"error": 1}', "application/json")),
    "page_of_no_type": (ArtifactKind.HTML, saying(PAGE, "application/octet-stream")),
    "page_for_a_recording": (ArtifactKind.VIDEO, saying(PAGE, "application/octet-stream")),
    "nothing": (ArtifactKind.SCREENSHOTS, saying(b"", "image/jpeg")),
    "bomb": (
        ArtifactKind.HTML,
        saying(gzip.compress(bytes(10**6)), "text/html", content_encoding="gzip"),
    ),
    "bomb_in_a_bomb": (ArtifactKind.HTML, saying(b"x", "text/html", content_encoding="gzip, gzip")),
    "unknown_packing": (ArtifactKind.HTML, saying(PAGE, "text/html", content_encoding="zstd")),
    "a_declared_length_that_is_too_large": (
        ArtifactKind.SCREENSHOTS,
        saying(JPEG, "image/jpeg", content_length=str(10**12)),
    ),
    "no_success": (ArtifactKind.SCREENSHOTS, lambda _: httpx.Response(204)),
    "part_of_it": (ArtifactKind.SCREENSHOTS, lambda _: httpx.Response(206, content=JPEG)),
}


@pytest.mark.parametrize("threat", BYTES)
async def test_bytes_are_refused(threat: str) -> None:
    kind, answer = BYTES[threat]
    world = World(answer)
    screenshot = kind is not ArtifactKind.VIDEO
    sent = world.step(kind=kind) if screenshot else world.address("https://a.example/")
    assert (await refused(sent)).kind is DownloadFailure.REFUSED


class Endless(httpx.AsyncByteStream):
    """A body that goes on and on, or piece by piece with a pause before each."""

    def __init__(self, piece: bytes, pause: float = 0) -> None:
        self.sent = 0
        self._piece = piece
        self._pause = pause

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            await anyio.sleep(self._pause)
            self.sent += len(self._piece)
            yield self._piece


def test_a_body_without_end_is_left_at_the_bound() -> None:
    body = Endless(JPEG.ljust(1 << 20, b"x"))
    media = {"content-type": "image/jpeg"}

    async def main() -> None:
        world = World(lambda _: httpx.Response(200, headers=media, stream=body))
        error = await refused(world.step())
        assert (error.kind, error.message) == (DownloadFailure.REFUSED, "it is larger than 20 MB")

    anyio.run(main)  # as the program does: trio minds how httpx leaves a body
    assert body.sent <= 21 << 20


@pytest.mark.parametrize(("pause", "within"), [(1.0, 60.0), (31.0, 30.0)])
def test_a_body_that_drips_or_falls_silent_is_left_in_time(pause: float, within: float) -> None:
    async def main() -> None:
        body = Endless(JPEG[:1], pause)
        media = {"content-type": "image/jpeg"}
        world = World(lambda _: httpx.Response(200, headers=media, stream=body))
        assert (await refused(world.step())).kind is DownloadFailure.LATER
        assert anyio.current_time() == within

    clock = trio.testing.MockClock(autojump_threshold=0)
    anyio.run(main, backend="trio", backend_options={"clock": clock})


async def test_a_body_that_is_shorter_than_it_says_is_not_whole() -> None:
    world = World(saying(JPEG, "image/jpeg", content_length=str(len(JPEG) + 1)))
    assert (await refused(world.step())).kind is DownloadFailure.LATER


# ---- ids ----


@pytest.mark.parametrize(
    "step", ["../../../etc/passwd", "a/b", "..", "", "a?b", "a#b", "%2e%2e", "a\n", "x" * 300]
)
async def test_an_id_that_is_a_path_is_asked_of_nobody(step: str) -> None:
    world = World(saying(JPEG, "image/jpeg"))
    assert (await refused(world.step(step))).kind is DownloadFailure.REFUSED
    assert world.api == []


# ---- what a status means ----


@pytest.mark.parametrize(
    ("status", "by_key", "by_address"),
    [
        (401, DownloadFailure.BARRED, DownloadFailure.STALE),
        (403, DownloadFailure.REFUSED, DownloadFailure.STALE),
        (404, DownloadFailure.GONE, DownloadFailure.GONE),
        (429, DownloadFailure.LATER, DownloadFailure.LATER),
        (503, DownloadFailure.LATER, DownloadFailure.LATER),
        (400, DownloadFailure.REFUSED, DownloadFailure.REFUSED),
    ],
)
async def test_a_status_says_whether_another_try_helps(
    status: int, by_key: DownloadFailure, by_address: DownloadFailure
) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status)

    assert (await refused(World(answer).step())).kind is by_key
    assert (await refused(World(answer).address("https://a.example/"))).kind is by_address


def test_every_kind_has_a_bound_of_bytes_and_of_time() -> None:
    assert set(download.LIMITS) == set(ArtifactKind)
