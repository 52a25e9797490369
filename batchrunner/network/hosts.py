"""Which hosts are this machine itself, and which ones NO_PROXY names."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Names of hosts → addresses, on this machine.
HOSTS_FILE = Path("/etc/hosts")
_NAME = re.compile(r"[\w-]+(\.[\w-]+)*")
_PORT = re.compile(r"[0-9]{1,5}")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """The host and the port of an address."""

    name: str
    port: int | None = None
    scheme: str = "https"

    @property
    def address(self) -> Address | None:
        """Its IP address, if its name is one; an IPv4 address inside an IPv6 one counts as such."""
        return address_of(self.name)


def address_of(name: str) -> Address | None:
    """Return the IP address that a name is, also in the short forms of IPv4; None: it is a name."""
    name = name.removeprefix("[").removesuffix("]").partition("%")[0]
    with suppress(ValueError):
        address = ipaddress.ip_address(name)
        return getattr(address, "ipv4_mapped", None) or address
    with suppress(OSError, UnicodeError, ValueError):
        return ipaddress.IPv4Address(socket.inet_aton(name))
    return None


def is_this_machine(name: str, hosts_file: Path = HOSTS_FILE) -> bool:
    """Whether a host is this machine: loopback, or a name that the hosts file gives to it alone."""
    name = name.lower().rstrip(".")
    address = address_of(name)
    if address is not None:
        return address.is_loopback or address.is_unspecified
    if name == "localhost" or name.endswith(".localhost"):
        return True
    addresses = _names_on_file(hosts_file).get(name, frozenset())
    return bool(addresses) and all(each.is_loopback for each in addresses)


@cache
def _names_on_file(hosts_file: Path) -> dict[str, frozenset[Address]]:
    try:
        lines = hosts_file.read_text(errors="replace").splitlines()
    except OSError:
        return {}
    found: dict[str, frozenset[Address]] = {}
    for line in lines:
        first, *names = line.partition("#")[0].split() or [""]
        address = address_of(first)
        if address is not None:
            for name in names:
                key = name.lower().rstrip(".")
                found[key] = found.get(key, frozenset()) | {address}
    return found


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of NO_PROXY."""

    network: Network | None
    name: str  #: a domain, whose subdomains it covers; empty: every host
    port: int | None

    def covers(self, host: Host) -> bool:
        if self.port is not None and self.port != _port(host):
            return False
        if self.network is not None:
            address = host.address
            return address is not None and address in self.network
        name = host.name.lower().rstrip(".")
        return not self.name or name == self.name or name.endswith(f".{self.name}")


def _port(host: Host) -> int | None:
    return host.port or _DEFAULT_PORTS.get(host.scheme)


def needs_no_proxy(host: Host, no_proxy: str) -> bool:
    """Whether NO_PROXY covers a host; entries that mean nothing are left out."""
    return any(entry.covers(host) for entry in _entries(no_proxy) if isinstance(entry, _Entry))


def odd_entries(no_proxy: str) -> Collection[str]:
    """Return the entries of NO_PROXY that mean nothing."""
    return [entry for entry in _entries(no_proxy) if isinstance(entry, str)]


def _entries(no_proxy: str) -> list[_Entry | str]:
    return [_entry(part) for part in re.split(r"[\s,;]+", no_proxy) if part]


def _entry(text: str) -> _Entry | str:
    """Return what an entry of NO_PROXY means; the entry itself if that is nothing."""
    rest, port = _without_port(text.rpartition("://")[2].rstrip("/"))
    name = rest.removeprefix("[").removesuffix("]")
    if name in ("*", "*.*"):
        return _Entry(None, "", port)
    network = _network(name)
    if network is not None:
        return _Entry(network, "", port)
    domain = name.removeprefix("*").strip(".").lower()
    return _Entry(None, domain, port) if _NAME.fullmatch(domain) else text


def _without_port(text: str) -> tuple[str, int | None]:
    """Split `host:port`; an IPv6 address has a port only behind its brackets."""
    head, colon, tail = text.rpartition(":")
    has_port = colon and _PORT.fullmatch(tail) and (":" not in head or head.endswith("]"))
    return (head, int(tail)) if has_port else (text, None)


def _network(name: str) -> Network | None:
    """Return the network that a name is: an address, a CIDR block, or 10.* and the like."""
    stars = re.fullmatch(r"((?:[0-9]{1,3}\.){1,3})\*", name)
    if stars:
        octets = stars[1].rstrip(".").split(".")
        name = ".".join([*octets, *["0"] * (4 - len(octets))]) + f"/{8 * len(octets)}"
    with suppress(ValueError):
        network = ipaddress.ip_network(name.partition("%")[0], strict=False)
        mapped = getattr(network.network_address, "ipv4_mapped", None)
        if mapped is not None and network.prefixlen >= 96:
            return ipaddress.ip_network((mapped, network.prefixlen - 96), strict=False)
        return network
    return None
