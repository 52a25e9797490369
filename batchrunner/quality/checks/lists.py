"""Lists that have become short, and rows that have become few."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import median

from batchrunner.model.quality import QualityReason, QualityWord
from batchrunner.quality.evidence import Comparison, Evidence, Watched, label_rises, percent
from batchrunner.quality.sample_table import SampleTable

#: Shortest usual length of a list that can collapse.
MIN_LENGTH = 3
#: A list is short if it has less than this share of its usual length.
SHORT = 0.34
#: Share of the baseline's rows below which a batch is bad, and below which it is worth a look.
BAD_ROWS, FEW_ROWS = 0.6, 0.8
#: Standard deviations by which rows must be fewer.
SURE_DEVIATIONS, BAD_DEVIATIONS = 2.5, 3.0


def short_lists(context: Comparison) -> Iterator[Evidence]:
    """Give the lists that are much shorter than before."""
    if context.base is None:
        return
    for path in sorted(context.base.lengths):
        usual = _usual_lengths(context.base, path)
        whole = median(context.base.lengths[path].values())
        now, base = _short(context.now, path, usual), _short(context.base, path, usual)
        if not now or not base or whole < MIN_LENGTH:
            continue
        lengths = [context.now.lengths[path][row] for row, label in now.items() if label == "short"]
        if not lengths:
            continue
        watched = Watched(
            kind="list_length",
            column=path,
            says=f"has {median(lengths):g} entries instead of {whole:g}",
            usual=0.3,
            least=0.2,
        )
        yield from label_rises(context, watched, now, base, "short")


def _usual_lengths(base: SampleTable, path: str) -> Mapping[str | None, float]:
    """Return the median length of a list by host; None stands for all."""
    lengths: dict[str | None, list[int]] = {None: []}
    for row, length in base.lengths[path].items():
        lengths[None].append(length)
        lengths.setdefault(base.rows[row].host, []).append(length)
    return {
        host: median(found) for host, found in lengths.items() if host is None or len(found) > 4
    }


def _short(table: SampleTable, path: str, usual: Mapping[str | None, float]) -> dict[int, str]:
    found = {}
    for row, length in table.lengths.get(path, {}).items():
        whole = usual.get(table.rows[row].host, usual[None])
        found[row] = "short" if whole >= MIN_LENGTH and length <= whole * SHORT else "whole"
    return found


def fewer_rows(context: Comparison) -> Iterator[Evidence]:
    """Give that far fewer rows were delivered than in the baseline."""
    if context.base is None:
        return
    now, before = context.now.profile.delivered, context.base.profile.delivered
    share = now / before if before else 1.0
    if share >= FEW_ROWS or now + before == 0:
        return
    deviations = (before - now) / (before + now) ** 0.5
    if deviations < SURE_DEVIATIONS:
        return
    is_bad = share <= BAD_ROWS and deviations >= BAD_DEVIATIONS
    text = f"{now:,} rows were delivered, {percent(share)} of the {before:,} before"
    yield Evidence(
        QualityReason(
            kind="rows",
            word=QualityWord.BAD if is_bad else QualityWord.LOOK,
            count=before - now,
            text=text,
        )
    )
