"""Which API to use, and the key for it; the sandbox is served where that is chosen."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from batchrunner.api_facts.endpoint_paths import DEFAULT_URL
from batchrunner.api_facts.environment import BASE_URL
from batchrunner.app.api_key import api_key
from batchrunner.errors import CannotContinue, UsageError
from batchrunner.network.errors import NetworkSettingsError
from batchrunner.store.address import redacted, sandbox_journal
from batchrunner.tinyfish.client import TinyFishClient
from batchrunner.tinyfish.http import LOOPBACK, AddressError

#: Origin of every API on this machine: its runs cost nothing.
SANDBOX = "sandbox"


@dataclass(frozen=True, kw_only=True, repr=False)
class ApiAccess:
    """An API's address and the key for it."""

    url: str
    key: str

    def __repr__(self) -> str:
        """Show the address; a key or password does not belong in a notebook's output."""
        return f"ApiAccess(url={redacted(self.url)!r})"

    @property
    def origin(self) -> str:
        """What a batch is tied to: its runs are on this API and on no other."""
        parts = urlsplit(self.url)
        return SANDBOX if parts.hostname in LOOPBACK else f"{parts.scheme}://{parts.netloc}"


class ApiAddress(Protocol):
    """Whatever has an API's address and a key for it, such as what `sandbox()` gives."""

    @property
    def url(self) -> str:
        """The API's address."""

    @property
    def key(self) -> str:
        """The key for it."""


def access_to(address: ApiAddress) -> ApiAccess:
    """
    Return the access to the API at an address.

    Raises:
        UsageError: It has no address and key, or they cannot be used.
    """
    url, key = getattr(address, "url", None), getattr(address, "key", None)
    if not (isinstance(url, str) and url and isinstance(key, str) and key):
        raise UsageError(
            f"api needs an address and a key, and this {type(address).__name__} lacks them",
            next="give what `with br.sandbox() as api` gives, or br.ApiAccess(url=…, key=…)",
        )
    return api_access(url, key)


def api_access(url: str | None, key: str) -> ApiAccess:
    """
    Return the API at *url*, or the usual one, with this key.

    Raises:
        UsageError: The address cannot be used.
        CannotContinue: A proxy or certificates that the environment names cannot be used.
    """
    access = ApiAccess(url=url or DEFAULT_URL, key=key)
    try:
        TinyFishClient(access.url, access.key)
    except AddressError as error:
        advice = "name the API with --api-url https://…, or leave the option out"
        raise UsageError(str(error), next=advice) from error
    except NetworkSettingsError as error:
        raise CannotContinue(error.what, next=error.next, where=error.variable) from error
    return access


def origin_of(*, sandboxed: bool, api_url: str | None) -> str:
    """
    Return which API these options mean; no key is needed.

    Raises:
        UsageError: The address cannot be used.
    """
    return SANDBOX if sandboxed else api_access(api_url, "").origin


def api_from_environment(url: str | None, key: str | None) -> ApiAccess:
    """
    Return the API that the arguments name, else the one that the environment names.

    Raises:
        BatchrunnerError: There is no key, or the key or the address cannot be used.
    """
    return api_access(url or os.environ.get(BASE_URL), api_key(None, given=key))


@contextmanager
def open_api(
    *, sandboxed: bool, api_url: str | None, api_key_file: str | None, db: str
) -> Iterator[ApiAccess]:
    """Give the API to use; with *sandboxed* it is served while the block runs."""
    if not sandboxed:
        yield api_access(api_url, api_key(api_key_file))
        return
    if api_url is not None:
        raise UsageError(
            "--sandbox and --api-url name two different APIs",
            next="leave one of them out",
        )
    place = Path(db if Path(db).name and "://" not in db else "batchrunner.db")
    from batchrunner.sandbox.http.background import serve_in_background

    with ExitStack() as stack:
        journal = sandbox_journal(place)
        try:
            served = stack.enter_context(serve_in_background(journal))
        except BlockingIOError as error:
            raise CannotContinue(
                f"another command works with the sandbox of {redacted(db)}",
                next="wait until it has ended, or let both use one: batchrunner sandbox --port "
                "8765, then --api-url http://127.0.0.1:8765 (and any key) in place of --sandbox",
                where=redacted(db),
            ) from error
        yield access_to(served)
