"""Parses the addresses of databases, and hides their passwords."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from batchrunner.store.errors import StoreError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

SERVER = "postgresql://user@host:5432/name"
#: A server's address without its slashes: unlikely as the name of a file.
_SCHEME = re.compile(r"(postgres(ql)?(\+\w+)?|sqlite|mysql|file):(?!//)", re.IGNORECASE)
#: The notation of libpq's own tools.
_WORDS = re.compile(r"\s*(host|hostaddr|port|dbname|user|password|service)\s*=", re.IGNORECASE)
#: End of the name of a database that is the sandbox's own.
_OF_SANDBOX = ".sandbox.db"
_USER = re.compile(r"(://[^:/@]*:)[^?]*@")
_QUERY = re.compile(r"([?&](?:ssl)?password=)[^&]*", re.IGNORECASE)


def url_of(address: str) -> URL:
    """
    Parse an address: a file path, unless it has the form of a url.

    Raises:
        StoreError: The address is not one of a supported database. The message has no password.
    """
    from sqlalchemy import URL, make_url  # noqa: PLC0415 -- takes longer than most commands
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    if _is_path(address):
        return URL.create("sqlite", database=address)
    try:
        url = make_url(address)
    except (ArgumentError, ValueError) as error:
        # Its message is not repeated, because it may contain a password.
        raise _no_address() from error
    backend = url.get_backend_name().lower()
    if backend in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    if backend == "sqlite":
        return url.set(drivername="sqlite")
    raise StoreError(
        f"a database of the kind {backend!r} is not supported",
        next="use a file path or postgresql://…",
    )


def _is_path(address: str) -> bool:
    """Return whether an address is a path; raise StoreError if it is neither that nor a url."""
    if not address:
        # SQLite would use a file without a name, and delete it at the end.
        raise StoreError("the database has no name", next="give one with --db PATH")
    if "://" in address:
        return False
    if _WORDS.match(address) or (_SCHEME.match(address) and not Path(address).exists()):
        raise _no_address()
    return True


def _no_address() -> StoreError:
    return StoreError("this is no database address", next=f"use a file path or {SERVER}")


def file_of(address: str) -> Path | None:
    """Return the file of a database; None for a server or memory. May raise StoreError."""
    if _is_path(address):
        return None if _names_memory(address) else Path(address)
    url = url_of(address)
    if url.get_backend_name() != "sqlite" or is_in_memory(url):
        return None
    return Path(url.database or "")


def names_memory(address: str) -> bool:
    """Return whether a database exists only while the program runs. May raise StoreError."""
    return _names_memory(address) if _is_path(address) else is_in_memory(url_of(address))


def sandbox_journal(database: Path) -> Path:
    """Return the journal of the sandbox that goes with a database's file."""
    if database.name.endswith(_OF_SANDBOX):
        return database.with_name(f"{database.name.removesuffix('.db')}.jsonl")
    return database.with_name(f"{database.name}.sandbox.jsonl")


def usual_beside(database: Path) -> Path | None:
    """Return the usual database beside the sandbox's own; None if it is not the sandbox's."""
    if not database.name.endswith(_OF_SANDBOX):
        return None
    return database.with_name(f"{database.name.removesuffix(_OF_SANDBOX)}.db")


def sandbox_database(database: Path) -> Path | None:
    """Return the sandbox's database beside the usual one; None for a database that is its own."""
    if database.name.endswith(_OF_SANDBOX):
        return None
    return database.with_name(f"{database.name.removesuffix('.db')}{_OF_SANDBOX}")


def is_in_memory(url: URL) -> bool:
    """Return whether a database exists only while the program runs."""
    return url.get_backend_name() == "sqlite" and _names_memory(url.database or "")


def _names_memory(path: str) -> bool:
    return path in ("", ":memory:") or "file::memory:" in path


def redacted(address: str) -> str:
    """Replace the passwords in an address by stars."""
    return _QUERY.sub(r"\1***", _USER.sub(r"\1***@", address))
