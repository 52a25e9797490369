"""Turns errors of the database and of files into errors for people."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from batchrunner.errors import CannotContinue, DatabaseError
from batchrunner.store.errors import KeyReplaced, LeaseLost, OwnerForgotten, StoreError


@contextmanager
def errors_for_people() -> Iterator[None]:
    """Turn errors of the database and of files into errors for people."""

    try:
        yield
    except StoreError as error:
        raise DatabaseError(
            error.message, next=error.next, where=error.where, why=_cause(error)
        ) from error
    except OwnerForgotten as error:
        raise DatabaseError(_REPLACED, next=_COMPARE) from error
    except LeaseLost as error:
        raise CannotContinue(
            "this runner was asleep for so long that another one took its jobs over",
            next="run the same command again to work beside it",
        ) from error
    except KeyReplaced as error:
        raise CannotContinue(
            "somebody began to run this batch with another key: nothing more is submitted",
            next="run the same command again: it checks whether both keys belong to one account",
        ) from error
    except OSError as error:
        raise file_error(error) from error
    except ExceptionGroup as group:  # from a task, as of a sandbox whose journal has no space
        member = _only_member(group)
        if isinstance(member, OSError):
            raise file_error(member) from group
        raise


def _only_member(group: ExceptionGroup[Exception]) -> Exception | None:
    """Return the one exception in a group and the groups in it; None if there are more."""
    if len(group.exceptions) > 1:
        return None
    member = group.exceptions[0]
    return _only_member(member) if isinstance(member, ExceptionGroup) else member


_REPLACED = (
    "the database was replaced by another copy while in use: what this runner wrote is not in it; "
    "nothing more is submitted; runs in flight go on at the API, and may cost money"
)
_COMPARE = (
    "put the newest copy back, or compare this one with the API: batchrunner recover jobs.yaml"
)


def _cause(error: Exception) -> str:
    """Return what the database's driver said, if it said something."""
    said = str(getattr(error.__cause__, "orig", None) or "").strip()
    return said.splitlines()[0] if said else ""


def file_error(error: OSError) -> CannotContinue:
    """Return an error for people: which file, why, and what to check."""
    where = f"{error.filename}: " if error.filename else ""
    taken = error.errno == errno.EADDRINUSE
    return CannotContinue(
        f"{where}{error.strerror or error}",
        next="--port 0 takes a free one"
        if taken
        else "check the path, its permissions and the space on its disk",
        where=str(error.filename or ""),
        why=error.strerror or "",
    )
