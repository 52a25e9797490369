"""Which edition a batch is compared with, and that its quality is remembered."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from batchrunner.app.quality import batch_quality
from batchrunner.errors import UsageError
from batchrunner.model import Batch
from batchrunner.model.quality import QualityWord
from batchrunner.store.attempts import apply_poll
from batchrunner.store.batch_reads import recorded_quality
from batchrunner.store.quality import last_good_edition, record_quality
from batchrunner.store.store import Store
from tests.contract.test_store_editions import begin_edition
from tests.fakes import after, start, success


def delivered(store: Store, day: int, price: Callable[[int], object], jobs: int = 10) -> Batch:
    """Run an edition whose jobs answer with these prices."""
    batch = begin_edition(store, day, jobs)
    done = [
        success(attempt, f'{{"name": "n{place}", "price": {price(place)}}}')
        for place, attempt in enumerate(start(store, batch))
    ]
    apply_poll(store, "alice", done, [], after(60))
    return batch


def good_price(place: int) -> object:
    return 10.5 + place


def test_the_newest_good_edition_is_compared_with_and_a_bad_one_never(store: Store) -> None:
    words = ["good", "good", None, "look", "bad"]
    batches = [delivered(store, day, good_price, jobs=2) for day in range(1, 6)]
    newest = begin_edition(store, 6)
    for batch, word in zip(batches, words, strict=True):
        if word is not None:
            store.write(record_quality, batch.id, QualityWord(word))
            assert store.read(recorded_quality, batch.id) == word
    compared = []
    while (found := store.read(last_good_edition, newest)) is not None:
        compared.append(found.edition)
        store.write(record_quality, found.id, QualityWord.BAD)
    assert compared == ["2026-12-02", "2026-12-01", "2026-12-03", "2026-12-04"]


def test_an_edition_that_is_not_finished_or_has_no_row_is_no_baseline(store: Store) -> None:
    begin_edition(store, 1)
    assert store.read(last_good_edition, begin_edition(store, 2)) is None


def test_a_batch_may_be_compared_with_another_but_not_with_itself(store: Store) -> None:
    one, other = delivered(store, 1, good_price), delivered(store, 2, good_price)
    with pytest.raises(UsageError, match="with itself"):
        batch_quality(store, one, one)
    assert batch_quality(store, one).against is None
    assert batch_quality(store, other).against == one.name
    assert batch_quality(store, one, other).against == other.name


def test_an_edition_whose_field_is_gone_is_bad_and_names_it(store: Store) -> None:
    delivered(store, 1, good_price)
    report = batch_quality(store, delivered(store, 2, lambda _: "null"))
    assert (report.verdict, report.reasons[0].column) == (QualityWord.BAD, "price")
    assert report.reasons[0].count == 10
    assert len(report.rows) == 10
    (price,) = [each for each in report.fields if each.path == "price"]
    assert (price.coverage, price.before) == (0.0, 1.0)
