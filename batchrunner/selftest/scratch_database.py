"""A temporary database beside the user's, on the same disk or server."""

from __future__ import annotations

import hashlib
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

from sqlalchemy import text

from batchrunner.selftest.invariants import InvariantViolated
from batchrunner.store.address import url_of
from batchrunner.store.database import Database, StoreError

NAME = "batchrunner-selftest-"
#: A file in the folder, locked while the self-test runs.
CLAIM = "claim"
#: PostgreSQL's code for a missing privilege.
FORBIDDEN = "42501"


@dataclass(frozen=True, kw_only=True)
class ScratchDatabase:
    """A folder, and the address of an empty database."""

    folder: Path
    address: str
    schema: str | None = None  #: the schema of the database, on a server

    @property
    def kept(self) -> str:
        """Where to find it, if it is kept."""
        return f"{self.folder}" + (f" and the schema {self.schema}" if self.schema else "")


@contextmanager
def scratch_database(address: str) -> Iterator[ScratchDatabase]:
    """
    Create an empty database beside the one at *address*, which stays as it is.

    It is removed when the block ends, but kept as evidence if a promise was broken.

    Raises:
        StoreError: The server cannot be reached, or allows no schema of our own.
        OSError: No folder can be created beside the file.
    """
    url = url_of(address)
    on_file = url.get_backend_name() == "sqlite"
    beside = Path(url.database or "").parent if on_file else Path(tempfile.gettempdir())
    _tidy(beside, address)
    place = _folder(beside) if on_file else _schema(address)
    with _claimed(place, address):
        try:
            yield place
        except InvariantViolated as broken:
            (place.folder / CLAIM).unlink()  # so that no later self-test removes it
            broken.add_note(f"the database of the self-test is kept in {place.kept}")
            raise
        except BaseException:
            _remove(place, address)
            raise
        _remove(place, address)


# ---- databases of killed self-tests ----


@contextmanager
def _claimed(place: ScratchDatabase, address: str) -> Iterator[None]:
    """Lock the folder, and note the schema, so that a later self-test can remove both."""
    with (place.folder / CLAIM).open("x") as claim:
        flock(claim, LOCK_EX)
        claim.write(f"{place.schema or ''} {_digest(address)}")
        claim.flush()
        yield


def _tidy(beside: Path, address: str) -> None:
    """Remove the databases of killed self-tests; a running one holds its lock."""
    for claim in beside.glob(f"{NAME}*/{CLAIM}"):
        with suppress(OSError), claim.open() as file:
            flock(file, LOCK_EX | LOCK_NB)
            schema, separator, digest = file.read().partition(" ")
            if separator and (digest == _digest(address) or not schema):
                left = ScratchDatabase(folder=claim.parent, address="", schema=schema or None)
                _remove(left, address)


def _digest(address: str) -> str:
    """Return a digest of an address: it may contain a password, and is not written to disk."""
    return hashlib.sha256(address.encode()).hexdigest()


def _folder(beside: Path) -> ScratchDatabase:
    folder = Path(tempfile.mkdtemp(prefix=NAME, dir=beside)).resolve()
    return ScratchDatabase(folder=folder, address=str(folder / "batchrunner.db"))


def _schema(address: str) -> ScratchDatabase:
    schema = f"batchrunner_selftest_{secrets.token_hex(4)}"
    _create(address, schema)
    url = url_of(address)
    path = f"{url.query.get('options', '')} -csearch_path={schema}".strip()
    own = url.update_query_dict({"options": path}).render_as_string(hide_password=False)
    folder = Path(tempfile.mkdtemp(prefix=NAME))
    return ScratchDatabase(folder=folder, address=own, schema=schema)


def _create(address: str, schema: str) -> None:
    try:
        _administer(address, f"CREATE SCHEMA {schema}")
    except StoreError as error:
        if getattr(getattr(error.__cause__, "orig", None), "sqlstate", None) != FORBIDDEN:
            raise
        url = url_of(address)
        right = f"GRANT CREATE ON DATABASE {url.database or '…'} TO {url.username or '…'}"
        raise StoreError(
            "the self-test works in a schema of its own, and this user may not create one",
            next=f"let the database's owner say: {right}; or test a file: --db selftest.db",
        ) from error


def _remove(place: ScratchDatabase, address: str) -> None:
    shutil.rmtree(place.folder, ignore_errors=True)
    if place.schema:
        _administer(address, f"DROP SCHEMA IF EXISTS {place.schema} CASCADE")


def _administer(address: str, statement: str) -> None:
    with closing(Database.connect(address)) as database, database.write() as tx:
        tx.execute(text(statement))
