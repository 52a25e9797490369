"""The bounds of a job file, each of which makes a batch bad where it is violated."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from batchrunner.model.quality import QualityReason, QualityWord
from batchrunner.quality.evidence import Comparison, Evidence
from batchrunner.text.format import exact_percent, percent


def violated_bounds(context: Comparison) -> Iterator[Evidence]:
    """Give the bounds of the job file that the rows violate."""
    bounds, profile = context.bounds, context.now.profile
    if bounds.rows is not None and profile.delivered < bounds.rows:
        yield _violated(
            "rows",
            f"{profile.delivered:,} rows were delivered; `rows` asks for {bounds.rows:,}",
            bounds.rows - profile.delivered,
        )
    if bounds.rows_share is not None and context.base is not None:
        yield from _too_few(context, bounds.rows_share)
    yield from _coverage(context)
    yield from _unique(context)
    yield from _duplicates(context)


def _violated(kind: str, text: str, count: int, column: str | None = None) -> Evidence:
    reason = QualityReason(
        kind=kind, word=QualityWord.BAD, column=column, count=count, text=text, bound=True
    )
    return Evidence(reason)


def _too_few(context: Comparison, share: Decimal) -> Iterator[Evidence]:
    assert context.base is not None
    now, before = context.now.profile.delivered, context.base.profile.delivered
    if now < share * before:
        asked = f"`rows` asks for {exact_percent(share)}"
        text = f"{now:,} rows were delivered, and {before:,} before; {asked}"
        yield _violated("rows", text, before - now)


def _coverage(context: Comparison) -> Iterator[Evidence]:
    profile = context.now.profile
    base = None if context.base is None else context.base.profile
    for path, least in context.bounds.coverage.items():
        held, size = profile.filled().get(path, 0), profile.asked(path, base)
        if size and held < float(least) * size:
            text = (
                f"`{path}` holds something in {held:,} of {size:,} rows "
                f"({percent(held / size)}); `coverage` asks for {exact_percent(least)}"
            )
            yield _violated("coverage", text, size - held, path)


def _unique(context: Comparison) -> Iterator[Evidence]:
    for path in context.bounds.unique:
        repeats = context.now.profile.unique.get(path)
        if repeats is not None and repeats.surplus:
            text = f"`{path}` repeats an earlier value {repeats.surplus:,} times; `unique` names it"
            yield _violated("unique", text, repeats.surplus, path)


def _duplicates(context: Comparison) -> Iterator[Evidence]:
    answers, most = context.now.profile.answers, context.bounds.duplicates
    if most is None or not answers.total:
        return
    share = answers.surplus / answers.total
    if share > float(most):
        text = (
            f"{answers.surplus:,} of {answers.total:,} answers repeat another "
            f"({percent(share)}); `duplicates` allows {exact_percent(most)}"
        )
        yield _violated("duplicates", text, answers.surplus)
