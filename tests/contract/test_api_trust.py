"""Certificates and proxies: what cannot be trusted gets no byte, and says what to do."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_wire import KEY, Talk, Wire, http, jobs

from batchrunner.classify import classify_fault
from batchrunner.model import ApiFaultKind, CreateAnswer, Created, FailureCategory, Refused
from batchrunner.network.errors import NetworkSettingsError
from batchrunner.tinyfish.client import TinyFishClient

pytestmark = pytest.mark.anyio

#: One key; self-signed, until 2120: for this machine, for another host, for a day in 2020.
TLS = Path(__file__).parents[1] / "fixtures" / "tls"
PASSWORD = "sesame-0123456789"
IDS = http(b'{"run_ids": ["r0"], "error": null}')


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file"):
        for variable in (name, name.upper()):
            monkeypatch.delenv(variable, raising=False)


def created(talk: Talk) -> None:
    talk.take()
    talk.send(IDS)


def secure(certificate: str) -> Wire:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / certificate, TLS / "key.pem")
    return Wire(created, tls=context)


async def create(url: str) -> CreateAnswer:
    async with TinyFishClient(url, KEY) as api:
        return await api.create(jobs(1, "Read the price"), None)


async def test_a_trusted_certificate_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(TLS / "this_machine.pem"))
    with secure("this_machine.pem") as wire:
        assert await create(wire.url) == Created(run_ids=("r0",))


@pytest.mark.parametrize(
    ("certificate", "trusted", "why", "advice"),
    [
        ("this_machine.pem", None, "self-signed", "export SSL_CERT_FILE="),
        ("another_host.pem", "another_host.pem", "not valid for '127.0.0.1'", "another host"),
        ("expired.pem", "expired.pem", "expired", "clock"),
    ],
)
async def test_an_untrusted_certificate_gets_no_byte(
    certificate: str,
    trusted: str | None,
    why: str,
    advice: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if trusted is not None:
        monkeypatch.setenv("SSL_CERT_FILE", str(TLS / trusted))
    with secure(certificate) as wire:
        answer = await create(wire.url)
    assert isinstance(answer, Refused)
    assert answer.fault.kind is ApiFaultKind.BARRED
    assert why in answer.fault.message
    assert advice in answer.fault.advice
    assert not wire.requests
    failure = classify_fault(answer.fault)
    assert (failure.category, failure.advice) == (
        FailureCategory.UNREACHABLE,
        answer.fault.advice,
    )


async def test_a_server_without_tls_is_no_outage_either() -> None:
    with Wire(lambda talk: talk.send(http(b"no", "400 Bad Request"))) as wire:
        answer = await create(wire.url.replace("http:", "https:"))
    assert isinstance(answer, Refused)
    assert (answer.fault.kind, wire.requests) == (ApiFaultKind.BARRED, [])


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("407 Proxy Authentication Required", ApiFaultKind.BARRED),
        ("403 Forbidden", ApiFaultKind.BARRED),
        ("502 Bad Gateway", ApiFaultKind.NOT_SENT),
    ],
)
async def test_a_proxy_that_refuses_is_named_without_its_password(
    status: str, kind: ApiFaultKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(talk: Talk) -> None:
        talk.take_head()
        talk.send(http(b"", status))

    with Wire(refuse) as proxy:
        at = proxy.url.removeprefix("http://")
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:{PASSWORD}@{at}")
        answer = await create("https://api.test")
    assert isinstance(answer, Refused)
    assert answer.fault.kind is kind
    assert f"the proxy {at} (HTTPS_PROXY) refuses: {status}" in answer.fault.message
    assert PASSWORD not in answer.fault.message + answer.fault.advice


async def test_a_proxy_that_is_away_is_an_outage_and_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALL_PROXY", f"me:{PASSWORD}@127.0.0.1:9")
    answer = await create("https://api.test")
    assert isinstance(answer, Refused)
    assert answer.fault.kind is ApiFaultKind.NOT_SENT
    assert "by way of the proxy 127.0.0.1:9 (ALL_PROXY)" in answer.fault.message
    assert PASSWORD not in answer.fault.message


@pytest.fixture
def socks() -> Iterator[Wire]:
    """A SOCKS proxy whose only way leads to a server with the certificate of this machine."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "another_host.pem", TLS / "key.pem")

    def connect(talk: Talk) -> None:
        assert talk.read(3)[:1] == b"\x05"
        talk.send(b"\x05\x00")
        name = talk.read(5)[4]
        talk.read(name + 2)
        talk.send(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")
        talk.secure(context)
        created(talk)

    with Wire(connect) as wire:
        yield wire


async def test_a_socks_proxy_is_a_way_to_the_api(
    socks: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("socksio", reason="pip install 'batchrunner[socks]'")
    monkeypatch.setenv("SSL_CERT_FILE", str(TLS / "another_host.pem"))
    monkeypatch.setenv("ALL_PROXY", socks.url.replace("http:", "socks5:"))
    assert await create("https://other.test") == Created(run_ids=("r0",))


async def test_this_machine_is_reached_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "no such thing")
    with Wire(created) as wire:
        assert await create(wire.url) == Created(run_ids=("r0",))


@pytest.mark.parametrize("path", ["/nonexistent.pem", "/dev/null", "/etc/hosts", "/etc", "  "])
def test_a_file_that_has_no_certificates_is_named(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", path)
    with pytest.raises(NetworkSettingsError, match="SSL_CERT_FILE names") as caught:
        TinyFishClient("https://api.test", KEY)
    assert path in caught.value.what
    TinyFishClient("http://127.0.0.1:1", KEY)  # needs no certificates


def test_a_folder_that_has_no_certificates_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_DIR", str(TLS))  # no file in it has a hashed name
    with pytest.raises(NetworkSettingsError, match=r"SSL_CERT_DIR names .*openssl rehash"):
        TinyFishClient("https://api.test", KEY)
