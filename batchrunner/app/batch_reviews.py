"""The part of a batch handle with which a person accepts and rejects results."""

from __future__ import annotations

from collections.abc import Collection

from batchrunner.app.argument_types import check_text, texts_of
from batchrunner.app.error_translation import errors_for_people
from batchrunner.app.review import (
    DEFAULT_SAMPLE,
    ReviewRows,
    accept,
    reject,
    review_rows,
    take_back,
)
from batchrunner.app.review_rules import LearnedRules, learned_rules
from batchrunner.model import Batch
from batchrunner.store.store import Store


class BatchReviews:
    """The results of one batch, and what a person says of them."""

    _store: Store
    _batch: Batch

    def review(self, *, sample: int = DEFAULT_SAMPLE, seed: int = 0) -> ReviewRows:
        """
        Return the results that a person should look at: each suspect one, and a seeded sample.

        Those that were reviewed before are not among them.
        """
        with errors_for_people():
            return review_rows(self._store, self._batch, sample=sample, seed=seed)

    def accept(self, job: str | Collection[str]) -> int:
        """
        Record that the results of these jobs are good as they are; return how many changed.

        What rules find in them counts no longer, in these jobs and in those of later editions.

        Raises:
            UsageError: A job is unknown, or has no result that was delivered.
        """
        with errors_for_people():
            return accept(self._store, self._batch, texts_of("job", job))

    def reject(self, job: str | Collection[str], because: str = "") -> int:
        """
        Record that the results of these jobs are not what was asked for; return how many changed.

        The jobs fail as `invalid_result`, and run again only on request.

        Raises:
            UsageError: A job is unknown, or has no result that was delivered.
        """
        check_text("because", because)
        with errors_for_people():
            return reject(self._store, self._batch, texts_of("job", job), because)

    def take_back(self, job: str | Collection[str]) -> int:
        """
        Take back what was said of the results of these jobs; return how many changed.

        Raises:
            UsageError: A job is unknown, or has no result that was delivered.
        """
        with errors_for_people():
            return take_back(self._store, self._batch, texts_of("job", job))

    def learned_rules(self) -> LearnedRules:
        """Return what the job file should expect, by all that was accepted and rejected."""
        with errors_for_people():
            return learned_rules(self._store, self._batch)
