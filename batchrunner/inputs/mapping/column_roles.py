"""Finds the columns or templates that are the url, the goal and the id of a table's jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from batchrunner.inputs.mapping.header_words import (
    has_no_urls,
    is_header_of,
    is_unique,
    looks_like_goals,
    looks_like_urls,
    repeats,
)
from batchrunner.inputs.mapping.said import ROLES, Said, TableRequest
from batchrunner.inputs.mapping.templates import (
    Template,
    closest_column,
    doubled_columns,
    listed,
    normal,
    parse_template,
)
from batchrunner.inputs.mapping.wording import column_choice, template_choice


@dataclass(frozen=True)
class RoleProblem:
    """What is wrong with the choice of a column, and what to write instead."""

    message: str
    tip: str
    said: Said | None = None  #: what the user wrote; None: it is about the header


@dataclass
class Roles:
    """The url, the goal and the id of each row, as templates."""

    by_role: dict[str, Template] = field(default_factory=dict)
    default_goal: Template | None = None  #: for rows whose goal is empty
    problems: list[RoleProblem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  #: what was taken as what
    warnings: list[str] = field(default_factory=list)


def find_roles(
    request: TableRequest, columns: Mapping[str, int], sample: Sequence[Sequence[Any]]
) -> Roles:
    """
    Return the url, the goal and the id of each row.

    A choice of the user counts; else the column with that name, also in other letters; else the
    only column with a header that people use for it. Whatever is not plain is in the notes.
    """
    finder = _Finder(request, columns, sample)
    for role in ROLES:
        finder.find(role)
    finder.default_goal()
    finder.report_missing()
    return finder.roles


class _Finder:
    """One search for the roles of a table's columns."""

    def __init__(
        self, request: TableRequest, columns: Mapping[str, int], sample: Sequence[Sequence[Any]]
    ) -> None:
        self.roles = Roles()
        self._request = request
        self._columns = columns
        self._sample = sample
        self._tried: set[str] = set()  # roles with a problem of their own

    def find(self, role: str) -> None:
        """Find the template of a role."""
        said = self._request.said.get(role)
        if said is not None and said.is_column:
            self._take_column(role, said)
        elif said is not None:
            self._take_template(role, said)
        else:
            self._take_by_name(role)

    def _take_column(self, role: str, said: Said) -> None:
        name = said.text.strip()
        if name in self._columns:
            if not self._is_wrong(role, name, said):
                self.roles.by_role[role] = self._column(name)
            return
        close = closest_column(name, self._columns)
        choice = column_choice(self._request.style, role, close) if close else ""
        tip = f"write {choice}" if close else f"the columns are {listed(self._columns)}"
        self._problem(role, f"there is no column `{name}` for the {role}", tip, said)

    def _is_wrong(self, role: str, name: str, said: Said) -> bool:
        """Report a column that cannot be meant, where another one fits: not a problem a row."""
        number = self._columns[name]
        if role == "url" and has_no_urls(self._sample, number):
            message = f"no cell of column `{name}` looks like a url"
            fits = looks_like_urls
        elif role == "id" and repeats(self._sample, number):
            message = f"column `{name}` has the same cells in many rows, and tells no jobs apart"
            fits = is_unique
        else:
            return False
        others = [
            other for other, at in self._columns.items() if at != number and fits(self._sample, at)
        ]
        if not others:
            return False
        others.sort(key=lambda each: role == "id" and self._columns[each] in self._taken())
        choices = [column_choice(self._request.style, role, other) for other in others[:3]]
        tip = f"did you mean {' or '.join(choices)}? The columns are {listed(self._columns)}"
        self._problem(role, message, tip, said)
        return True

    def _take_template(self, role: str, said: Said) -> None:
        found = parse_template(said.text, self._columns)
        if isinstance(found, Template):
            self.roles.by_role[role] = found
            for name in doubled_columns(said.text, self._columns):
                self.roles.warnings.append(
                    f"`{{{{{name}}}}}` in the {role} is the text `{{{name}}}`; the cell of the "
                    f"column is `{{{name}}}`"
                )
            return
        for fault in found:
            self._problem(role, f"{fault.message} in the {role}", fault.tip, said)

    def _take_by_name(self, role: str) -> None:
        exact = [name for name in self._columns if name == role]
        same = exact or [name for name in self._columns if normal(name) == role]
        named = same or [name for name in self._columns if is_header_of(role, name)]
        if role == "url" and not same:
            named = [each for each in named if looks_like_urls(self._sample, self._columns[each])]
        if role == "goal" and not same and self._default_goal_text():
            return  # a column `task` is another thing where a goal is given for all
        if len(named) > 1:
            choices = [column_choice(self._request.style, role, name) for name in named]
            message = f"several columns may be the {role}: {listed(dict.fromkeys(named, 0))}"
            self._problem(role, message, f"say which: {' or '.join(choices)}")
        elif named:
            self.roles.by_role[role] = self._column(named[0])
            if not exact:
                self.roles.notes.append(f"the {role} is column `{named[0]}`")

    def default_goal(self) -> None:
        """Take the goal of `defaults`, which is a template where jobs come from a table."""
        text = self._default_goal_text()
        if text is None or ("goal" in self._request.said and not self._has_sole_column("goal")):
            return
        found = parse_template(text, self._columns)
        if isinstance(found, Template):
            self.roles.default_goal = found
            return
        said = Said(text, at=self._request.defaults.goal)
        for fault in found:
            self._problem("goal", f"{fault.message} in the goal of `defaults`", fault.tip, said)

    def _has_sole_column(self, role: str) -> bool:
        found = self.roles.by_role.get(role)
        return found is not None and found.sole_column is not None

    def _default_goal_text(self) -> str | None:
        goal: str | None = self._request.defaults.parts().goal
        return goal if isinstance(goal, str) else None

    def report_missing(self) -> None:
        """Report that there is no url or no goal, with the column that may be it."""
        roles = self.roles
        if "url" not in roles.by_role and "url" not in self._tried:
            message = "no column is named `url`, and nothing says where the urls are"
            example = f"https://shop.example/p/{self._example('{sku}')}"
            example = template_choice(self._request.style, "url", example)
            self._problem("url", message, self._suggest("url", looks_like_urls, example))
        has_goal = "goal" in roles.by_role or roles.default_goal is not None
        if not has_goal and "goal" not in self._tried:
            message = "no column is named `goal`, and nothing says what to do on the pages"
            example = f"Read the price of {self._example('the product')}"
            example = template_choice(self._request.style, "goal", example)
            self._problem("goal", message, self._suggest("goal", looks_like_goals, example))

    def _suggest(self, role: str, looks_like_it: Any, example: str) -> str:
        taken = self._taken()
        found = [
            column_choice(self._request.style, role, name)
            for name, number in self._columns.items()
            if number not in taken and looks_like_it(self._sample, number)
        ]
        if found:
            return f"add {' or '.join(found[:3])}"
        columns = f"; the columns are {listed(self._columns)}" if len(self._columns) > 1 else ""
        return f"add for example {example}{columns}"

    def _taken(self) -> set[int | None]:
        return {template.sole_column for template in self.roles.by_role.values()}

    def _example(self, other: str) -> str:
        """Return a column that a template may name, in braces, so that the example works."""
        taken = self._taken()
        free = [name for name, number in self._columns.items() if number not in taken]
        return f"{{{free[0]}}}" if free else other

    def _column(self, name: str) -> Template:
        return Template(f"{{{name}}}", (self._columns[name],))

    def _problem(self, role: str, message: str, tip: str, said: Said | None = None) -> None:
        self._tried.add(role)
        self.roles.problems.append(RoleProblem(message, tip, said))
