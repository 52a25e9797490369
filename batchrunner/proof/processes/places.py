"""A database of our own beside the user's, on the same disk or server, and gone afterwards."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import make_url, text

from batchrunner.proof.promises import Broken
from batchrunner.store import StoreError
from batchrunner.store.database import Database

NAME = "batchrunner-selftest-"
#: How PostgreSQL says that a user lacks a right.
FORBIDDEN = "42501"


@dataclass(frozen=True, kw_only=True)
class Place:
    """A folder, and the address of a database in which nothing is."""

    folder: Path
    address: str
    schema: str | None = None  #: which the database is in, on a server

    @property
    def kept(self) -> str:
        """Where all of it is, should it be kept."""
        return f"{self.folder}" + (f" and the schema {self.schema}" if self.schema else "")


@contextmanager
def place_beside(address: str) -> Iterator[Place]:
    """
    Give a place beside the database at *address*, which is not touched.

    It is removed when the block ends, but kept as evidence when a promise broke in it.

    Raises:
        StoreError: The server cannot be reached, or gives us no schema of our own.
        OSError: There can be no folder beside the file.
    """
    give = _schema if "://" in address and not address.startswith("sqlite") else _folder
    place = give(address)
    try:
        yield place
    except Broken as broken:
        broken.add_note(f"what is left of it is kept in {place.kept}")
        raise
    except BaseException:
        _remove(place, address)
        raise
    _remove(place, address)


def _folder(address: str) -> Place:
    file = Path(address.rpartition(":///")[2])
    folder = Path(tempfile.mkdtemp(prefix=NAME, dir=file.parent)).resolve()
    return Place(folder=folder, address=str(folder / "batchrunner.db"))


def _schema(address: str) -> Place:
    schema = f"batchrunner_selftest_{secrets.token_hex(4)}"
    _create(address, schema)
    url = make_url(address)
    path = f"{url.query.get('options', '')} -csearch_path={schema}".strip()
    own = url.update_query_dict({"options": path}).render_as_string(hide_password=False)
    folder = Path(tempfile.mkdtemp(prefix=NAME))
    return Place(folder=folder, address=own, schema=schema)


def _create(address: str, schema: str) -> None:
    try:
        _administer(address, f"CREATE SCHEMA {schema}")
    except StoreError as error:
        if getattr(getattr(error.__cause__, "orig", None), "sqlstate", None) != FORBIDDEN:
            raise
        url = make_url(address)
        right = f"GRANT CREATE ON DATABASE {url.database or '…'} TO {url.username or '…'}"
        raise StoreError(
            "the self-test works in a schema of its own, and this user may not create one",
            hint=f"let the database's owner say: {right}; or test a file: --db selftest.db",
        ) from error


def _remove(place: Place, address: str) -> None:
    shutil.rmtree(place.folder, ignore_errors=True)
    if place.schema:
        _administer(address, f"DROP SCHEMA {place.schema} CASCADE")


def _administer(address: str, statement: str) -> None:
    with closing(Database.connect(address)) as database, database.write() as tx:
        tx.execute(text(statement))
