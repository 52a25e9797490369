"""Returns a job's result as it is stored, unparsed: also one that exports set aside."""

from __future__ import annotations

from pathlib import Path
from typing import IO

from batchrunner.app.atomic_file import replace_when_complete
from batchrunner.app.binary_stdout import binary_stdout
from batchrunner.app.output_targets import STANDARD_OUTPUT
from batchrunner.errors import UsageError
from batchrunner.model import Batch
from batchrunner.store.result_bodies import result_body_of_job, verdict_of_job
from batchrunner.store.store import Store
from batchrunner.text.terminal import term_safe


def raw_result(store: Store, batch: Batch, key: str) -> str:
    """
    Return the result of a job as the API sent it: JSON text in ASCII.

    Raises:
        UsageError: There is no such job, or it has no result.
    """
    body = store.read(result_body_of_job, batch.id, key)
    if body is None:
        raise UsageError(
            f"batch {batch.name!r} has no result of a job {key!r}",
            next="the `id` column of an export has the ids of jobs",
        )
    return body


def verdict_note(store: Store, batch: Batch, key: str) -> str | None:
    """Return what the judge found in the result of a job, in a line; None if it is good."""
    found = store.read(verdict_of_job, batch.id, key)
    if found is None:
        return None
    verdict, finding = found
    where = "" if finding.path == "." else f"{finding.path}: "
    return term_safe(f"{verdict} ({finding.rule}): {where}{finding.seen}")


def write_raw_result(text: str, path: str) -> None:
    """Write a result to a file, or to standard output for '-'."""

    def write(file: IO[bytes]) -> None:
        file.write(text.encode("ascii", "backslashreplace"))
        file.write(b"\n")

    if path == STANDARD_OUTPUT:
        with binary_stdout() as file:
            write(file)
    else:
        replace_when_complete(Path(path), write)
