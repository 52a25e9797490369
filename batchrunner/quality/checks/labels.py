"""Features of values that change: type, currency, unit, language, spelling of numbers, banners."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from batchrunner.model.quality import QualityReason, QualityWord
from batchrunner.quality.evidence import (
    Comparison,
    Evidence,
    Watched,
    label_rises,
    percent,
    rows_by_host,
)
from batchrunner.quality.sample_table import Feature
from batchrunner.quality.values import (
    NO_SIGN,
    banner_of,
    currency_of,
    language_of,
    style_of,
    unit_of,
)

#: Labels of one feature that are compared, the most frequent first.
MAX_LABELS = 5
#: Least rows with a feature on both sides.
MIN_LABELLED = 3
#: Share of the rows with banners that makes a batch bad, and that is worth a look.
BAD_BANNERS, SOME_BANNERS = 0.1, 0.01

_SPELLED = {"whole": "no decimals", "point": "a decimal point", "comma": "a decimal comma"}


def changed_types(context: Comparison) -> Iterator[Evidence]:
    """Give the fields with values of another type than before."""
    if context.base is None:
        return
    for path in sorted(context.now.types):
        now, base = context.now.types[path], context.base.types.get(path, {})
        yield from _changes(context, "type", path, (now, base), "is {now}, not {before},")


def changed_currencies(context: Comparison) -> Iterator[Evidence]:
    """Give the fields with amounts in another currency than before."""
    yield from _changed(context, "currency", currency_of, "is in {now}, not in {before},")


def changed_units(context: Comparison) -> Iterator[Evidence]:
    """Give the fields with another unit than before."""
    yield from _changed(context, "unit", unit_of, "is in {now}, not in {before},")


def changed_languages(context: Comparison) -> Iterator[Evidence]:
    """Give the fields with texts in another language than before."""
    yield from _changed(context, "language", language_of, "is in {now}, not in {before},")


def changed_spelling(context: Comparison) -> Iterator[Evidence]:
    """Give the fields with numbers that are written in another way than before."""
    yield from _changed(
        context, "number_format", style_of, "has {now}, not {before},", bad=False, least=0.4
    )


def _changed(
    context: Comparison,
    kind: str,
    feature: Feature,
    says: str,
    *,
    bad: bool = True,
    least: float = 0.0,
) -> Iterator[Evidence]:
    if context.base is None:
        return
    for path in sorted(context.now.cells):
        labels = context.now.labels(path, feature), context.base.labels(path, feature)
        yield from _changes(context, kind, path, labels, says, bad=bad, least=least)


def _changes(
    context: Comparison,
    kind: str,
    path: str,
    labels: tuple[Mapping[int, str], Mapping[int, str]],
    says: str,
    *,
    bad: bool = True,
    least: float = 0.0,
) -> Iterator[Evidence]:
    now, base = labels
    if len(now) < MIN_LABELLED or len(base) < MIN_LABELLED:
        return
    usual = _most_frequent(base)
    for label in _frequent(now):
        instead = usual if label != usual else _second(base, usual)
        watched = Watched(
            kind=kind,
            column=path,
            says=says.format(now=_spelled(label), before=_spelled(instead)),
            bad=bad and NO_SIGN not in (label, instead),
            usual=0.3,
            least=least,
            bad_rise=0.3 if kind == "type" else 0.2,
            specific=kind in ("currency", "language"),
        )
        yield from label_rises(context, watched, now, base, label)


def _spelled(label: str) -> str:
    return _SPELLED.get(label, label)


def _frequent(labels: Mapping[int, str]) -> list[str]:
    return [label for label, _ in _ranked(labels)[:MAX_LABELS]]


def _most_frequent(labels: Mapping[int, str]) -> str:
    return _ranked(labels)[0][0]


def _second(labels: Mapping[int, str], first: str) -> str:
    return next((label for label, _ in _ranked(labels) if label != first), first)


def _ranked(labels: Mapping[int, str]) -> list[tuple[str, int]]:
    return sorted(Counter(labels.values()).items(), key=lambda each: (-each[1], each[0]))


# ---- banners ----


def banners(context: Comparison) -> Iterator[Evidence]:
    """Give the fields that hold the text of a banner, of a wall or of an error page."""
    table = context.now
    for path in sorted(table.cells):
        now = table.labels(path, _banner)
        hits = [row for row, label in now.items() if label != _NONE]
        if not hits:
            continue
        before = context.base.labels(path, _banner) if context.base else {}
        usual = sum(label != _NONE for label in before.values()) / (len(before) or 1)
        yield from _banners(context, path, now, hits, usual)


_NONE = "no banner"
_SAYS = {
    "cookies": "is a cookie banner",
    "javascript": "asks for JavaScript",
    "wall": "is the text of a wall",
    "page": "is about the page and not from it",
}


def _banner(value: object) -> str:
    return banner_of(value) or _NONE


def _banners(
    context: Comparison, path: str, now: Mapping[int, str], hits: list[int], usual: float
) -> Iterator[Evidence]:
    table = context.now
    by_host = rows_by_host(table, hits)
    counts = table.by_host(now, hits)
    host = None
    if len(by_host) == 1 < len(counts):
        (host,) = by_host
    count, share = table.scaled(hits), table.scaled(hits) / (context.delivered or 1)
    if share - usual < SOME_BANNERS or (usual > 0 and share < usual * 2):
        return
    rows_of_host = counts[host].share if host else share
    is_bad = len(hits) >= MIN_LABELLED and (share >= BAD_BANNERS or rows_of_host >= 0.5)
    is_bad = is_bad and share >= BAD_BANNERS / 2
    label = Counter(now[row] for row in hits).most_common(1)[0][0]
    where = f" of {host}" if host else ""
    text = f"`{path}` {_SAYS[label]} in {count:,} of {context.delivered:,} rows{where}"
    if context.base is not None:
        text += f" (before: {percent(usual)})"
    yield Evidence(
        QualityReason(
            kind="banner",
            word=QualityWord.BAD if is_bad else QualityWord.LOOK,
            column=path,
            host=host,
            count=count,
            text=text,
        ),
        tuple(hits[:10]),
    )
