"""A database of our own beside the user's, on the same disk or server, and gone afterwards."""

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
#: A file in the folder, locked for as long as the self-test lives.
CLAIM = "claim"
#: How PostgreSQL says that a user lacks a right.
FORBIDDEN = "42501"


@dataclass(frozen=True, kw_only=True)
class ScratchDatabase:
    """A folder, and the address of a database in which nothing is."""

    folder: Path
    address: str
    schema: str | None = None  #: which the database is in, on a server

    @property
    def kept(self) -> str:
        """Where all of it is, should it be kept."""
        return f"{self.folder}" + (f" and the schema {self.schema}" if self.schema else "")


@contextmanager
def scratch_database(address: str) -> Iterator[ScratchDatabase]:
    """
    Give a place beside the database at *address*, which is not touched.

    It is removed when the block ends, but kept as evidence when a promise broke in it.

    Raises:
        StoreError: The server cannot be reached, or gives us no schema of our own.
        OSError: There can be no folder beside the file.
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
            (place.folder / CLAIM).unlink()  # so that nobody tidies it up
            broken.add_note(f"what is left of it is kept in {place.kept}")
            raise
        except BaseException:
            _remove(place, address)
            raise
        _remove(place, address)


# ---- what others left that were killed ----


@contextmanager
def _claimed(place: ScratchDatabase, address: str) -> Iterator[None]:
    """Hold the place, and write down what of it is on a server, for who may have to tidy up."""
    with (place.folder / CLAIM).open("x") as claim:
        flock(claim, LOCK_EX)
        claim.write(f"{place.schema or ''} {_digest(address)}")
        claim.flush()
        yield


def _tidy(beside: Path, address: str) -> None:
    """Remove the places of self-tests that were killed; who lives holds its claim."""
    for claim in beside.glob(f"{NAME}*/{CLAIM}"):
        with suppress(OSError), claim.open() as file:
            flock(file, LOCK_EX | LOCK_NB)
            schema, said, digest = file.read().partition(" ")
            if said and (digest == _digest(address) or not schema):
                left = ScratchDatabase(folder=claim.parent, address="", schema=schema or None)
                _remove(left, address)


def _digest(address: str) -> str:
    """Tell addresses apart; they may hold passwords, and are not written down."""
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
            hint=f"let the database's owner say: {right}; or test a file: --db selftest.db",
        ) from error


def _remove(place: ScratchDatabase, address: str) -> None:
    shutil.rmtree(place.folder, ignore_errors=True)
    if place.schema:
        _administer(address, f"DROP SCHEMA IF EXISTS {place.schema} CASCADE")


def _administer(address: str, statement: str) -> None:
    with closing(Database.connect(address)) as database, database.write() as tx:
        tx.execute(text(statement))
