"""Reads the addresses of databases, and shows them without their passwords."""

from __future__ import annotations

import re
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from batchrunner.store.errors import StoreError

SERVER = "postgresql://user@host:5432/name"
#: What a file's name would hardly begin with: a server's address without its slashes.
_SCHEME = re.compile(r"(postgres(ql)?(\+\w+)?|sqlite|mysql|file):(?!//)", re.IGNORECASE)
#: How libpq's own tools name a database.
_WORDS = re.compile(r"\s*(host|hostaddr|port|dbname|user|password|service)\s*=", re.IGNORECASE)
_USER = re.compile(r"(://[^:/@]*:)[^?]*@")
_QUERY = re.compile(r"([?&](?:ssl)?password=)[^&]*", re.IGNORECASE)


def url_of(address: str) -> URL:
    """
    Return what an address stands for: a file, unless it begins like a url.

    Raises:
        StoreError: It is no address of a database that is supported; no password is in it.
    """
    if not address:
        # SQLite would keep the ledger in a nameless file, and delete it at the end.
        raise StoreError("the database has no name", hint="give one with --db PATH")
    if "://" not in address:
        return _file(address)
    try:
        url = make_url(address)
    except (ArgumentError, ValueError) as error:
        # What it says is not repeated: it may show a password.
        raise _no_address() from error
    backend = url.get_backend_name().lower()
    if backend in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    if backend == "sqlite":
        return url.set(drivername="sqlite")
    raise StoreError(
        f"a database of the kind {backend!r} is not supported",
        hint="use a file path or postgresql://…",
    )


def _file(path: str) -> URL:
    if _WORDS.match(path) or (_SCHEME.match(path) and not Path(path).exists()):
        raise _no_address()
    return URL.create("sqlite", database=path)


def _no_address() -> StoreError:
    return StoreError("this is no database address", hint=f"use a file path or {SERVER}")


def file_of(address: str) -> Path | None:
    """Return the file of a database, or None where a server or memory keeps it; or StoreError."""
    url = url_of(address)
    if url.get_backend_name() != "sqlite" or is_in_memory(url):
        return None
    return Path(url.database or "")


def is_in_memory(url: URL) -> bool:
    """Whether a database is gone when the program ends."""
    path = url.database or ""
    return url.get_backend_name() == "sqlite" and (
        path in ("", ":memory:") or "file::memory:" in path
    )


def redacted(address: str) -> str:
    """Return an address as it may stand in a log: with stars in the place of passwords."""
    return _QUERY.sub(r"\1***", _USER.sub(r"\1***@", address))
