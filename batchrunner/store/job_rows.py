"""Job specs → rows of the table of jobs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from json.encoder import encode_basestring_ascii as _string
from typing import Any, TypeVar

from batchrunner.model import JobFile, JobSpec, JobState
from batchrunner.model.hosts import host_of
from batchrunner.model.output_schema import plain_schema
from batchrunner.model.question import questions_with
from batchrunner.store.instants import stored_instant
from batchrunner.store.serialization import json_text, limits_text, plain_rules

T = TypeVar("T")

_json = json.JSONEncoder(separators=(",", ":")).encode

#: Rows in one statement. More are not faster on SQLite.
LOAD_CHUNK = 1000
#: What a new row of the table of jobs has; the other columns have their defaults.
NEW_JOB_COLUMNS = (
    "batch_id",
    "position",
    "key",
    "url",
    "host",
    "goal",
    "canary",
    "digest",
    "columns",
    "from_file",
    "state",
    "available_at",
    "loaded_at",
    "options",
    "policy",
    "expect",
    "limits",
    "output_schema_digest",
)
_AVAILABLE = JobState.AVAILABLE.value


class JobRows:
    """
    Makes the rows of new jobs, as values of NEW_JOB_COLUMNS in their order.

    Jobs of a file mostly share their options and rules: what follows from those is kept.
    """

    def __init__(self, batch_id: int, file: JobFile, now: datetime) -> None:
        self._batch_id, self._from_file, self._now = batch_id, file.from_file, stored_instant(now)
        self._spec: JobSpec | None = None
        self._shared: tuple[Any, ...] = ()
        self._question: Callable[[str, str], str] = _no_question

    def row(self, position: int, spec: JobSpec, *, canary: bool = False) -> tuple[Any, ...]:
        """Return the row of a new job."""
        if self._spec is None or not _share_all(self._spec, spec):
            self._share(spec)
        url, goal = spec.url, spec.goal
        return (
            self._batch_id,
            position,
            spec.key,
            url,
            host_of(url),
            goal,
            canary,
            self._question(url, goal),
            # Carried cells keep their order.
            _cells_text(spec.columns) if spec.columns else None,
            self._from_file,
            _AVAILABLE,
            self._now,
            self._now,
            *self._shared,
        )

    def _share(self, spec: JobSpec) -> None:
        self._spec = spec
        self._question = questions_with(spec.options)
        self._shared = (
            json_text(spec.options),
            json_text(plain_rules(spec.policy)) if spec.policy else None,
            json_text(spec.expect) if spec.expect else None,
            limits_text(spec.limits),
            output_schema_digest(spec.options),
        )


def _cells_text(columns: Mapping[str, Any]) -> str:
    """Return cells as JSON; text, which most of them are, is written several times as fast."""
    try:
        cells = [f"{_string(name)}:{_string(cell)}" for name, cell in columns.items()]
    except TypeError:
        return _json(columns)
    return f"{{{','.join(cells)}}}"


def _no_question(url: str, goal: str) -> str:
    raise AssertionError("no spec was given")


def _share_all(first: JobSpec, spec: JobSpec) -> bool:
    return (
        first.options is spec.options
        and first.policy is spec.policy
        and first.expect is spec.expect
        and first.limits is spec.limits
    )


def output_schema_digest(options: Mapping[str, Any]) -> str:
    """Return a digest of the output_schema, which all runs of a create request share."""
    schema = options.get("output_schema")
    if schema is None:
        return ""
    return hashlib.sha256(json_text(plain_schema(schema)).encode()).hexdigest()[:32]


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the items in lists of *size*; the last one may be shorter."""
    left = iter(items)
    while chunk := list(islice(left, size)):
        yield chunk
