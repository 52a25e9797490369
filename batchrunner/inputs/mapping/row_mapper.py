"""A row of a table → a job spec, or all that is wrong with it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from json.encoder import encode_basestring_ascii
from operator import itemgetter
from typing import Any

from batchrunner.inputs.field_types import INVALID
from batchrunner.inputs.job_fields import JOB_FIELDS
from batchrunner.inputs.job_specs import canonical
from batchrunner.inputs.mapping.cell_text import cell_text, plain_value
from batchrunner.inputs.mapping.column_options import OptionColumn, RowOptions
from batchrunner.inputs.mapping.column_roles import Roles
from batchrunner.inputs.mapping.row_log import RowLog
from batchrunner.inputs.mapping.said import TableRequest
from batchrunner.inputs.mapping.templates import Template
from batchrunner.inputs.mapping.wording import template_choice
from batchrunner.inputs.nodes import Scalar
from batchrunner.inputs.option_fields import OPTION_RULES, OPTIONS
from batchrunner.inputs.page_urls import (
    is_ordinary,
    spreadsheet_error,
    url_fault,
    url_oddities,
)
from batchrunner.inputs.tables import Row, Table
from batchrunner.inputs.variables import TIP, variable_left
from batchrunner.model import JobSpec, TimeLimits

_MAX_GOAL = 100_000
_DIGEST = re.compile("[0-9a-f]{32}")
#: Columns that every whole export has.
_OF_EXPORTS = frozenset({"id", "url", "goal", "state", "category", "attempts", "run_id"})
#: Cells of a row, with those of the matrix.
Cells = Sequence[Any]


class RowMapper:
    """Makes specs of the rows of one table."""

    def __init__(
        self,
        table: Table,
        request: TableRequest,
        roles: Roles,
        *,
        carried: Mapping[str, int],
        options: Sequence[OptionColumn],
        log: RowLog,
    ) -> None:
        self._table, self._request, self._log = table, request, log
        self._defaults = request.defaults.parts()
        self._url_template, self._goal_template = roles.by_role["url"], roles.by_role.get("goal")
        self._id_template = roles.by_role.get("id")
        self._url = self._url_template.url_filler()
        self._goal = self._goal_template.filler() if self._goal_template else _nothing
        self._default_goal = roles.default_goal.filler() if roles.default_goal else _nothing
        self._id = self._id_template.filler() if self._id_template else None
        self._may_have_own_keys = is_export(table)
        carry = _carrier(carried)
        is_json = table.kind in ("json", "jsonl")
        self._carry = (lambda cells: plain_value(carry(cells))) if is_json else carry
        self._row_options = (
            RowOptions(options, self._defaults.options, log, self._cell_at) if options else None
        )
        goals = [each for each in (self._goal_template, roles.default_goal) if each]
        self._goal_columns = next((each.columns for each in goals if not _is_cell(each)), ())
        self._url_columns = () if _is_cell(self._url_template) else self._url_template.columns
        self._has_goal = bool(goals)  # else that is a problem of the table, not of each row
        self._options_text = canonical(self._defaults.options)

    def spec(self, row: Row, cells: Cells) -> JobSpec | None:
        """Return a row's spec; None if something is wrong, which is in the log."""
        url = self._url(cells).strip()
        goal = self._goal(cells).strip() or self._default_goal(cells).strip()
        good = not self._url_has_gap(row, cells) and (
            is_ordinary(url) or self._is_good_url(url, row)
        )
        good = self._is_good_goal(goal, row, cells) and good
        key = self._id(cells).strip() if self._id else ""
        if self._may_have_own_keys and _DIGEST.fullmatch(key):
            key = ""  # the key that the program gave to a job without an id
        if key:
            good = self._is_good_id(key, row) and good
        if self._row_options is not None:
            return self._with_options(row, cells, (key, url, goal), good=good)
        if not good:
            return None
        parts = self._defaults
        return JobSpec(
            key or _digest(url, goal, self._options_text),
            url,
            goal,
            parts.options,
            parts.expect,
            parts.policy,
            parts.limits,
            row.line,
            self._carry(cells),
            self._table.file,
        )

    def _with_options(
        self, row: Row, cells: Cells, texts: tuple[str, str, str], *, good: bool
    ) -> JobSpec | None:
        """Return the spec of a row that has options of its own."""
        assert self._row_options is not None
        own, parts = self._row_options.read(row, cells), self._defaults
        if own is INVALID:
            return None
        given = {key: value for key, value in own.items() if key in OPTIONS}
        merged = {**parts.options, **given}
        options = {key: value for key, value in merged.items() if value is not None}
        if self._breaks_rules(options, row) or not good:
            return None
        key, url, goal = texts
        return JobSpec(
            key or _digest(url, goal, canonical(options)),
            url,
            goal,
            options,
            own.get("expect", parts.expect) or {},
            own.get("policy", parts.policy),
            TimeLimits(
                queued=own.get("queued_limit", parts.limits.queued),
                running=own.get("running_limit", parts.limits.running),
            ),
            row.line,
            self._carry(cells),
            self._table.file,
        )

    def _breaks_rules(self, options: Mapping[str, Any], row: Row) -> bool:
        broken = [rule for rule in OPTION_RULES if rule.is_broken(options)]
        at = self._table.cell(row)
        for rule in broken:
            rule.report(Scalar(at, at, rule.key, plain=True), "the row", self._log)
        return bool(broken)

    def _is_good_url(self, url: str, row: Row) -> bool:
        template, at = self._url_template, self._place(self._url_template, row)
        name = "the url" if _is_cell(template) or not url else f"the url `{url[:200]}`"
        if (variable := variable_left("url", url)) is not None:
            self._log.add(f"{name} has the variable `${{{variable}}}` left in it", at, TIP)
            return False
        if (fault := url_fault(url)) is not None:
            self._log.add(f"{name} {fault.message}", at, self._url_tip(fault.message, fault.tip))
            return False
        for oddity in url_oddities(url):
            self._log.warn_odd(name, oddity.kind, oddity.detail, at)
        return True

    def _url_tip(self, message: str, tip: str | None) -> str | None:
        number = self._url_template.sole_column
        if "in front" not in message or number is None or number >= len(self._table.columns):
            return tip
        template = f"https://{{{self._table.columns[number].name}}}"
        whole = template_choice(self._request.style, "url", template)
        return f"{tip}; if no cell of the column has one, give {whole}"

    def _url_has_gap(self, row: Row, cells: Cells) -> bool:
        """Report columns of the url's template that are empty, or errors of the spreadsheet."""
        gap = False
        for number in self._url_columns:
            text = cell_text(cells[number])
            if not text.strip():
                message, tip = "the cell is empty, and the url names it", "fill it"
            elif text[0] == "#" and (error := spreadsheet_error(text)):
                message, tip = f"`{error}` is an error of the spreadsheet", "mend the formula there"
            else:
                continue
            gap = True
            self._log.add(message, self._cell_at(row, number), tip)
        return gap

    def _is_good_goal(self, goal: str, row: Row, cells: Cells) -> bool:
        for each in self._goal_columns:
            if not cell_text(cells[each]).strip():
                return self._is_good_gap(row, cells)
        if (
            goal.isprintable()
            and 0 < len(goal) <= _MAX_GOAL
            and "$" not in goal
            and "#" not in goal
        ):
            return True
        return self._is_good_odd_goal(goal, row, cells)

    def _is_good_gap(self, row: Row, cells: Cells) -> bool:
        """Warn of a goal with an empty column; refuse one in which all of them are empty."""
        empty = [each for each in self._goal_columns if not cell_text(cells[each]).strip()]
        at = self._cell_at(row, empty[0]) if empty else self._table.cell(row)
        if len(empty) == len(self._goal_columns):
            self._log.add("all cells that the goal names are empty", at, "fill them")
            return False
        if empty:
            name = self._name(empty[0])
            self._log.warn_odd(f"column `{name}`", "is empty, and the goal names it", "", at)
        return True

    def _is_good_odd_goal(self, goal: str, row: Row, cells: Cells) -> bool:
        template = self._goal_template
        at = self._place(template, row) if template else self._table.cell(row)
        if not goal and not self._has_goal:
            return False
        if not goal:
            tip = template_choice(self._request.style, "goal", "Read the title and the price")
            self._log.add("the row has no goal", at, f"write one, or give one for all: {tip}")
            return False
        for number in template.columns if template else ():
            if error := spreadsheet_error(cell_text(cells[number])):
                message = f"`{error}` is an error of the spreadsheet, not a goal"
                self._log.add(message, self._cell_at(row, number), "mend the formula there")
                return False
        if (variable := variable_left("goal", goal)) is not None:
            self._log.add(f"the goal has the variable `${{{variable}}}` left in it", at, TIP)
            return False
        node = Scalar(at, at, goal, plain=False)
        return JOB_FIELDS["goal"].type.read(node, "the goal", self._log) is not INVALID

    def _is_good_id(self, key: str, row: Row) -> bool:
        if key.isprintable() and len(key) <= 200 and not _DIGEST.fullmatch(key) and key[0] != "#":
            return True
        at = self._place(self._id_template, row)
        if error := spreadsheet_error(key):
            self._log.add(f"the id is `{error}`, an error of the spreadsheet", at, "mend it there")
            return False
        node = Scalar(at, at, key, plain=False)
        return JOB_FIELDS["id"].type.read(node, "the id", self._log) is not INVALID

    def _place(self, template: Template | None, row: Row) -> Any:
        columns = template.columns if template else ()
        return self._cell_at(row, columns[0]) if columns else self._table.cell(row)

    def _cell_at(self, row: Row, number: int) -> Any:
        """Return the position of a cell; those of a matrix are nowhere in the row."""
        return self._table.cell(row, number if number < len(self._table.columns) else None)

    def _name(self, number: int) -> str:
        columns = self._table.columns
        return columns[number].name if number < len(columns) else "matrix"


def is_export(table: Table) -> bool:
    """Return whether a table has the columns of the program's own exports."""
    return {column.name for column in table.columns} >= _OF_EXPORTS


def _nothing(_: Cells) -> str:
    return ""


def _is_cell(template: Template) -> bool:
    return template.sole_column is not None


def _carrier(carried: Mapping[str, int]) -> Callable[[Cells], dict[str, Any]]:
    """Return a function that gives a row's carried cells by the names of their columns."""
    names, numbers = tuple(carried), tuple(carried.values())
    if not names:
        nothing: dict[str, Any] = {}
        return lambda _: nothing
    if len(names) == 1:
        name, number = names[0], numbers[0]
        return lambda cells: {name: cells[number]}
    cells_of = itemgetter(*numbers)
    return lambda cells: dict(zip(names, cells_of(cells), strict=True))


def _digest(url: str, goal: str, options_text: str) -> str:
    """Return the same key as `job_digest`, with the options written once for all rows."""
    goal_text, url_text = encode_basestring_ascii(goal), encode_basestring_ascii(url)
    content = f'{{"goal":{goal_text},"options":{options_text},"url":{url_text}}}'
    return hashlib.sha256(content.encode()).hexdigest()[:32]
