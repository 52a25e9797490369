"""Turns errors of the database and of files into errors for people."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from batchrunner.errors import CannotContinue, DatabaseError


@contextmanager
def errors_for_people() -> Iterator[None]:
    """Turn errors of the database and of files into errors for people."""
    from batchrunner.store.account_keys import KeyReplaced
    from batchrunner.store.errors import StoreError
    from batchrunner.store.leases import LeaseLost, OwnerForgotten

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
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _file_error(error) from error


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


def _file_error(error: OSError) -> CannotContinue:
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
