"""Error codes and HTTP statuses of the TinyFish API; `classify` says what they mean for a job."""

from __future__ import annotations

from collections.abc import Mapping

#: Code in an error that came with status 200 → the status that it usually comes with.
STATUS_BY_CODE: Mapping[str, int] = {
    "INVALID_INPUT": 400,
    "CONTENT_POLICY_VIOLATION": 400,
    "MISSING_API_KEY": 401,
    "INVALID_API_KEY": 401,
    "UNAUTHORIZED": 401,
    "INSUFFICIENT_CREDITS": 402,
    "FORBIDDEN": 403,
    "NOT_FOUND": 404,
    "RATE_LIMIT_EXCEEDED": 429,
    "INTERNAL_ERROR": 500,
    "SERVICE_BUSY": 503,
    "TIMEOUT": 504,
}

#: Statuses of a create with which the API refuses it before it creates anything. 408 may come
#: from a proxy that gave up waiting, and no source names 409 and 425.
REFUSED_STATUSES = (frozenset(range(400, 500)) - {408, 409, 425}) | {501}
#: Statuses that may be about a single run that a request names.
SINGLE_RUN_STATUSES = frozenset({400, 413, 422})
#: Statuses with which an endpoint says that this API does not offer it.
NOT_OFFERED_STATUSES = (404, 405, 501)
#: Statuses with which a server says that there is nothing at this address, or that it has moved.
WRONG_ADDRESS_STATUSES = (301, 308, 404, 405)
#: Other statuses from 400 to 499 that say nothing about the request itself.
TRANSIENT_STATUSES = (404, 405, 408, 409, 425)
