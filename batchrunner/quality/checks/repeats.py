"""The same answer in many rows, and the same value in many rows of a field."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from batchrunner.model.quality import QualityReason, QualityWord
from batchrunner.quality.evidence import (
    Comparison,
    Evidence,
    Watched,
    label_rises,
    percent,
)
from batchrunner.quality.sample_table import SampleTable
from batchrunner.quality.shares import Count
from batchrunner.quality.values import is_filled, number_of

#: Fewest rows that all have the same answer, or the same value.
MIN_EQUAL = 4
#: Share of the rows with one answer that makes a batch bad, and that is worth a look.
BAD_SHARE, SOME_SHARE = 0.2, 0.05
#: Share of the rows of a host with one answer that makes a batch bad.
MOST_OF_HOST = 0.6
#: Fewest rows with one answer that are worth a look.
MIN_SAME = 3
#: A field is varied if it has this many different values for each row.
VARIED = 0.5
#: Most different values of a field that has only a few, such as states of a stock.
FEW_VALUES = 12
#: Least rise of one value that is reported.
LEAST_RISE = 0.2


def repeated_answers(context: Comparison) -> Iterator[Evidence]:
    """Give what says that all rows, or many, have the same answer."""
    table = context.now
    answered = [row for row, each in enumerate(table.rows) if each.answer]
    if len(answered) < MIN_EQUAL:
        return
    counts = Counter(table.rows[row].answer for row in answered)
    ((top, _),) = sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:1]
    hits = [row for row in answered if table.rows[row].answer == top]
    if not _on_many_urls(table, hits):
        return
    if len(counts) == 1 and table.profile.answers.distinct == 1:
        yield from _all_equal(context, hits)
    else:
        yield from _same_answer(context, answered, hits, top)


def _on_many_urls(table: SampleTable, rows: list[int]) -> bool:
    urls = {table.rows[row].url for row in rows}
    return len(urls) >= MIN_SAME and len(urls) * 2 >= len(rows)


def _all_equal(context: Comparison, hits: list[int]) -> Iterator[Evidence]:
    before = context.base
    was_equal = before is not None and before.profile.answers.distinct == 1
    says_little = _information(context.now, hits[0]) < 1
    if was_equal and before is not None and before.profile.answers.total >= MIN_EQUAL:
        return
    count = context.now.profile.answers.total
    yield Evidence(
        QualityReason(
            kind="all_equal",
            word=QualityWord.LOOK if says_little and before is None else QualityWord.BAD,
            count=count,
            text=f"all {count:,} answers are equal, on different urls",
        ),
        tuple(hits[:10]),
    )


def _information(table: SampleTable, row: int) -> int:
    """Return how many cells of a row say more than yes or no."""
    words = {"yes", "no", "true", "false", "ja", "nein", "oui", "non", "sí", "si", "0", "1"}
    return sum(
        is_filled(cell.value)
        and not isinstance(cell.value, bool)
        and str(cell.value).strip().lower() not in words
        for cell in table.rows[row].cells
    )


def _same_answer(
    context: Comparison, answered: list[int], hits: list[int], top: int
) -> Iterator[Evidence]:
    table = context.now
    share = table.scaled(hits) / (table.scaled(answered) or 1)
    before = _share_of_top(context.base) if context.base else 0.0
    informative = _information(table, hits[0])
    least = SOME_SHARE if informative >= 2 else SOME_SHARE * 3
    host, share_of_host = _own_host(table, answered, hits)
    if len(hits) < MIN_SAME or max(share, share_of_host * 0.3) < least or informative < 1:
        return
    if before and share < before + max(context.drift, before * 0.5):
        return
    whole_host = share_of_host >= MOST_OF_HOST and share >= SOME_SHARE
    is_bad = len(hits) > MIN_SAME and (share >= BAD_SHARE or whole_host)
    is_bad = is_bad and (informative >= 2 or share >= BAD_SHARE * 2)
    if not is_bad and _is_allowed(context):
        return
    count = table.profile.answers.count_of(top) or table.scaled(hits)
    where = f" of {host}" if host else ""
    text = f"{count:,} of {context.delivered:,} rows have the same answer{where}, on different urls"
    if context.base is not None:
        text += f" (before: {percent(before)})"
    word = QualityWord.BAD if is_bad else QualityWord.LOOK
    yield Evidence(
        QualityReason(
            kind="same_answer",
            word=word,
            column=_first_column(table, hits[0]),
            host=host,
            count=count,
            text=text,
        ),
        tuple(hits[:10]),
    )


def _is_allowed(context: Comparison) -> bool:
    """Return whether the job file allows as many repeated answers as there are."""
    answers, most = context.now.profile.answers, context.bounds.duplicates
    return most is not None and answers.surplus <= float(most) * answers.total


def _first_column(table: SampleTable, row: int) -> str | None:
    return next((cell.path for cell in table.rows[row].cells if is_filled(cell.value)), None)


def _share_of_top(table: SampleTable) -> float:
    counts = Counter(row.answer for row in table.rows if row.answer)
    return max(counts.values(), default=0) / (sum(counts.values()) or 1)


def _own_host(table: SampleTable, answered: list[int], hits: list[int]) -> tuple[str | None, float]:
    """Return the host that has nearly all rows with one answer, and their share of its rows."""
    by_host: Mapping[str, Count] = table.by_host(answered, hits)
    host, count = max(by_host.items(), key=lambda each: (each[1].hits, each[0]))
    if count.hits < 0.9 * len(hits) or count.rows < MIN_EQUAL:
        return None, 0.0
    return (host if len(by_host) > 1 else None), count.share


# ---- one field ----


def repeated_values(context: Comparison) -> Iterator[Evidence]:
    """Give the fields in which one value has become frequent, or the only one."""
    if context.base is None:
        return
    for path in sorted(context.now.cells):
        now, base = context.now.labels(path, value_label), context.base.labels(path, value_label)
        if len(now) < MIN_EQUAL or len(base) < MIN_EQUAL:
            continue
        yield from _repeated(context, path, now, base)


def value_label(value: Any) -> str | None:
    """Return a value as a text that is the same for the same value."""
    if isinstance(value, bool):
        return str(value).lower()
    number = number_of(value) if not isinstance(value, str) else None
    return f"{number.value:g}" if number else str(value).strip()[:80] or None


def _repeated(
    context: Comparison, path: str, now: Mapping[int, str], base: Mapping[int, str]
) -> Iterator[Evidence]:
    distinct = len(set(base.values()))
    varied = distinct >= VARIED * len(base) and distinct > FEW_VALUES / 3
    counts = Counter(now.values())
    tops = [label for label, _ in sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:3]]
    tops += [label for label in _tops_of_hosts(context.now, now) if label not in tops]
    for label in tops[:12]:
        only = len(counts) == 1
        if only and distinct == 1:
            return
        if not varied and not only and distinct <= FEW_VALUES:
            continue  # the share of a state changes from day to day
        is_count = label in ("0", "1", "false", "true")
        watched = Watched(
            kind="constant" if only else "repeated_value",
            column=path,
            says=f"is always `{_cut(label)}`" if only else f"is `{_cut(label)}`",
            bad=varied and not is_count,
            usual=0.3,
            least=LEAST_RISE if varied else 0.5,
        )
        for found in label_rises(context, watched, now, base, label):
            yield _named_constant(context, found, now, label)


def _tops_of_hosts(table: SampleTable, now: Mapping[int, str]) -> list[str]:
    by_host: dict[str, Counter[str]] = {}
    for row, label in now.items():
        by_host.setdefault(table.rows[row].host, Counter())[label] += 1
    tops = []
    for host in sorted(by_host):
        label, count = max(by_host[host].items(), key=lambda each: (each[1], each[0]))
        if count >= MIN_EQUAL and count * 2 >= by_host[host].total():
            tops.append(label)
    return sorted(set(tops))


def _named_constant(
    context: Comparison, found: Evidence, now: Mapping[int, str], label: str
) -> Evidence:
    """Call a value constant where a host has no other."""
    reason = found.reason
    if reason.kind == "constant" or reason.host is None:
        return found
    of_host = {each for row, each in now.items() if context.now.rows[row].host == reason.host}
    if of_host != {label}:
        return found
    text = reason.text.replace(f"is `{_cut(label)}`", f"is always `{_cut(label)}`")
    changed = QualityReason(
        kind="constant",
        word=reason.word,
        column=reason.column,
        host=reason.host,
        count=reason.count,
        text=text,
    )
    return Evidence(changed, found.rows)


def _cut(label: str) -> str:
    shown = "".join(each if each.isprintable() else " " for each in label)
    return shown if len(shown) <= 40 else f"{shown[:39]}…"
