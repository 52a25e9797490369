"""Compares how often something happens in two batches, host by host, with tests of significance."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

#: Fewest rows of a host on both sides that are compared on their own.
MIN_ROWS_OF_HOST = 5
#: Chance that bad luck alone does this, below which a rise counts; and for a rise of most rows.
SURE = 1e-4
LIKELY = 1e-2
#: Most rows for which the exact test is computed.
_EXACT_ROWS = 3000
#: A rise as large as this counts although the rows are few, if they are not very few.
LARGE_RISE, MIN_HITS = 0.6, 3


class Count(NamedTuple):
    """In how many of the rows that were looked at something happens."""

    hits: float
    rows: float

    @property
    def share(self) -> float:
        """The share of the rows."""
        return self.hits / self.rows if self.rows else 0.0


class Rise(NamedTuple):
    """Something happens more often than in the baseline."""

    host: str | None  #: None: all hosts together
    now: Count
    before: float  #: share that was to be expected
    chance: float  #: probability of this by bad luck alone
    new_host: bool = False  #: the baseline does not have the host

    @property
    def rise(self) -> float:
        """By how much the share has risen."""
        return self.now.share - self.before

    @property
    def is_sure(self) -> bool:
        """Whether bad luck alone hardly does this."""
        return self.chance < SURE

    @property
    def counts(self) -> bool:
        """Whether it is to be reported if it is large enough."""
        few = self.now.hits >= MIN_HITS and self.rise >= LARGE_RISE
        return self.is_sure or (self.chance < LIKELY and few)


class Stratum(NamedTuple):
    """Rows of both batches that are compared with each other."""

    host: str | None  #: None: hosts with too few rows, together
    now: Count
    base: Count
    size: float  #: rows of the batch that it stands for
    new_host: bool = False


def strata(
    now: Mapping[str, Count], base: Mapping[str, Count], sizes: Mapping[str, float]
) -> list[Stratum]:
    """
    Put hosts side by side; those with few rows together, and those that are new with all.

    A host that the baseline does not have is compared with all hosts of the baseline. *sizes* are
    the rows of the batch by host.
    """
    found: list[Stratum] = []
    thin: list[str] = []
    for host in sorted(now):
        count, before = now[host], base.get(host, Count(0, 0))
        if min(count.rows, before.rows) >= MIN_ROWS_OF_HOST:
            found.append(Stratum(host, count, before, sizes[host]))
        elif count.rows >= MIN_ROWS_OF_HOST * 2 and not before.rows:
            found.append(Stratum(host, count, _sum(base.values()), sizes[host], new_host=True))
        else:
            thin.append(host)
    if thin:
        compared = {each.host for each in found}
        of_thin = _sum(count for host, count in base.items() if host not in compared)
        before = of_thin if of_thin.rows else _sum(base.values())
        size = sum(sizes[host] for host in thin)
        found.append(Stratum(None, _sum(now[host] for host in thin), before, size))
    return found


def _sum(counts: Iterable[Count]) -> Count:
    listed = list(counts)
    return Count(sum(each.hits for each in listed), sum(each.rows for each in listed))


def rise_of(stratum: Stratum) -> Rise:
    """Return the rise in one stratum."""
    return Rise(
        stratum.host,
        stratum.now,
        stratum.base.share,
        chance_of_rise(stratum.now, stratum.base),
        stratum.new_host,
    )


def overall_rise(compared: list[Stratum]) -> Rise | None:
    """Return the rise over all hosts that both have, each compared with itself."""
    shared = [each for each in compared if not each.new_host and each.base.rows]
    if not shared:
        return None
    size = sum(each.size for each in shared)
    now = Count(sum(each.size * each.now.share for each in shared), size)
    before = sum(each.size * each.base.share for each in shared) / size if size else 0.0
    if len(shared) == 1:
        return Rise(None, now, before, rise_of(shared[0]).chance)
    return Rise(None, now, before, _chance_over_strata(shared))


def chance_of_rise(now: Count, base: Count) -> float:
    """Return how probable so many hits are if both shares are the same: Fisher's exact test."""
    if not now.rows or not base.rows or now.share <= base.share:
        return 1.0
    if now.rows + base.rows <= _EXACT_ROWS:
        return _fisher(round(now.hits), round(now.rows), round(base.hits), round(base.rows))
    pooled = (now.hits + base.hits) / (now.rows + base.rows)
    variance = pooled * (1 - pooled) * (1 / now.rows + 1 / base.rows)
    return _tail((now.share - base.share) / math.sqrt(variance)) if variance > 0 else 1.0


def _fisher(hits: int, rows: int, other_hits: int, other_rows: int) -> float:
    total, all_hits = rows + other_rows, hits + other_hits
    whole = _log_choose(total, all_hits)
    chance = 0.0
    for each in range(hits, min(rows, all_hits) + 1):
        if all_hits - each <= other_rows:
            log = _log_choose(rows, each) + _log_choose(other_rows, all_hits - each) - whole
            chance += math.exp(log)
    return min(chance, 1.0)


def _log_choose(total: int, chosen: int) -> float:
    return math.lgamma(total + 1) - math.lgamma(chosen + 1) - math.lgamma(total - chosen + 1)


def _chance_over_strata(shared: list[Stratum]) -> float:
    """Return the probability by the test of Cochran, Mantel and Haenszel."""
    surplus = variance = 0.0
    for each in shared:
        total = each.now.rows + each.base.rows
        hits = each.now.hits + each.base.hits
        if total > 1:
            surplus += each.now.hits - each.now.rows * hits / total
            variance += (
                each.now.rows * each.base.rows * hits * (total - hits) / (total**2 * (total - 1))
            )
    if variance <= 0 or surplus <= 0.5:
        return 1.0
    return _tail((surplus - 0.5) / math.sqrt(variance))


def _tail(deviations: float) -> float:
    return 0.5 * math.erfc(deviations / math.sqrt(2))
