"""Addresses that came from the API: which of them anything is taken from, and where they lead."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import anyio
import httpx

#: Longest address that is read.
MAX_URL_LENGTH = 8192
_UNFIT = re.compile(r"[\x00-\x20\x7f\\]")
_HOST = re.compile(rb"[A-Za-z0-9._:-]+")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

#: Gives the addresses of a host at a port, as a name server has them.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class UnsafeUrl(Exception):
    """Nothing is taken from this address; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SafeRoute:
    """Where an address leads: to which machines, by the only lookup there is."""

    url: httpx.URL
    hosts: tuple[str, ...]  #: addresses of machines, all of them public


async def resolved(host: str, port: int) -> Sequence[str]:
    """Ask for the addresses of a host; raises OSError if it has none."""
    found = await anyio.getaddrinfo(host, port)
    return [str(entry[4][0]) for entry in found]


def parsed(address: str) -> httpx.URL:
    """
    Return an address that may be asked, as far as it can be told without a name server.

    Raises:
        Unsafe: It is no plain http(s) address, or has a password in it.
    """
    if len(address) > MAX_URL_LENGTH or _UNFIT.search(address):
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
    """Return what decides whose an address is."""
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}[url.scheme]


async def safe_route(url: httpx.URL, resolve: Resolve) -> SafeRoute:
    """
    Return where a foreign address leads; whoever goes there asks no name server again.

    Raises:
        Unsafe: It is not https, or leads to a machine that is not public.
        OSError: Nobody knows the host.
    """
    if url.scheme != "https":
        raise UnsafeUrl("its address is not https")
    hosts = tuple(dict.fromkeys(await resolve(url.host, url.port or 443)))
    private = [host for host in hosts if not is_public(host)]
    if private or not hosts:
        raise UnsafeUrl(f"its address leads into a private network ({', '.join(private)})")
    return SafeRoute(url=url, hosts=hosts)


def is_public(host: str) -> bool:
    """Whether an address of a machine is one of the public network, in whatever form."""
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    inner = _inside(found) if isinstance(found, ipaddress.IPv6Address) else None
    if inner is not None:
        return is_public(str(inner))
    return found.is_global and not (found.is_multicast or found.is_reserved)


def _inside(found: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that an IPv6 address stands for, if it does."""
    if found in _NAT64:
        return ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
    teredo = found.teredo
    return found.ipv4_mapped or found.sixtofour or (teredo[1] if teredo else None)
