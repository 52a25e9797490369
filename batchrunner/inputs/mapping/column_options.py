"""Columns that are named like keys of a job, and set them for each row."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from batchrunner.inputs.field_types import INVALID, Refused, did_you_mean
from batchrunner.inputs.job_fields import JOB_FIELDS
from batchrunner.inputs.mapping.cell_text import cell_text
from batchrunner.inputs.nodes import Items, Node, Pairs, Scalar, is_null
from batchrunner.inputs.option_fields import OPTIONS
from batchrunner.inputs.problem_log import ProblemLog
from batchrunner.inputs.record_types import Record
from batchrunner.inputs.variables import report_variables
from batchrunner.outputs.json_values import Number, read

#: Different combinations of cells whose options are remembered.
_MAX_REMEMBERED = 5000
_SEPARATORS = re.compile(r"[\s./_-]+")

#: A key of a job, perhaps with a key of its mapping: ("proxy_config", "country_code").
Path = tuple[str, ...]


class OptionColumn(NamedTuple):
    """A column, and the key of a job that it sets."""

    name: str
    number: int
    path: Path


def _aliases() -> Mapping[str, Path]:
    found: dict[str, Path] = {key: (key,) for key in JOB_FIELDS if key not in ("url", "goal", "id")}
    members: dict[str, list[Path]] = defaultdict(list)
    for option, field in OPTIONS.items():
        for member in field.type.fields if isinstance(field.type, Record) else ():
            for start in (option, option.removesuffix("_config")):
                found[f"{start}_{member}"] = (option, member)
                found[f"{start}_{member.removesuffix('_code')}"] = (option, member)
            if "_" in member:  # `type` or `mode` may be anything
                members[member].append((option, member))
    return found | {name: paths[0] for name, paths in members.items() if len(paths) == 1}


_PATHS = _aliases()


def option_columns(columns: Mapping[str, int]) -> list[OptionColumn]:
    """Return the columns that are named like a key of a job, such as `proxy country`."""
    found = []
    for name, number in columns.items():
        path = _PATHS.get(_SEPARATORS.sub("_", name.strip().casefold()))
        if path is not None:
            found.append(OptionColumn(name, number, path))
    return found


def misspelt_options(columns: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """Give columns whose names are nearly keys of a job, with a question."""
    for name in columns:
        if "_" in name and name not in _PATHS:
            tip = did_you_mean(name, tuple(OPTIONS))
            if tip is not None:
                yield name, tip


class RowOptions:
    """Reads the options of rows; rows with the same cells share them."""

    def __init__(
        self,
        columns: Sequence[OptionColumn],
        defaults: Mapping[str, Any],
        log: ProblemLog,
        cell_at: Callable[[Any, int], Any],
    ) -> None:
        self._columns = columns
        self._defaults = defaults
        self._log = log
        self._cell_at = cell_at
        self._known: dict[tuple[str, ...], Mapping[str, Any]] = {}

    def read(self, row: Any, cells: Sequence[Any]) -> Mapping[str, Any] | Refused:
        """Return the keys that a row's cells set; None removes a default. Problems are reported."""
        texts = tuple([cell_text(cells[each.number]) for each in self._columns])
        found = self._known.get(texts)
        if found is not None:
            return found
        values = self._values(row, cells)
        if INVALID in values.values():
            return INVALID
        if len(self._known) < _MAX_REMEMBERED:
            self._known[texts] = values
        return values

    def _values(self, row: Any, cells: Sequence[Any]) -> dict[str, Any]:
        whole: dict[str, Node] = {}
        parts: dict[str, dict[str, tuple[Scalar, Node]]] = defaultdict(dict)
        for column in self._columns:
            cell = cells[column.number]
            if cell is None or cell_text(cell).strip() == "":
                continue
            at = self._cell_at(row, column.number)
            node = node_of(cell, at)
            if len(column.path) == 1:
                whole[column.path[0]] = node
            else:
                key = Scalar(at, at, column.path[1], plain=True)
                parts[column.path[0]][column.path[1]] = key, node
        values = {key: self._whole(key, node) for key, node in whole.items()}
        return values | {key: self._grouped(key, nodes) for key, nodes in parts.items()}

    def _whole(self, key: str, node: Node) -> Any:
        if report_variables(key, node, f"`{key}`", self._log):
            return INVALID
        if is_null(node) and (key in OPTIONS or key == "expect"):
            return None
        return JOB_FIELDS[key].type.read(node, f"`{key}`", self._log)

    def _grouped(self, key: str, nodes: dict[str, tuple[Scalar, Node]]) -> Any:
        """Return a mapping of which several columns are members, over the default."""
        first = next(iter(nodes.values()))[0]
        default = self._defaults.get(key) or {}
        if key == "proxy_config" and "enabled" not in nodes and not default:
            nodes = {"enabled": (first, first._replace(text="true")), **nodes}
        node = Pairs(first.start, first.end, nodes)
        if report_variables(key, node, f"`{key}`", self._log):
            return INVALID
        record = JOB_FIELDS[key].type
        assert isinstance(record, Record)
        own = Record(fields=record.fields).read(node, f"`{key}`", self._log)
        if own is INVALID:
            return INVALID
        merged = {**default, **own}
        broken = [rule for rule in record.rules if rule.is_broken(merged)]
        for rule in broken:
            rule.report(nodes.get(rule.key, (first,))[0], f"`{key}`", self._log)
        return INVALID if broken else merged


def node_of(cell: Any, at: Any) -> Node:
    """Return a cell as a node of a job file: `true`, `20` and `[a]` are read as YAML reads them."""
    if type(cell) is str and cell.lstrip()[:1] in ("{", "["):
        try:
            cell = read(cell)
        except ValueError:
            return Scalar(at, at, cell.strip(), plain=True)
    return _json_node(cell, at, plain=type(cell) is str)


def _json_node(value: Any, at: Any, *, plain: bool) -> Node:
    if isinstance(value, dict):
        pairs = {
            key: (Scalar(at, at, key, plain=False), _json_node(each, at, plain=False))
            for key, each in value.items()
        }
        return Pairs(at, at, pairs)
    if isinstance(value, list):
        return Items(at, at, tuple(_json_node(each, at, plain=False) for each in value))
    if isinstance(value, bool) or value is None:
        return Scalar(at, at, {True: "true", False: "false", None: "null"}[value], plain=True)
    text = cell_text(value)
    return Scalar(at, at, text.strip() if plain else text, plain or isinstance(value, Number))
