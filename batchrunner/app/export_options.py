"""What a user may ask of an export: which jobs, which columns, and in which form."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypedDict

from batchrunner.app.argument_types import check_text, texts_of
from batchrunner.errors import UsageError
from batchrunner.model import FailureCategory, JobState, Verdict
from batchrunner.model.row_choice import ALL_FINAL, RowChoice
from batchrunner.outputs import SelectedColumn, View
from batchrunner.outputs.selection import check_selection, selected_columns

if TYPE_CHECKING:
    from batchrunner.app.table_export import IntoTable


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Which jobs an export shows, and how."""

    choice: RowChoice = ALL_FINAL
    columns: tuple[SelectedColumn, ...] = ()  #: only these, in this order; empty: all
    explode: str | None = None  #: path to a list in the results: one row for each element
    unwrap: bool = False  #: leave out a sole wrapper around results
    guard: bool = True  #: put a `'` before what a spreadsheet would execute
    overwrite: bool = False  #: replace files that this batch did not write

    @property
    def view(self) -> View:
        """How the jobs are shown."""
        return View(
            columns=self.columns, explode=self.explode, unwrap=self.unwrap, guard=self.guard
        )

    def check_columns(self, carried: Sequence[str]) -> None:
        """Raise UsageError where a column can be neither of the batch nor of a result."""
        if self.columns:
            check_selection(self.columns, carried)


def export_options(
    *,
    columns: Iterable[str] = (),
    explode: str | None = None,
    only: Iterable[str] = (),
    join: bool = False,
    last_good: bool = False,
    unwrap: bool = False,
    guard: bool = True,
    overwrite: bool = False,
) -> ExportOptions:
    """
    Return what a user asked for.

    Raises:
        UsageError: A text has no meaning.
    """
    selected = [column for text in columns for column in selected_columns(text)]
    return ExportOptions(
        choice=row_choice(only, join=join, last_good=last_good),
        columns=tuple(selected),
        explode=explode,
        unwrap=unwrap,
        guard=guard,
        overwrite=overwrite,
    )


class ViewArguments(TypedDict, total=False):
    """Which jobs to give, and how, from Python."""

    columns: str | Collection[str]  #: only these, such as "id,price=result.price"
    explode: str  #: path to a list in the results: a row for each element
    only: str | Collection[str]  #: states, verdicts and failure categories
    join: bool  #: also jobs that are not final
    last_good: bool  #: of each job that ran again, the newest result that succeeded
    unwrap: bool  #: leave out a sole wrapper around results


class ExportArguments(ViewArguments, total=False):
    """The same for a file."""

    guard: bool  #: put a `'` before what a spreadsheet would execute
    overwrite: bool  #: replace files that this batch did not write


def options_of_arguments(given: Mapping[str, Any]) -> ExportOptions:
    """
    Return what a caller of the Python interface asked for.

    Raises:
        TypeError: There is no such argument.
        UsageError: A text has no meaning.
    """
    several = {name: texts_of(name, given[name]) for name in ("columns", "only") if given.get(name)}
    check_text("explode", given.get("explode"))
    return export_options(**{**given, **several})


@dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """What a command was asked to export, beside its files."""

    options: ExportOptions
    format: str | None = None  #: None: as the names of the files say
    into: IntoTable | None = None

    def with_overwrite(self, overwrite: bool) -> ExportRequest:
        """Return the same, with leave to replace files that this batch did not write."""
        return replace(self, options=replace(self.options, overwrite=overwrite))


def export_request(
    *,
    format_: str | None,
    into: str | None,
    key: Sequence[str],
    no_guard: bool,
    **options: Any,
) -> ExportRequest:
    """
    Return what the options of a command ask for.

    Raises:
        UsageError: One of them has no meaning.
    """
    if key and into is None:
        raise UsageError(
            "--key goes with a table",
            next="name the table, too: --into sqlite:prices.db:prices --key " + key[0],
        )
    return ExportRequest(
        options=export_options(**options, guard=not no_guard),
        format=format_,
        into=None if into is None else _into(into, key),
    )


def _into(into: str, key: Sequence[str]) -> IntoTable:
    from batchrunner.app.table_export import into_table  # imports SQLAlchemy

    return into_table(into, [name.strip() for text in key for name in text.split(",")])


def row_choice(only: Iterable[str], *, join: bool = False, last_good: bool = False) -> RowChoice:
    """
    Return the choice of jobs that these states, failure categories and verdicts name.

    Raises:
        UsageError: A word is none of these, or a state is not final and only final jobs are shown.
    """
    words = [part.strip() for text in only for part in text.split(",") if part.strip()]
    states, categories, verdicts = set(), set(), set()
    for word in words:
        if word in {*JobState}:
            states.add(JobState(word))
        elif word in {*FailureCategory}:
            categories.add(FailureCategory(word))
        elif word in {*Verdict}:
            verdicts.add(Verdict(word))
        else:
            raise _unknown(word)
    open_states = sorted(state for state in states if not state.is_final)
    if open_states and not join:
        raise UsageError(
            f"jobs that are {open_states[0]} have no result yet", next="add --join to show them"
        )
    if FailureCategory.RUN_CANCELLED in categories:
        states.add(JobState.CANCELLED)
    return RowChoice(
        states=frozenset(states),
        categories=frozenset(categories),
        verdicts=frozenset(verdicts),
        join=join,
        last_good=last_good,
    )


def _unknown(word: str) -> UsageError:
    from batchrunner.inputs.field_types import did_you_mean

    known = (*JobState, *Verdict, *FailureCategory)
    tip = did_you_mean(word, tuple(str(each) for each in known))
    return UsageError(
        f"there is no state, verdict or failure category {word!r}",
        next=tip or f"name one of these: {', '.join(known)}",
    )
