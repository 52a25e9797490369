"""Fields that hold something in fewer rows than before, or in none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from batchrunner.model.quality import QualityReason, QualityWord
from batchrunner.quality.evidence import Comparison, Evidence, Watched, rises, rows_by_host
from batchrunner.quality.profile import Profile
from batchrunner.quality.sample_table import SampleTable
from batchrunner.quality.shares import Count

#: Fewest rows that show that a field is never filled.
MIN_ROWS = 5
#: Share of the fields of a batch that must be empty everywhere for it to be bad.
MANY_FIELDS = 0.5
#: A field that fewer rows of the baseline held is optional: without it, no batch is bad.
USUALLY_THERE = 0.75


def lost_fields(context: Comparison) -> Iterator[Evidence]:
    """Give the fields that hold something in fewer rows than in the baseline."""
    if context.base is None:
        return
    base = context.base.profile
    gone: list[str] = []
    for path, _ in sorted(base.filled().items(), key=lambda each: (-each[1], each[0])):
        if any(path.startswith(f"{each}.") or path.startswith(f"{each}[") for each in gone):
            continue  # what is inside of a field that is gone is gone, too
        found = [*_losses(context, path)]
        if any(each.reason.host is None for each in found):
            gone.append(path)
        yield from found


def _losses(context: Comparison, path: str) -> Iterator[Evidence]:
    assert context.base is not None
    watched = Watched(kind="coverage", column=path, says="holds nothing", usual=1 - USUALLY_THERE)
    rows = [row for row in range(len(context.now.rows)) if row not in _holders(context.now, path)]
    yield from rises(
        context,
        watched,
        _empty_by_host(context.now.profile, path),
        _empty_by_host(context.base.profile, path),
        rows_by_host(context.now, rows),
    )


def _holders(table: SampleTable, path: str) -> Mapping[int, object]:
    return table.cells.get(path) or table.lengths.get(path) or {}


def _empty_by_host(profile: Profile, path: str) -> dict[str, Count]:
    return {
        name: Count(host.delivered - host.filled[path], host.delivered)
        for name, host in profile.hosts.items()
        if host.delivered
    }


def never_filled(context: Comparison) -> Iterator[Evidence]:
    """Give the fields that answers have and that hold nothing in any row."""
    profile = context.now.profile
    filled, answered = profile.filled(), profile.delivered - profile.set_aside
    if answered < MIN_ROWS:
        return
    before = context.base.profile.filled() if context.base else {}
    never = [
        path
        for path, count in profile.empty().items()
        if not filled.get(path) and count * 2 >= answered and not before.get(path)
    ]
    usual = context.base is not None and set(never) <= set(context.base.profile.empty())
    if usual or (not never and filled):
        return
    all_blank = not filled
    many = all_blank or len(never) >= MANY_FIELDS * (len(never) + len(filled))
    word = QualityWord.BAD if many else QualityWord.LOOK
    if all_blank:
        text = f"no row holds anything: {answered:,} rows were delivered"
        yield Evidence(QualityReason(kind="coverage", word=word, count=answered, text=text))
    for path in sorted(never):
        count = profile.empty()[path]
        text = f"`{path}` holds nothing in any of {answered:,} rows"
        yield Evidence(
            QualityReason(kind="coverage", word=word, column=path, count=count, text=text),
            tuple(range(min(3, len(context.now.rows)))),
        )
