"""Says in one word how good the rows of a batch are, with reasons and rows that show them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from batchrunner.model.quality import Quality, QualityBounds, QualityReason, QualityWord
from batchrunner.quality.checks import (
    bounds as bound_checks,
)
from batchrunner.quality.checks import (
    coverage,
    failures,
    labels,
    lists,
    numbers,
    repeats,
    shifted,
)
from batchrunner.quality.evidence import Check, Comparison, Evidence
from batchrunner.quality.profile import Profile
from batchrunner.quality.sample_table import SampleTable

#: Rows to look at.
MAX_ROWS_SHOWN = 10
#: Most reasons that are kept.
MAX_REASONS = 100

#: Checks that need no baseline.
_ALWAYS: tuple[Check, ...] = (
    repeats.repeated_answers,
    coverage.never_filled,
    labels.banners,
    failures.failed_and_suspect,
    numbers.far_hosts,
    shifted.shifted_columns,
)
#: Checks of what has changed since the baseline.
_DRIFT: tuple[Check, ...] = (
    lists.fewer_rows,
    coverage.lost_fields,
    labels.changed_types,
    labels.changed_currencies,
    labels.changed_units,
    numbers.moved_numbers,
    labels.changed_languages,
    repeats.repeated_values,
    lists.short_lists,
    labels.changed_spelling,
)
#: Kinds in the order in which they are shown: what explains the others comes first.
_ORDER = (
    "all_equal",
    "rows",
    "failed",
    "same_answer",
    "banner",
    "shifted",
    "coverage",
    "currency",
    "unit",
    "type",
    "number",
    "language",
    "constant",
    "list_length",
    "suspect",
    "absent",
    "unique",
    "duplicates",
    "repeated_value",
    "number_format",
)


@dataclass(frozen=True, kw_only=True)
class RowToLookAt:
    """A row that shows why a batch is not simply good."""

    key: str
    url: str
    host: str
    why: str


def quality_by(evidence: Sequence[Evidence]) -> Quality:
    """Return the word that follows from what was found."""
    reasons = tuple(each.reason for each in evidence)
    words = {reason.word for reason in reasons}
    bad, look = QualityWord.BAD, QualityWord.LOOK
    verdict = bad if bad in words else look if look in words else QualityWord.GOOD
    return Quality(verdict=verdict, reasons=reasons)


def evidence_of(
    profile: Profile,
    baseline: Profile | None = None,
    bounds: QualityBounds | None = None,
    *,
    complete: bool = True,
    more: Iterable[Evidence] = (),
) -> Sequence[Evidence]:
    """
    Return the reasons, with *more* of them, and the rows that show them; the most important first.

    Without a baseline only what is wrong in any batch counts. Where the batch is not *complete*,
    rows that are still to come are not missed.
    """
    bounds = bounds or QualityBounds()
    if bounds.drift is None or baseline is None or not baseline.delivered:
        base = None
    else:
        base = SampleTable(baseline)
    context = Comparison(SampleTable(profile), base, bounds)
    found = [each for check in _ALWAYS for each in check(context)]
    if base is not None:
        found += [each for check in _DRIFT for each in check(context)]
    whole = Comparison(context.now, None if baseline is None else SampleTable(baseline), bounds)
    found += [*bound_checks.violated_bounds(whole), *more]
    if not complete:
        found = [each for each in found if each.reason.kind != "rows"]
    return sorted(_explained(found), key=lambda each: _rank(each.reason))[:MAX_REASONS]


def _rank(reason: QualityReason) -> tuple[object, ...]:
    return (
        reason.word is not QualityWord.BAD,
        not reason.bound,
        _ORDER.index(reason.kind),
        reason.host is not None,
        -reason.count,
        reason.column or "",
        reason.host or "",
    )


#: Kind → kinds of the same field and host that it explains.
_EXPLAINS = {
    "banner": {"constant", "repeated_value", "language", "type", "number", "number_format"},
    "currency": {"number_format"},
    "unit": {"number", "number_format"},
    "number": {"number_format"},
    "type": {"number_format", "currency", "unit"},
    "constant": {"repeated_value"},
    "language": {"repeated_value", "number_format"},
}
#: Kinds that explain whatever else is odd in a field.
_EXPLAINS_ALL = {"all_equal", "shifted"}
_OF_VALUES = {
    "type",
    "currency",
    "unit",
    "number",
    "language",
    "constant",
    "repeated_value",
    "number_format",
}


def _explained(found: Sequence[Evidence]) -> Iterable[Evidence]:
    """Leave out what follows from something else that is said."""
    kinds = {each.reason.kind for each in found}
    whole = kinds & _EXPLAINS_ALL
    bad_kinds = {each.reason.kind for each in found if each.reason.word is QualityWord.BAD}
    causes: dict[tuple[str, str | None], set[str]] = {}
    for each in found:
        for kind in _EXPLAINS.get(each.reason.kind, ()):
            causes.setdefault((kind, each.reason.column), set()).add(each.reason.host or "")
    for each in found:
        reason = each.reason
        hosts = causes.get((reason.kind, reason.column), set())
        follows = "" in hosts or (reason.host or "-") in hosts
        if not follows and not (reason.kind in _OF_VALUES and whole & bad_kinds):
            yield each


def rows_to_look_at(profile: Profile, evidence: Sequence[Evidence]) -> list[RowToLookAt]:
    """Return up to ten rows that show the reasons, some of each, and suspects after them."""
    rows = SampleTable(profile).rows
    found: dict[int, str] = {}
    for turn in range(MAX_ROWS_SHOWN):
        for each in evidence:
            if turn < len(each.rows) and len(found) < MAX_ROWS_SHOWN:
                found.setdefault(each.rows[turn], each.reason.text)
    for number, row in enumerate(rows):
        if row.verdict == "suspect" and len(found) < MAX_ROWS_SHOWN:
            found.setdefault(number, "its result is suspect")
    return [
        RowToLookAt(key=rows[each].key, url=rows[each].url, host=rows[each].host, why=why)
        for each, why in found.items()
    ]
