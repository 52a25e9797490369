"""Collects the facts of a checkup: reads files, the database, the environment, and the API once."""

from __future__ import annotations

import errno
import os
import platform
import resource
import shlex
import shutil
import sqlite3
import stat
import tempfile
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import anyio

from batchrunner.api_facts.endpoint_paths import DEFAULT_URL
from batchrunner.api_facts.environment import API_KEY
from batchrunner.app.api_key import api_key
from batchrunner.app.clock import now
from batchrunner.app.doctor import Facts
from batchrunner.app.doctor.check_api import ApiFacts
from batchrunner.app.doctor.check_file import (
    DatabaseFile,
    FileKind,
    file_system_of,
    kind_of,
    uses_wal,
)
from batchrunner.app.doctor.check_machine import MachineFacts
from batchrunner.app.doctor.check_store import StoreFacts
from batchrunner.app.process_identity import exited_owners
from batchrunner.cli.output.batch_text import db_given
from batchrunner.errors import BatchrunnerError
from batchrunner.model import ApiError
from batchrunner.store.address import file_of, url_of
from batchrunner.store.database import APPLICATION_ID, StoreError
from batchrunner.store.schema import HEAD
from batchrunner.store.store import Store
from batchrunner.tinyfish.client import TinyFishClient
from batchrunner.tinyfish.http import LOOPBACK, AddressError

#: Bytes up to which a file is checked in full, which takes seconds: writers have to wait for it.
LARGE = 1_000_000_000
#: What helps where an address is none.
NAME_IT = "export BATCHRUNNER_DB=~/batchrunner.db"


def collect(db: str, api_url: str | None, key_file: str | None) -> Facts:
    """Collect everything; what cannot be found out is a fact too."""
    try:
        path = file_of(db)
    except StoreError as error:
        return _facts(db, None, _no_address(error), _contact(api_url or DEFAULT_URL, key_file))
    place = None if path is None else _place(path)
    looked_into = place is None or (place.kind is FileKind.LEDGER and not place.uses_wal)
    size = 0 if place is None else place.bytes
    books = _books(db, path, thorough=size <= LARGE) if looked_into else None
    if place is not None and path is not None:
        place = replace(place, journal_now=_journal(path))
    return _facts(db, place, books, _contact(api_url or DEFAULT_URL, key_file))


def _facts(
    db: str, place: DatabaseFile | None, books: StoreFacts | None, contact: ApiFacts
) -> Facts:
    return Facts(db=db_given(db), machine=_machine(), place=place, books=books, contact=contact)


def _no_address(error: StoreError) -> StoreFacts:
    return _in_trouble(StoreFacts(path=None, head=HEAD, look=NAME_IT), error)


def _machine() -> MachineFacts:
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MachineFacts(
        batchrunner=version("batchrunner"),
        python=platform.python_version(),
        sqlalchemy=version("sqlalchemy"),
        sqlite=sqlite3.sqlite_version,
        now=now(),
        open_files=None if most == resource.RLIM_INFINITY else most,
        has_proc=Path("/proc/self/stat").exists(),
    )


# ---- the file ----


def _place(path: Path) -> DatabaseFile:
    kind, head = _look(path)
    real = Path(os.path.realpath(path))  # Path.resolve() raises where links lead in a circle
    there = kind not in (FileKind.NOTHING, FileKind.FOLDER, FileKind.LOOP)
    folder = real if kind is FileKind.FOLDER else real.parent
    return DatabaseFile(
        path=str(path),
        folder=str(folder),
        kind=kind,
        uses_wal=kind is FileKind.LEDGER and uses_wal(head),
        bytes=path.stat().st_size if there else 0,
        mode=stat.S_IMODE(path.stat().st_mode) if there else 0o600,
        writable=not there or os.access(path, os.W_OK),
        journal=_journal(path),
        folder_trouble=_trouble_in(folder),
        file_system=_file_system(folder),
        free=_free(folder),
    )


def _look(path: Path) -> tuple[FileKind, bytes]:
    """Tell what is there by its first bytes; nothing of SQLite touches a stranger's file."""
    if path.is_dir():
        return FileKind.FOLDER, b""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return FileKind.NO_DATABASE, b""  # a pipe would keep us waiting
        with path.open("rb") as file:
            head = file.read(100)
    except (FileNotFoundError, NotADirectoryError):
        return FileKind.NOTHING, b""
    except OSError as error:
        return (FileKind.LOOP if error.errno == errno.ELOOP else FileKind.UNREADABLE), b""
    return kind_of(head, APPLICATION_ID), head


def _journal(path: Path) -> int:
    """Return how much of a transaction stands in the journal beside a database."""
    journal = path.with_name(f"{path.name}-journal")
    try:
        with journal.open("rb") as file:
            return journal.stat().st_size if file.read(8).strip(b"\0") else 0
    except OSError:
        return 0


def _trouble_in(folder: Path) -> str | None:
    """Return why no file can be made in a folder: SQLite needs one for its journal."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return error.strerror or str(error)


def _file_system(folder: Path) -> str | None:
    try:
        mountinfo = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
    except OSError:
        return None
    return file_system_of(str(folder), mountinfo)


def _free(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


# ---- the ledger ----


def _books(db: str, path: Path | None, *, thorough: bool) -> StoreFacts:
    named = None if path is None else str(path)
    books = StoreFacts(path=named, head=HEAD, thorough=thorough, look=_look_at(db))
    try:
        with closing(Store.found(db)) as store:
            return _read(store, books)
    except StoreError as error:
        return _in_trouble(books, error)


def _look_at(db: str) -> str:
    """Return the command that asks a server whether it is there."""
    url = url_of(db)
    if url.get_backend_name() != "postgresql":
        return NAME_IT
    return shlex.join(["pg_isready", "-h", url.host or "localhost", "-p", str(url.port or 5432)])


def _read(store: Store, books: StoreFacts) -> StoreFacts:
    damage = store.damage(thorough=books.thorough)
    if damage:  # what stands in such a file means nothing
        return replace(books, damage=tuple(damage))
    tampering = store.tampering(thorough=books.thorough)
    books = replace(books, tampering=tampering)
    if not tampering.readable:
        return books
    health = store.health(now)
    dead = exited_owners([worker.owner for worker in health.workers])
    books = replace(books, health=health, gone=frozenset(dead))
    if health.revision != HEAD:
        return books
    try:
        return replace(books, broken=store.broken_laws())
    except StoreError as error:
        return _in_trouble(books, error)


def _in_trouble(books: StoreFacts, error: StoreError) -> StoreFacts:
    return replace(books, trouble=f"{error.message}; {error.hint}", passing=error.passing)


# ---- the API ----


def _contact(url: str, key_file: str | None) -> ApiFacts:
    contact = ApiFacts(origin=url, key_from=_key_from(key_file), proxy=_proxy(url))
    if contact.key_from is None:
        return contact
    try:
        api = TinyFishClient(url, api_key(key_file))
    except BatchrunnerError as error:
        return replace(contact, key_trouble=error.what)
    except AddressError:
        # What it says is not repeated: an address may hold a password.
        return replace(contact, address_is_bad=True)
    return anyio.run(_asked, api, replace(contact, origin=api.origin))


def _key_from(key_file: str | None) -> str | None:
    """Say where the key comes from; None if there is none. Of a file not even its name is told."""
    if key_file is not None:
        return "from standard input" if key_file == "-" else "from the key file"
    return f"from {API_KEY}" if os.environ.get(API_KEY, "").strip() else None


def _proxy(url: str) -> str | None:
    """Return the host of the proxy that the environment puts before the API."""
    parts = urlsplit(url)
    given = getproxies().get(parts.scheme) or getproxies().get("all")
    if not given or not parts.hostname or parts.hostname in LOOPBACK:
        return None
    if proxy_bypass(parts.hostname):
        return None
    return urlsplit(given if "://" in given else f"//{given}").hostname


async def _asked(api: TinyFishClient, contact: ApiFacts) -> ApiFacts:
    async with api:
        at, began = now(), anyio.current_time()
        try:
            shown = await api.check()
        except ApiError as error:
            return replace(contact, fault=error.fault)
        seconds = anyio.current_time() - began
    # A Date header leaves out the part of a second: half of one, in the mean.
    middle = at + timedelta(seconds=seconds / 2 - 0.5)
    return replace(contact, seconds=seconds, ahead=None if shown is None else shown - middle)
