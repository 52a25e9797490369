"""Why an artifact could not be downloaded, and one table from errors and statuses to that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum

import httpx

from batchrunner.network.certificates import distrust


class DownloadFailure(StrEnum):
    """What a failed download means for the next try."""

    REFUSED = "refused"  #: it is not what it should be: another try gives the same
    GONE = "gone"  #: it does not exist
    STALE = "stale"  #: its address has expired: reading the run again gives a new one
    LATER = "later"  #: a passing fault
    BARRED = "barred"  #: the API refuses the key


class DownloadFailed(Exception):
    """The artifact was not downloaded."""

    def __init__(self, kind: DownloadFailure, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


def refused(message: str) -> DownloadFailed:
    """Return the error for an artifact that no other try can bring."""
    return DownloadFailed(DownloadFailure.REFUSED, message)


def later(message: str) -> DownloadFailed:
    """Return the error for an artifact that another try may bring."""
    return DownloadFailed(DownloadFailure.LATER, message)


#: Errors of a request → what they mean; the first row that matches counts.
_BY_ERROR: tuple[tuple[tuple[type[Exception], ...], DownloadFailure, str], ...] = (
    ((httpx.ConnectError,), DownloadFailure.LATER, "its host cannot be reached"),
    (
        (httpx.InvalidURL, UnicodeError),
        DownloadFailure.REFUSED,
        "it leads to an address that is none",
    ),
    ((httpx.HTTPError,), DownloadFailure.LATER, "the connection broke before it was whole"),
)


@contextmanager
def download_errors(seconds: float) -> Iterator[None]:
    """Turn errors of a request that may take *seconds* into DownloadFailed."""
    try:
        yield
    except TimeoutError as error:
        raise later(f"it did not come whole within {seconds:g} s") from error
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        if distrusted := distrust(error):
            raise later(f"no secure connection: {distrusted.why}") from error
        kind, message = next(row[1:] for row in _BY_ERROR if isinstance(error, row[0]))
        raise DownloadFailed(kind, message) from error


_GONE = (DownloadFailure.GONE, "it is not there")
_BUSY = (DownloadFailure.LATER, "the server is busy")
_BY_STATUS: Mapping[int, tuple[DownloadFailure, str]] = {
    404: _GONE,
    410: _GONE,
    408: _BUSY,
    425: _BUSY,
    429: _BUSY,
}
#: Statuses of a request without the key: presigned addresses expire.
_BY_STATUS_WITHOUT_KEY = {
    status: (DownloadFailure.STALE, "it is not given out") for status in (401, 403)
}
_BY_STATUS_WITH_KEY = {
    401: (DownloadFailure.BARRED, "the API refuses the key"),
    403: (DownloadFailure.REFUSED, "it is not given out"),
}


def check_status(status: int, *, keyed: bool) -> None:
    """
    Accept status 200 alone; *keyed* says whether the request carried the key.

    Raises:
        DownloadFailed: It is another status.
    """
    if status == 200:
        return
    auth = _BY_STATUS_WITH_KEY if keyed else _BY_STATUS_WITHOUT_KEY
    found = auth.get(status) or _BY_STATUS.get(status) or (_BUSY if status >= 500 else None)
    if found is None:
        raise refused(f"the server answered with HTTP {status}")
    kind, message = found
    raise DownloadFailed(kind, f"{message} (HTTP {status})")
