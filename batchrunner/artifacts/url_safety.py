"""Decides which addresses artifacts are downloaded from, and to which machines they lead."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import anyio
import httpx

#: Maximum length of an address.
MAX_URL_LENGTH = 8192
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\]")
_HOST = re.compile(rb"[A-Za-z0-9._:-]+")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

#: Returns the IP addresses of a host at a port, as a name server gives them.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class UnsafeUrl(Exception):
    """Nothing is downloaded from this address; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SafeRoute:
    """The machines that an address leads to, by its only lookup."""

    url: httpx.URL
    hosts: tuple[str, ...]  #: IP addresses, all of them public


async def resolved(host: str, port: int) -> Sequence[str]:
    """Return the IP addresses of a host; raises OSError if it has none."""
    found = await anyio.getaddrinfo(host, port)
    return [str(entry[4][0]) for entry in found]


def parsed(address: str) -> httpx.URL:
    """
    Return an address as a url that is safe as far as a check without a name server shows.

    Raises:
        UnsafeUrl: It is not a plain http(s) address, or has a password in it.
    """
    if len(address) > MAX_URL_LENGTH or _FORBIDDEN.search(address):
        raise UnsafeUrl("its address is none that a browser would write")
    try:
        url = httpx.URL(address)
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        raise UnsafeUrl("its address is none") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise UnsafeUrl(f"its address begins with {url.scheme or 'nothing'}, not with https")
    if not _HOST.fullmatch(url.raw_host) or not 0 < (url.port or 443) < 65536:
        raise UnsafeUrl("its address names no host")
    if url.userinfo:
        raise UnsafeUrl("its address has a name or a password in it")
    return url


def origin_of(url: httpx.URL) -> tuple[str, str, int]:
    """Return scheme, host and port: addresses with the same origin belong to the same server."""
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}[url.scheme]


async def safe_route(url: httpx.URL, resolve: Resolve) -> SafeRoute:
    """
    Resolve the host of a foreign address; the caller must not resolve it again.

    Raises:
        UnsafeUrl: It is not https, or leads to a machine that is not public.
        OSError: The host is unknown.
    """
    if url.scheme != "https":
        raise UnsafeUrl("its address is not https")
    hosts = tuple(dict.fromkeys(await resolve(url.host, url.port or 443)))
    private = [host for host in hosts if not is_public(host)]
    if private or not hosts:
        raise UnsafeUrl(f"its address leads into a private network ({', '.join(private)})")
    return SafeRoute(url=url, hosts=hosts)


def is_public(host: str) -> bool:
    """Whether an IP address, in any form, is in the public network."""
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    embedded = _embedded_ipv4(found) if isinstance(found, ipaddress.IPv6Address) else None
    if embedded is not None:
        return is_public(str(embedded))
    return found.is_global and not (found.is_multicast or found.is_reserved)


def _embedded_ipv4(found: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that an IPv6 address contains, if it does."""
    if found in _NAT64:
        return ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
    teredo = found.teredo
    return found.ipv4_mapped or found.sixtofour or (teredo[1] if teredo else None)
