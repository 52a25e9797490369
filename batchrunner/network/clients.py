"""The one place where HTTP clients are made."""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Mapping
from functools import cache
from typing import Any

import httpx

from batchrunner.network.certificates import trusted, without_tls
from batchrunner.network.errors import NetworkSettingsError
from batchrunner.network.proxies import Proxy, ignored_entries, proxy_for

_LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20)


def http_client(
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    limits: httpx.Limits = _LIMITS,
    proxies: bool = True,
    **options: Any,
) -> httpx.AsyncClient:
    """
    Return a client whose proxies and certificates are those of the environment.

    They are read when a request needs them. Without *proxies* it reaches every host directly.
    *transport* takes the place of the network; *options* are httpx's own.
    """
    network = transport or SettingsTransport(limits=limits, proxies=proxies)
    return httpx.AsyncClient(transport=network, trust_env=False, **options)


def plain_transport(limits: httpx.Limits) -> httpx.AsyncHTTPTransport:
    """Return a transport for this machine: no proxy, no TLS."""
    return httpx.AsyncHTTPTransport(verify=without_tls(), trust_env=False, limits=limits)


def check_network(address: str, environ: Mapping[str, str] = os.environ) -> Proxy | None:
    """
    Return the proxy for an address; log the entries of NO_PROXY that mean nothing.

    Raises:
        NetworkSettingsError: A proxy or certificates that a request would need cannot be used.
    """
    proxy = proxy_for(address, environ)
    if httpx.URL(address).scheme == "https":
        trusted(environ)
        _warn(tuple(ignored_entries(environ)))
    return proxy


@cache
def _warn(lines: tuple[str, ...]) -> None:
    """Report each sentence once in the life of a program."""
    for line in lines:
        logging.getLogger("batchrunner").warning("warning: %s", line)


class SettingsTransport(httpx.AsyncBaseTransport):
    """The network: each request takes the way that the environment names for its address."""

    def __init__(self, *, limits: httpx.Limits, proxies: bool) -> None:
        self._limits = limits
        self._proxies = proxies
        self._ways: dict[tuple[str, bool], httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; a setting that cannot be used is an error before anything is sent."""
        try:
            way = self._way(request.url)
        except NetworkSettingsError as error:
            raise httpx.ConnectError(error.what, request=request) from error
        return await way.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the connections."""
        for way in self._ways.values():
            await way.aclose()

    def _way(self, url: httpx.URL) -> httpx.AsyncHTTPTransport:
        proxy = proxy_for(str(url), os.environ) if self._proxies else None
        key = (proxy.url if proxy else "", url.scheme == "https")
        if key not in self._ways:
            self._ways[key] = self._transport(proxy, tls=key[1])
        return self._ways[key]

    def _transport(self, proxy: Proxy | None, *, tls: bool) -> httpx.AsyncHTTPTransport:
        if proxy is None and not tls:
            return plain_transport(self._limits)
        context = trusted(os.environ)
        return httpx.AsyncHTTPTransport(
            verify=context,
            trust_env=False,
            limits=self._limits,
            proxy=_httpx_proxy(proxy, context) if proxy else None,
        )


def _httpx_proxy(proxy: Proxy, context: ssl.SSLContext) -> httpx.Proxy:
    is_secure = proxy.url.lower().startswith("https:")
    return httpx.Proxy(proxy.url, ssl_context=context if is_secure else None)
