"""An entry of a job file that loads a table, a matrix or both: `{from: pairs.csv, url: …}`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from batchrunner.inputs.field_types import INVALID, Boolean, Text, did_you_mean, refuse
from batchrunner.inputs.job_fields import DEFAULT_FIELDS
from batchrunner.inputs.job_specs import Defaults, report_cuts
from batchrunner.inputs.mapping.said import ROLES, MatrixColumn, Said, TableRequest
from batchrunner.inputs.nodes import Items, Node, Pairs, Scalar, is_null
from batchrunner.inputs.option_fields import OPTION_RULES
from batchrunner.inputs.problem_log import ProblemLog
from batchrunner.inputs.record_types import Field, Record, add_unknown
from batchrunner.inputs.tables import TableOptions
from batchrunner.inputs.variables import report_variables

#: Most combinations of the values of a matrix.
MAX_COMBINATIONS = 1_000_000
_PATH = Text(max_length=4096)
_TEMPLATE = Text(max_length=100_000, one_line=False)

#: The keys of an entry that loads a table, beside options, limits, `policy` and `expect`.
TABLE_FIELDS: Mapping[str, Field] = {
    "from": Field(_PATH, "a table, by its path from the job file's folder; or a list of tables"),
    "matrix": Field(
        Record(fields={}), "lists of values by name; each row is combined with each of them"
    ),
    "url": Field(_TEMPLATE, "a template of columns for the url, such as `{link}`"),
    "goal": Field(_TEMPLATE, "a template of columns for the goal"),
    "id": Field(_TEMPLATE, "a template of columns for the id"),
    "sheet": Field(_PATH, "the sheet of a workbook, by its name or number"),
    "encoding": Field(_PATH, "the encoding of the table, if it is not UTF-8"),
    "delimiter": Field(_PATH, "what separates the cells: one character, or `tab`"),
    "columns_to_options": Field(Boolean(), "columns named like keys of a job are these keys"),
}
_FIELDS: Mapping[str, Field] = {**DEFAULT_FIELDS, **TABLE_FIELDS}


@dataclass(frozen=True, kw_only=True)
class TableEntry:
    """An entry of a job file that loads tables."""

    node: Pairs
    paths: tuple[Scalar, ...]  #: none: a matrix alone
    request: TableRequest  #: without a path, and without the defaults of the file
    options: Mapping[str, Any]  #: of all its jobs
    keys: Mapping[str, Scalar]

    def requests(self, defaults: Defaults) -> Iterator[tuple[Scalar | None, TableRequest]]:
        """Give what is loaded from each table, and where its path is written."""
        merged = {**defaults.values, **self.options}
        kept = {key: value for key, value in merged.items() if value not in (None, INVALID)}
        whole = Defaults(kept, {**defaults.keys, **self.keys}, defaults.goal)
        for path in self.paths or (None,):
            text = None if path is None else path.text.strip()
            yield path, replace(self.request, path=text, defaults=whole)


def is_table_entry(node: Node) -> bool:
    """Return whether an entry of a job file loads a table or a matrix."""
    return isinstance(node, Pairs) and ("from" in node.nodes or "matrix" in node.nodes)


def read_table_entry(node: Pairs, name: str, log: ProblemLog) -> TableEntry | None:
    """Return the entry, or report everything that is wrong with it."""
    values: dict[str, Any] = {}
    paths: tuple[Scalar, ...] = ()
    matrix: tuple[MatrixColumn, ...] | None = ()
    for key, (key_node, value) in node.nodes.items():
        called = f"`{key}` of {name}"
        if key == "from":
            paths = _paths(value, called, log)
        elif key == "matrix":
            matrix = _matrix(value, called, log)
        else:
            values[key] = _value(key, key_node, value, called, log)
    if matrix is None or ("from" in node.nodes and not paths):
        return None
    refused = [key for key, value in values.items() if value is INVALID]
    if any(key in ROLES or did_you_mean(key, ROLES) for key in refused):
        return None
    # What else is wrong is in the log, and the rows are read to find more.
    values = {key: value for key, value in values.items() if value is not INVALID}
    options = {key: value for key, value in values.items() if key not in TABLE_FIELDS}
    for rule in OPTION_RULES:
        if rule.is_broken(options) and rule.key in node.nodes:
            rule.report(node.nodes[rule.key][0], name, log)
    return TableEntry(
        node=node,
        paths=paths,
        request=_request(node, values, matrix),
        options=options,
        keys={key: node.nodes[key][0] for key in options},
    )


def _request(
    node: Pairs, values: Mapping[str, Any], matrix: tuple[MatrixColumn, ...]
) -> TableRequest:
    said = {}
    for role in ROLES:
        if role in values:
            at = node.nodes[role][1]
            said[role] = Said(values[role], at=at if isinstance(at, Scalar) else None)
    table = {name: values.get(name) for name in ("sheet", "encoding", "delimiter")}
    return TableRequest(
        path=None,
        style="job file",
        said=said,
        to_options=values.get("columns_to_options"),
        matrix=matrix,
        options=TableOptions(is_table=True, **table),
        at=node,
    )


def _value(key: str, key_node: Scalar, value: Node, called: str, log: ProblemLog) -> Any:
    field = _FIELDS.get(key)
    if field is None:
        add_unknown(key_node, _FIELDS, "a table's entry", log)
        return INVALID
    report_cuts(key, value, called, log)
    if report_variables(key, value, called, log):
        return INVALID
    if is_null(value) and isinstance(value, Scalar) and value.text and key in DEFAULT_FIELDS:
        return None
    return field.type.read(value, called, log)


def _paths(node: Node, called: str, log: ProblemLog) -> tuple[Scalar, ...]:
    nodes = node.nodes if isinstance(node, Items) else (node,)
    read = [_PATH.read(each, called, log) for each in nodes]
    if INVALID in read:
        return ()
    return tuple(each for each in nodes if isinstance(each, Scalar))


def _matrix(node: Node, called: str, log: ProblemLog) -> tuple[MatrixColumn, ...] | None:
    if not isinstance(node, Pairs) or not node.nodes:
        tip = "write for example `matrix: {country: [DE, FR], goal: [Read the price, …]}`"
        refuse(called, "a mapping of names to lists of values", node, log, tip)
        return None
    columns = [_column(name, value, called, log) for name, (_, value) in node.nodes.items()]
    found = [each for each in columns if each is not None]
    if len(found) < len(columns):
        return None
    if prod(len(each.values) for each in found) > MAX_COMBINATIONS:
        message = f"{called} has more than {MAX_COMBINATIONS:,} combinations"
        log.add(message, node, "split it into several entries")
        return None
    return tuple(found)


def _column(name: str, node: Node, called: str, log: ProblemLog) -> MatrixColumn | None:
    nodes = node.nodes if isinstance(node, Items) else (node,)
    read = [_TEMPLATE.read(each, f"`{name}` in {called}", log) for each in nodes]
    values = tuple(value for value in read if value is not INVALID)
    if not read:
        refuse(f"`{name}` in {called}", "a list of values", node, log)
    return MatrixColumn(name, values) if read and len(values) == len(read) else None
