"""Words for a run's status beside the five that the API's pages name."""

from __future__ import annotations

import re
from collections.abc import Mapping

#: Other spellings of a known status.
STATUS_SPELLINGS: Mapping[str, str] = {"CANCELED": "CANCELLED"}
#: How words begin that say that a run has ended.
_ENDED = re.compile(
    r"(?<![A-Z])(ABORT|CANCEL|COMPLETED?|CRASHED|DONE|ENDED|ERROR|EXPIRED?|FAILED|FAILURE|FINISHED"
    r"|KILLED|REJECTED|STOPPED|SUCCEEDED|SUCCESS|TERMINATED|TIMED|TIMEOUT)(?![A-Z])",
    re.IGNORECASE,
)


def says_ended(status: str | None) -> bool:
    """Whether the words of an unknown status say that the run has ended."""
    return status is not None and _ENDED.search(status.upper()) is not None
