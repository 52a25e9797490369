"""Collects the facts to check: from files, the database, the environment and one API request."""

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

import anyio

from batchrunner.api_facts.endpoint_paths import DEFAULT_URL
from batchrunner.api_facts.environment import API_KEY
from batchrunner.app.api_key import api_key
from batchrunner.app.clock import now
from batchrunner.app.doctor import Facts
from batchrunner.app.doctor.check_api import ApiFacts
from batchrunner.app.doctor.check_file import (
    FileFacts,
    FileKind,
    file_system_of,
    kind_of,
    uses_wal,
)
from batchrunner.app.doctor.check_machine import MachineFacts
from batchrunner.app.doctor.check_store import StoreFacts
from batchrunner.app.process_identity import exited_owners
from batchrunner.errors import BatchrunnerError
from batchrunner.model import RequestFailed
from batchrunner.network.errors import NetworkSettingsError
from batchrunner.store.address import file_of, url_of
from batchrunner.store.counters import recount as recount_batch
from batchrunner.store.database import StoreError
from batchrunner.store.database_file import lost_database
from batchrunner.store.disk_usage import disk_usage
from batchrunner.store.health import (
    batches_to_recount,
    consistency_errors,
    database_health,
    foreign_changes,
    integrity_errors,
)
from batchrunner.store.revision import APPLICATION_ID, HEAD
from batchrunner.store.store import Store
from batchrunner.tinyfish.client import TinyFishClient
from batchrunner.tinyfish.http import AddressError, shown_address

#: Larger files are checked only in part: a full check takes long, and writers have to wait for it.
MAX_FULL_CHECK_BYTES = 1_000_000_000
#: The command that names a valid database.
SET_DATABASE = "export BATCHRUNNER_DB=~/batchrunner.db"


def collect(
    db: str,
    api_url: str | None,
    key_file: str | None,
    *,
    db_option: str = "",
    recount: bool = False,
) -> Facts:
    """
    Collect all facts; what cannot be found out is a fact too.

    *db_option* is the option that names the database in a suggested command. With *recount*, the
    batches whose numbers are wrong are counted again, if the database is whole.
    """
    file, store = _database(db, recount=recount)
    api = _api(api_url or DEFAULT_URL, key_file)
    return Facts(db=db_option, machine=_machine(), file=file, store=store, api=api)


def _database(db: str, *, recount: bool) -> tuple[FileFacts | None, StoreFacts | None]:
    try:
        path = file_of(db)
    except StoreError as error:
        unnamed = StoreFacts(path=None, head=HEAD, server_check=SET_DATABASE)
        return None, _in_trouble(unnamed, error)
    if path is None:
        return None, _store(db, None, thorough=True, recount=recount)
    file, store = _file(path), None
    if file.kind is FileKind.OURS and not file.uses_wal:
        thorough = file.bytes <= MAX_FULL_CHECK_BYTES
        store = _store(db, path, thorough=thorough, recount=recount)
    return replace(file, journal_now=_journal(path)), store


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


def _file(path: Path) -> FileFacts:
    kind, head = _kind(path)
    real = Path(os.path.realpath(path))  # Path.resolve() raises if links form a loop
    exists = kind not in (FileKind.NOTHING, FileKind.FOLDER, FileKind.LOOP)
    folder = real if kind is FileKind.FOLDER else real.parent
    return FileFacts(
        path=str(path),
        folder=str(folder),
        kind=kind,
        uses_wal=kind is FileKind.OURS and uses_wal(head),
        bytes=path.stat().st_size if exists else 0,
        mode=stat.S_IMODE(path.stat().st_mode) if exists else 0o600,
        writable=not exists or os.access(path, os.W_OK),
        journal=_journal(path),
        lost=None if (lost := lost_database(path)) is None else lost.message,
        folder_trouble=_trouble_in(folder),
        file_system=_file_system(folder),
        free=_free(folder),
    )


def _kind(path: Path) -> tuple[FileKind, bytes]:
    """Return what a path leads to, and its first bytes; SQLite opens no other program's file."""
    if path.is_dir():
        return FileKind.FOLDER, b""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return FileKind.NO_DATABASE, b""  # reading a pipe may wait for ever
        with path.open("rb") as file:
            head = file.read(100)
    except (FileNotFoundError, NotADirectoryError):
        return FileKind.NOTHING, b""
    except OSError as error:
        return (FileKind.LOOP if error.errno == errno.ELOOP else FileKind.UNREADABLE), b""
    return kind_of(head, APPLICATION_ID), head


def _journal(path: Path) -> int:
    """Return how many bytes of an open transaction are in the journal of a database."""
    journal = path.with_name(f"{path.name}-journal")
    try:
        with journal.open("rb") as file:
            return journal.stat().st_size if file.read(8).strip(b"\0") else 0
    except OSError:
        return 0


def _trouble_in(folder: Path) -> str | None:
    """Return why no file can be made in a folder; SQLite needs one for its journal."""
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


# ---- the content ----


def _store(db: str, path: Path | None, *, thorough: bool, recount: bool) -> StoreFacts:
    name = None if path is None else str(path)
    facts = StoreFacts(path=name, head=HEAD, thorough=thorough, server_check=_server_check(db))
    try:
        with closing(Store.connect(db)) as store:
            return _read(store, facts, recount=recount)
    except StoreError as error:
        return _in_trouble(facts, error)


def _server_check(db: str) -> str:
    """Return the command that tests whether a server answers."""
    url = url_of(db)
    if url.get_backend_name() != "postgresql":
        return SET_DATABASE
    return shlex.join(["pg_isready", "-h", url.host or "localhost", "-p", str(url.port or 5432)])


def _read(store: Store, facts: StoreFacts, *, recount: bool) -> StoreFacts:
    damage = store.read(integrity_errors, thorough=facts.thorough)
    if damage:  # the content of a damaged file means nothing
        return replace(facts, damage=tuple(damage))
    changes = store.read(foreign_changes, thorough=facts.thorough)
    facts = replace(facts, foreign_changes=changes)
    if not changes.readable:
        return facts
    health = store.read(database_health, now)
    exited = exited_owners([worker.owner for worker in health.workers])
    facts = replace(facts, health=health, exited=frozenset(exited))
    if health.revision != HEAD:
        return facts
    try:
        if recount:
            facts = replace(facts, recounted=tuple(_recounted(store)))
        facts = replace(facts, usage=store.read(disk_usage))
        return replace(facts, inconsistencies=store.read(consistency_errors))
    except StoreError as error:
        return _in_trouble(facts, error)


def _recounted(store: Store) -> list[str]:
    """Count batches with wrong numbers again, each in a transaction; return their names."""
    to_recount = store.read(batches_to_recount)
    return [name for batch_id, name in to_recount.items() if store.write(recount_batch, batch_id)]


def _in_trouble(facts: StoreFacts, error: StoreError) -> StoreFacts:
    trouble = f"{error.message}; {error.next}"
    return replace(facts, trouble=trouble, remedy=error.command, passing=error.passing)


# ---- the API ----


def _api(url: str, key_file: str | None) -> ApiFacts:
    facts = ApiFacts(origin=shown_address(url), key_from=_key_from(key_file))
    if facts.key_from is None:
        return facts
    try:
        client = TinyFishClient(url, api_key(key_file))
    except BatchrunnerError as error:
        return replace(facts, key_trouble=error.what)
    except AddressError:
        # The error is not repeated: an address may contain a password.
        return replace(facts, address_is_bad=True)
    except NetworkSettingsError as error:
        return replace(facts, network_trouble=(error.what, error.command))
    proxy = client.proxy.shown if client.proxy else None
    return anyio.run(_read_api, client, replace(facts, origin=client.origin, proxy=proxy))


def _key_from(key_file: str | None) -> str | None:
    """Say where the key comes from; None if there is none. The name of a key file stays secret."""
    if key_file is not None:
        return "from standard input" if key_file == "-" else "from the key file"
    return f"from {API_KEY}" if os.environ.get(API_KEY, "").strip() else None


async def _read_api(client: TinyFishClient, facts: ApiFacts) -> ApiFacts:
    async with client:
        at, started = now(), anyio.current_time()
        try:
            shown = await client.check()
        except RequestFailed as error:
            return replace(facts, fault=error.fault)
        seconds = anyio.current_time() - started
    # A Date header has no part of a second: half a second on average.
    middle = at + timedelta(seconds=seconds / 2 - 0.5)
    return replace(facts, seconds=seconds, ahead=None if shown is None else shown - middle)
