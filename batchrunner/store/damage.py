"""Recognises a damaged SQLite file, and says what to do about it."""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Mapping, Sequence
from enum import StrEnum

from batchrunner.store.database_file import STOPPED, recover_command
from batchrunner.store.errors import StoreError


class Damage(StrEnum):
    """What is wrong with a database file."""

    PAGES = "its pages contradict each other"
    NO_DATABASE = "it does not begin as an SQLite file does"
    SCHEMA = "the description of its tables cannot be read"
    TEXT = "text in it is not UTF-8"
    TABLE = "it lacks a table"
    COLUMN = "a table lacks a column"
    ROW = "a row that has to be there is missing"
    RESCUE = "the same attempts have to be taken over again and again"
    SIZE = "a value in it has an impossible size"


#: A part of SQLite's message → the damage. Its words are not repeated: they may quote results.
_SIGNS: Mapping[str, Damage] = {
    "disk image is malformed": Damage.PAGES,
    "file is not a database": Damage.NO_DATABASE,
    "malformed database schema": Damage.SCHEMA,
    "Could not decode to UTF-8": Damage.TEXT,
    "no such table": Damage.TABLE,
    "no such column": Damage.COLUMN,
    "string or blob too big": Damage.SIZE,
}


class Damaged(StoreError):
    """The database is damaged: what it says about jobs and runs cannot be trusted."""


def damaged(place: str, what: str) -> Damaged:
    """Return the error for damage: what is damaged, and how to go on."""
    return Damaged(
        f"the database {place} is damaged: {what}; {STOPPED}",
        next="keep a copy of it, put a backup in its place (docs/backup.md), and compare that with "
        f"the API: {recover_command(place)}",
    )


def wrong_numbers(place: str, names: Sequence[str]) -> StoreError:
    """Return the error for batches whose numbers differ from a recount: budgets rely on them."""
    return StoreError(
        f"the numbers of {', '.join(map(repr, names))} in {place} are not those of its jobs",
        next="count them again",
        command=f"batchrunner doctor --recount --db {shlex.quote(place)}",
    )


def damage_of(error: BaseException | None) -> Damage | None:
    """Return the damage that an error of SQLite means; None if it means something else."""
    said = str(error)
    damage = next((what for sign, what in _SIGNS.items() if sign in said), None)
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return damage or (Damage.PAGES if code == sqlite3.SQLITE_CORRUPT else None)
