"""Finds cells that cannot be parsed, because another program wrote them."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Integer,
    String,
    Table,
    func,
    literal_column,
    select,
    type_coerce,
)

from batchrunner.model import FailureCategory, RunStatus
from batchrunner.model.artifacts import ArtifactState
from batchrunner.store.column_types import UtcDateTime
from batchrunner.store.dialect import has_server
from batchrunner.store.job_values import escalation_ids_of
from batchrunner.store.schema import metadata, results
from batchrunner.store.serialization import (
    budget_of,
    counts_of,
    findings_of,
    grounding_in_words,
    rules_of,
    settings_of,
)
from batchrunner.text.json_size import ALWAYS_PARSED_LENGTH

#: Most characters of a cell that are shown.
MAX_SHOWN = 40
#: The exceptions that parsing such a cell raises.
DECODE_ERRORS = (ValueError, TypeError, KeyError, AttributeError, ArithmeticError)


def _moment(stored: str) -> None:
    if datetime.fromisoformat(stored).utcoffset() is None:
        raise ValueError("a time without its zone")


def _mapping(stored: str) -> None:
    json.loads(stored).keys()


def _number(stored: object) -> None:
    if not isinstance(stored, int):
        raise ValueError("no whole number")


def _budget(stored: str) -> None:
    budget_of(json.loads(stored))


def _truth(stored: object) -> None:
    if stored not in (0, 1):
        raise ValueError("neither true nor false")


#: Columns of JSON texts, of which any will do.
_JSON_OF_BATCHES = ("account_limit", "columns", "sources", "quality_stop")
_JSON_OF_JOBS = ("columns", "accepted")
_JSON_OF_ATTEMPTS = ("help", "run_error")
#: Table and column → its parser. _BY_TYPE has those that depend on the type only.
_READERS: Mapping[tuple[str, str], Callable[[Any], object]] = {
    ("batches", "settings"): settings_of,
    ("batches", "budget"): _budget,
    ("batches", "step_price"): Decimal,
    **{("batches", name): json.loads for name in _JSON_OF_BATCHES},
    **{("jobs", name): json.loads for name in _JSON_OF_JOBS},
    **{("attempts", name): json.loads for name in _JSON_OF_ATTEMPTS},
    ("jobs", "options"): _mapping,
    ("jobs", "expect"): _mapping,
    ("jobs", "policy"): rules_of,
    ("jobs", "failures_by_category"): counts_of,
    ("jobs", "escalation_steps"): counts_of,
    ("attempts", "escalation_steps"): counts_of,
    ("attempts", "escalation_ids"): escalation_ids_of,
    ("attempts", "option_overrides"): _mapping,
    ("attempts", "findings"): findings_of,
    ("attempts", "grounding"): grounding_in_words,
    ("attempts", "cancel_reason"): FailureCategory,
    ("attempts", "run_status"): RunStatus,
    ("orphans", "run_status"): RunStatus,
    ("artifacts", "state"): ArtifactState,
}
_BY_TYPE: Mapping[type[Any], Callable[[Any], object]] = {
    UtcDateTime: _moment,
    Integer: _number,
    Boolean: _truth,
}


def _reader(column: Column[Any]) -> Callable[[Any], object] | None:
    by_type = (read for kind, read in _BY_TYPE.items() if isinstance(column.type, kind))
    return _READERS.get((column.table.name, column.name), next(by_type, None))


def undecodable_values(tx: Connection, most: int) -> list[str]:
    """Return up to *most* cells that cannot be parsed, as text with column, row and value."""
    found: list[str] = []
    for table in metadata.tables.values():
        with closing(_in_table(tx, table)) as places:
            found += islice(places, most - len(found))
    return found


def _in_table(tx: Connection, table: Table) -> Generator[str, None, None]:
    readers = {c.name: read for c in table.columns if (read := _reader(c)) is not None}
    raw = [type_coerce(table.c[name], String).label(name) for name in readers]
    keys = [type_coerce(key, String).label(f"key_{key.name}") for key in table.primary_key]
    every = select(*keys, *raw).execution_options(yield_per=1000)
    with closing(tx.execute(every)) as rows:
        for row in rows:
            for (name, read), cell in zip(readers.items(), row[len(keys) :], strict=True):
                if cell is not None and not _is_read(read, cell):
                    key = ", ".join(map(str, row[: len(keys)]))
                    yield f"{name} of row {key} in {table.name} is {_shown(cell)}"


def _is_read(read: Callable[[Any], object], cell: Any) -> bool:
    try:
        read(cell)
    except DECODE_ERRORS:
        return False
    return True


def _shown(cell: object) -> str:
    text = str(cell)
    return repr(text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…")


def invalid_results(tx: Connection, most: int) -> list[int]:
    """Return up to *most* attempts whose results are not JSON; deeply nested JSON is accepted."""
    # A long result may take much memory once it is parsed; exports set it aside then.
    kept = select(results.c.attempt_id, results.c.body).where(
        func.length(results.c.body) <= ALWAYS_PARSED_LENGTH
    )
    if not has_server(tx):
        # It finds most valid results quickly; the rest is parsed here.
        kept = kept.where(func.json_valid(results.c.body) == literal_column("0"))
    with closing(tx.execute(kept.execution_options(yield_per=100))) as rows:
        odd = (attempt_id for attempt_id, body in rows if not _is_json(body))
        return list(islice(odd, most))


def _is_json(body: str) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    except RecursionError:
        pass
    return True
