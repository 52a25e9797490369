"""Job specs → rows of the table of jobs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from batchrunner.model import JobFile, JobSpec, JobState
from batchrunner.model.hosts import host_of
from batchrunner.model.output_schema import plain_schema
from batchrunner.model.question import question_digest
from batchrunner.store.serialization import json_text, limits_text, plain_rules

T = TypeVar("T")

_cells = json.JSONEncoder(separators=(",", ":")).encode

#: Rows in one statement. More are not faster on SQLite.
LOAD_CHUNK = 1000


def job_row(
    batch_id: int, file: JobFile, position: int, spec: JobSpec, now: datetime, *, canary: bool
) -> dict[str, Any]:
    """Return the row of a new job."""
    return {
        "batch_id": batch_id,
        "position": position,
        "key": spec.key,
        "url": spec.url,
        "host": host_of(spec.url),
        "goal": spec.goal,
        "options": json_text(spec.options),
        "policy": json_text(plain_rules(spec.policy)) if spec.policy else None,
        "expect": json_text(spec.expect) if spec.expect else None,
        "limits": limits_text(spec.limits),
        "output_schema_digest": output_schema_digest(spec.options),
        "canary": canary,
        "digest": question_digest(spec.url, spec.goal, spec.options),
        # Carried cells keep their order.
        "columns": _cells(spec.columns) if spec.columns else None,
        "from_file": file.from_file,
        "state": JobState.AVAILABLE,
        "available_at": now,
        "loaded_at": now,
    }


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
