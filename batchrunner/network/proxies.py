"""Which proxy an address is reached by, as the environment says; pure, but for the hosts file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from urllib.parse import urlsplit

import httpx

from batchrunner.network.errors import NetworkSettingsError
from batchrunner.network.hosts import Host, is_this_machine, needs_no_proxy, odd_entries

_SCHEMES = ("http", "https", "socks5", "socks5h")
#: Works however batchrunner was installed.
_INSTALL_SOCKS = "python3 -m pip install socksio"
_SOCKS = ("socks5", "socks5h")
_HOW = "write http://HOST:PORT"


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Proxy:
    """A proxy that a variable of the environment names."""

    url: str  #: may have a password
    variable: str

    @property
    def shown(self) -> str:
        """Its host and port, without user and password."""
        parts = urlsplit(self.url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.hostname}{port}"

    def __str__(self) -> str:
        """Name it for people."""
        return f"the proxy {self.shown} ({self.variable})"


def proxy_for(address: str, environ: Mapping[str, str]) -> Proxy | None:
    """
    Return the proxy for an address; None: it is reached directly, as this machine itself always is.

    Raises:
        NetworkSettingsError: The variable that names the proxy cannot be used.
    """
    url = httpx.URL(address)
    host = Host(name=url.host, port=url.port, scheme=url.scheme)
    if url.scheme == "http" and is_this_machine(url.host):
        return None
    variable, value = _setting((f"{url.scheme}_proxy", "all_proxy"), environ)
    if not value or needs_no_proxy(host, _setting(("no_proxy",), environ)[1]):
        return None
    proxy = _checked(variable, value)  # also where it is not used: nobody set it for nothing
    return None if is_this_machine(url.host) else proxy


def ignored_entries(environ: Mapping[str, str]) -> Iterator[str]:
    """Give a sentence for each entry of NO_PROXY that means nothing."""
    variable, value = _setting(("no_proxy",), environ)
    for entry in odd_entries(value):
        shown = re.sub(r".*@", "***@", entry)
        yield f"{variable}: {shown!a} is no host, network or *, and is ignored"


def _setting(names: tuple[str, ...], environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the first variable that is set, and its value; lower case counts before upper case."""
    for name in names:
        for variable in (name, name.upper()):
            if variable == "HTTP_PROXY" and "REQUEST_METHOD" in environ:
                continue  # a web server puts a header of its client there
            if variable in environ:
                value = environ[variable].strip()
                if value:
                    return variable, value
                break  # empty in lower case: switched off
    return "", ""


def _checked(variable: str, value: str) -> Proxy:
    url = value if "://" in value else f"http://{value}"
    scheme = url.partition("://")[0].lower()
    if scheme not in _SCHEMES:
        shown = ascii(scheme[:20])
        known = "http, https, socks5 and socks5h"
        raise _unusable(variable, f"{shown} is no kind of proxy that is known here ({known})")
    if scheme in _SOCKS and find_spec("socksio") is None:
        raise NetworkSettingsError(
            f"{variable} names a SOCKS proxy, which needs another package",
            next=_INSTALL_SOCKS,
            variable=variable,
            command=_INSTALL_SOCKS,
        )
    why = _trouble(url)
    if why is not None:
        raise _unusable(variable, why)
    return Proxy(url=url, variable=variable)


def _trouble(url: str) -> str | None:
    """Return why an address of a proxy cannot be used, without a word of it."""
    if not url.isprintable() or re.search(r"\s", url):
        return "it has blanks or invisible characters"
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        return "its port is no number from 1 to 65535, or its brackets do not match"
    if not host:
        return "it has no host"
    if port == 0:
        return "its port is 0"
    try:
        httpx.Proxy(url)
    except (httpx.InvalidURL, ValueError, UnicodeError):
        return "it is no address"
    return None


def _unusable(variable: str, why: str) -> NetworkSettingsError:
    return NetworkSettingsError(
        f"{variable} names a proxy that cannot be used: {why}",
        next=f"{_HOW} there, or go without: unset {variable}",
        variable=variable,
    )
