"""Fields with many values that are not in the pages that the runs saw, as reasons of quality."""

from __future__ import annotations

from collections.abc import Iterator

from batchrunner.grounding import Grounding, GroundingSummary, summarise
from batchrunner.model import Batch
from batchrunner.model.quality import DEFAULT_DRIFT, QualityReason, QualityWord
from batchrunner.quality.evidence import Evidence, percent
from batchrunner.quality.profile import Profile
from batchrunner.store.grounding import grounded_rows
from batchrunner.store.store import Store

#: Fewest absent values of a field that are worth a look.
MIN_ABSENT = 3
#: Share of a field's values that are worth a look where nothing is known of an earlier edition.
SOME_SHARE = 0.2


def absent_values(
    store: Store, batch: Batch, base: Batch | None, profile: Profile
) -> Iterator[Evidence]:
    """
    Give the fields of which many values are absent from the pages, or more than in *base*.

    Absent does not yet mean made up, so they are never worse than worth a look.
    """
    now = _summary(store, batch)
    if not now.rows:
        return
    drift = batch.settings.quality.drift
    before = _summary(store, base) if base is not None and drift is not None else None
    places = {row.key: place for place, row in enumerate(profile.sample())}
    for path, figures in now.fields.items():
        if figures.absent < MIN_ABSENT:
            continue
        share = figures.absent / figures.checked
        known = before.fields.get(path) if before is not None else None
        usual = known.absent / known.checked if known and known.checked else None
        least = SOME_SHARE if usual is None else usual + float(drift or DEFAULT_DRIFT)
        if share < least:
            continue
        text = f"{figures.absent:,} of {figures.checked:,} values of `{path}` are not in the page"
        if usual is not None:
            text += f" (before: {percent(usual)})"
        reason = QualityReason(
            kind="absent", word=QualityWord.LOOK, column=path, count=figures.absent, text=text
        )
        rows = [places[key] for key in figures.absent_rows if key in places]
        yield Evidence(reason, tuple(rows[:10]))


def _summary(store: Store, batch: Batch) -> GroundingSummary:
    return summarise(
        (key, Grounding.from_json(stored)) for key, stored in grounded_rows(store, batch.id)
    )
