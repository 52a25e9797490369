"""A series in a database: the editions that a job file has had, night after night."""

from __future__ import annotations

from batchrunner.app.batch_handle import BatchHandle
from batchrunner.app.database_address import DatabaseAddress
from batchrunner.app.error_translation import errors_for_people
from batchrunner.app.result_sets import BatchResults, ResultSet
from batchrunner.errors import UsageError
from batchrunner.model import Batch
from batchrunner.model.editions import EditionSummary
from batchrunner.store.address import redacted
from batchrunner.store.editions import summaries
from batchrunner.store.store import Store


class SeriesHandle:
    """The editions of one series; each is a batch."""

    def __init__(self, store: Store, name: str, database: DatabaseAddress) -> None:
        self._store = store
        self._database = database
        self.name = name  #: the series' name

    def __repr__(self) -> str:
        """Name the series and its database."""
        return f"<series {self.name!r} of {redacted(self._database.address)}>"

    def editions(self) -> list[EditionSummary]:
        """Return how each edition stands, the newest first."""
        with errors_for_people():
            return self._store.read(summaries, self.name)

    def newest(self) -> BatchHandle:
        """Return the newest edition."""
        return self._handle(self.editions()[0].batch)

    def edition(self, name: str) -> BatchHandle:
        """
        Return the edition of this name, such as `2026-12-01`.

        Raises:
            UsageError: There is no such edition.
        """
        editions = [summary.batch for summary in self.editions()]
        for batch in editions:
            if name in (batch.edition, batch.name):
                return self._handle(batch)
        known = ", ".join(str(batch.edition) for batch in editions)
        raise UsageError(
            f"there is no edition {name!r} of {self.name!r}", next=f"name one of these: {known}"
        )

    def result_set(self) -> BatchResults:
        """Return the results of the newest edition, to compare them with others: see `diff`."""
        return self.newest().result_set()

    def last_two(self) -> tuple[ResultSet, ResultSet]:
        """
        Return the last edition but one, and the newest: see `diff`.

        Raises:
            UsageError: There is only one.
        """
        return self.newest().last_two()

    def _handle(self, batch: Batch) -> BatchHandle:
        return BatchHandle(self._store, batch, self._database)
