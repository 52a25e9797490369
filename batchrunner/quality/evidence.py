"""What a check finds: a reason with the rows that show it, and how rises become such reasons."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from batchrunner.model.quality import DEFAULT_DRIFT, QualityBounds, QualityReason, QualityWord
from batchrunner.quality.sample_table import SampleTable
from batchrunner.quality.shares import LIKELY, Count, Rise, Stratum, overall_rise, rise_of, strata
from batchrunner.text.format import counted

#: Least rise that makes a batch bad: over all hosts, and on one host.
BAD_RISE, BAD_RISE_OF_HOST = 0.3, 0.5
#: Least share of the batch that hosts must be for a rise on them to make it bad.
BAD_PART = 0.05
#: Share of the hosts from which on a rise is one of all hosts.
MOST_HOSTS = 0.8
#: Fewest rows that show something that hardly anything but a fault causes.
MIN_SPECIFIC = 3
#: Most hosts that are named for one thing.
MAX_HOSTS_NAMED = 20


class Evidence(NamedTuple):
    """A reason, and the rows of the sample that show it."""

    reason: QualityReason
    rows: tuple[int, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """A batch beside its baseline, if it has one."""

    now: SampleTable
    base: SampleTable | None
    bounds: QualityBounds

    @property
    def drift(self) -> float:
        """By how much a share may move."""
        return float(DEFAULT_DRIFT if self.bounds.drift is None else self.bounds.drift)

    @cached_property
    def sizes(self) -> Mapping[str, float]:
        """The delivered rows of each host."""
        return {name: host.delivered for name, host in self.now.profile.hosts.items()}

    @property
    def delivered(self) -> int:
        """The delivered rows of the batch."""
        return self.now.profile.delivered


@dataclass(frozen=True, kw_only=True)
class Watched:
    """Something that should not become more frequent."""

    kind: str
    column: str | None
    says: str  #: completes the sentence '`price` … in 12 of 30 rows'
    bad: bool = True  #: whether it can make a batch bad
    usual: float = 0.2  #: where it was more frequent than this before, it makes no batch bad
    least: float = 0.0  #: least rise that counts, beside the tolerance for drift
    bad_rise: float = BAD_RISE
    specific: bool = False  #: hardly anything but a fault causes it, so that a few rows count

    def counts(self, rise: Rise) -> bool:
        """Return whether a rise is more than chance."""
        few = rise.now.hits >= MIN_SPECIFIC and not rise.before and rise.chance < LIKELY
        return rise.counts or (self.specific and few)


def rises(
    context: Comparison,
    watched: Watched,
    now: Mapping[str, Count],
    base: Mapping[str, Count],
    rows: Mapping[str, list[int]],
) -> Iterator[Evidence]:
    """
    Give a reason for each host on which something has become more frequent, or one for all hosts.

    *now* and *base* count it by host; *rows* are rows of the sample that show it, by host.
    """
    compared = strata(now, base, context.sizes)
    least = max(context.drift, watched.least)
    by_host = [
        rise
        for each in compared
        if each.host is not None and watched.counts(rise := rise_of(each)) and rise.rise >= least
    ]
    overall = overall_rise(compared)
    rose = overall is not None and watched.counts(overall) and overall.rise >= least
    if overall is not None and rose and not _is_of_hosts(watched, by_host, compared, least):
        shown = [row for found in rows.values() for row in found]
        count = round(sum(_hits(context, host, now[host]) for host in now))
        yield _evidence(context, watched, overall, overall.now.share, count, shown)
        return
    yield from _of_hosts(context, watched, by_host, compared, rows)


def _is_of_hosts(
    watched: Watched, by_host: list[Rise], compared: list[Stratum], least: float
) -> bool:
    """Return whether a rise is that of some hosts, and not of all."""
    if len(compared) == 1:
        return compared[0].host is not None
    named = {each.host for each in by_host}
    others = [each for each in compared if each.host not in named]
    part = sum(each.size for each in others) / (sum(each.size for each in compared) or 1)
    if not named or part <= 1 - MOST_HOSTS:
        return False
    rest = overall_rise(others)
    return rest is None or rest.chance >= LIKELY or rest.rise < least


def _of_hosts(
    context: Comparison,
    watched: Watched,
    by_host: list[Rise],
    compared: list[Stratum],
    rows: Mapping[str, list[int]],
) -> Iterator[Evidence]:
    by_host.sort(key=lambda rise: -context.sizes.get(rise.host or "", 0) * rise.rise)
    total = sum(each.size for each in compared) or 1
    part = sum(context.sizes[rise.host or ""] * rise.rise for rise in by_host) / total
    for rise in by_host[:MAX_HOSTS_NAMED]:
        host = rise.host or ""
        count = round(_hits(context, host, rise.now))
        yield _evidence(context, watched, rise, part, count, rows.get(host, []))


def _hits(context: Comparison, host: str, count: Count) -> float:
    return count.share * min(context.sizes[host], _scaled(context, host, count.rows))


def _scaled(context: Comparison, host: str, rows: float) -> float:
    sampled = len(context.now.profile.hosts[host].sample)
    return rows if rows > sampled else rows * context.now.profile.weight(host)


def _evidence(
    context: Comparison, watched: Watched, rise: Rise, part: float, count: int, rows: list[int]
) -> Evidence:
    least = watched.bad_rise if rise.host is None else max(BAD_RISE_OF_HOST, watched.bad_rise)
    is_bad = (
        watched.bad
        and rise.is_sure
        and not rise.new_host
        and rise.rise >= least
        and rise.before <= watched.usual
        and part >= BAD_PART
    )
    size = context.delivered if rise.host is None else context.sizes[rise.host]
    reason = QualityReason(
        kind=watched.kind,
        word=QualityWord.BAD if is_bad else QualityWord.LOOK,
        column=watched.column,
        host=rise.host,
        count=count,
        text=_sentence(watched, rise, count, round(size)),
    )
    return Evidence(reason, tuple(rows[:10]))


def _sentence(watched: Watched, rise: Rise, count: int, size: int) -> str:
    subject = f"`{watched.column}` " if watched.column else ""
    where = f" of {rise.host}" if rise.host else ""
    before = "which is a new host" if rise.new_host else f"before: {percent(rise.before)}"
    return f"{subject}{watched.says} in {count:,} of {counted(size, 'row')}{where} ({before})"


def percent(share: float) -> str:
    """Return a share as a percentage: never 0% for something, nor 100% for less than all."""
    if 0 < share < 0.01:
        return "under 1%"
    if 0.99 < share < 1:
        return "over 99%"
    return f"{share:.0%}"


def label_rises(
    context: Comparison,
    watched: Watched,
    now: Mapping[int, str],
    base: Mapping[int, str],
    label: str,
) -> Iterator[Evidence]:
    """Give reasons where more rows than in the baseline have a label, of those that have any."""
    if context.base is None:
        return
    hits = [row for row, each in now.items() if each == label]
    base_hits = [row for row, each in base.items() if each == label]
    yield from rises(
        context,
        watched,
        context.now.by_host(now, hits),
        context.base.by_host(base, base_hits),
        rows_by_host(context.now, hits),
    )


def rows_by_host(table: SampleTable, rows: Iterable[int]) -> dict[str, list[int]]:
    """Return rows of a sample by host."""
    found: dict[str, list[int]] = {}
    for row in rows:
        found.setdefault(table.rows[row].host, []).append(row)
    return found


#: A check of a batch; without a baseline it gives what is wrong in any batch.
Check = Callable[[Comparison], Iterator[Evidence]]
