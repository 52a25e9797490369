"""Decides which bounds of a job file a running batch can no longer meet; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from batchrunner.model.quality import QualityBounds, QualityReason, QualityWord
from batchrunner.policy.watched_results import WatchedResult
from batchrunner.quality.sketches import Repeats
from batchrunner.text.format import exact_percent

#: Different answers that are told apart exactly; beyond them, repeats are estimated.
EXACT_ANSWERS = 100_000
#: Delivered rows before which no bound counts as lost: a few rows say little about a batch.
MIN_ROWS = 20


class BoundCounts:
    """What is counted of the rows of a batch for its bounds, in any order."""

    def __init__(self, bounds: QualityBounds) -> None:
        self._bounds = bounds
        self._delivered = 0
        self._filled: Counter[str] = Counter()
        self._answers = Repeats(EXACT_ANSWERS)

    def add(self, result: WatchedResult) -> None:
        """Count a result."""
        if not result.delivered:
            return
        self._delivered += 1
        if result.fields is None:
            return
        self._filled.update(path for path in self._bounds.coverage if path in result.fields.filled)
        if result.fields.digest:
            self._answers.add(int(result.fields.digest, 16))

    def lost(self, open_jobs: int, *, all_rows: bool) -> list[QualityReason]:
        """
        Return the bounds that are violated at the end, even if all *open_jobs* bring good rows.

        With *all_rows*, every row of the batch was counted.
        """
        if self._delivered < MIN_ROWS:
            return []
        reasons = [*self._coverage(open_jobs), *self._duplicates(open_jobs)]
        return [*reasons, *self._rows(open_jobs)] if all_rows else reasons

    def _coverage(self, open_jobs: int) -> Iterator[QualityReason]:
        for path, least in self._bounds.coverage.items():
            empty = self._delivered - self._filled[path]
            if empty > (1 - least) * (self._delivered + open_jobs):
                text = (
                    f"`{path}` is empty in {empty:,} of {self._delivered:,} rows, so that "
                    f"{exact_percent(least)} of all rows can no longer hold it"
                )
                yield _reason("coverage", text, empty, path)

    def _duplicates(self, open_jobs: int) -> Iterator[QualityReason]:
        most, surplus = self._bounds.duplicates, self._answers.surplus
        if most is not None and surplus > most * (self._answers.total + open_jobs):
            text = (
                f"{surplus:,} of {self._answers.total:,} answers repeat another: more than "
                f"{exact_percent(most)} of all rows, whatever is still to come"
            )
            yield _reason("duplicates", text, surplus)

    def _rows(self, open_jobs: int) -> Iterator[QualityReason]:
        least, possible = self._bounds.rows, self._delivered + open_jobs
        if least is not None and possible < least:
            text = f"{possible:,} rows are still possible; `rows` asks for {least:,}"
            yield _reason("rows", text, least - possible)


def _reason(kind: str, text: str, count: int, column: str | None = None) -> QualityReason:
    return QualityReason(
        kind=kind, word=QualityWord.BAD, text=text, column=column, count=count, bound=True
    )
