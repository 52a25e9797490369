"""
Decides, while a batch runs, whether its data has gone bad: what the newest results show; pure.

A finding compares the newest results with those before them in the batch, or with the same jobs'
results in the last good edition. It is certain only if chance and the order of the file cannot
explain it: where the newest results are all of a kind that was not seen before (another host,
another folder of the site, another goal, another cell of a column), each such kind counts once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import chain
from math import log10
from typing import TypeAlias

from batchrunner.model.quality import QualityReason, QualityWord
from batchrunner.policy.watched_results import WatchedResult

#: The newest results that are looked at together: a few, to find it early; more, if some are good.
WINDOWS = (12, 16, 24, 40, 64, 100)
#: Newest results that are kept to compare with.
MAX_RESULTS = 500
#: The share of the newest results that must be bad.
BAD_SHARE = 0.9
#: The most good ones among the very newest, so that it still goes on.
ALLOWED_GOOD = WINDOWS[0] // 4
#: The largest share of the results before them that may be bad as well.
MAX_BAD_BEFORE = 0.33
#: The fewest results to compare the newest ones with.
MIN_BEFORE = 8
#: How improbable it must be that this is chance: one in 10^8.
CERTAIN = 8.0
#: How often a field that the last edition held may be empty in this one by chance.
CHANGED_SHARE = 0.2
#: Results from the start of a batch on that must agree where there is nothing to compare with.
FROM_START = 24
FROM_START_SHARE = 0.95
#: The share of the newest results that a finding must be about.
MIN_SHARE_OF_NEWEST = 0.5
#: Hosts that must show it before others that were not heard of are believed to be the same.
MANY_HOSTS = 5
#: The share of the jobs that are left, or of the hosts, that must be concerned.
MOST = 0.9
#: The share of all jobs that are left which a sole host must have, if it is the only one at work.
ONE_HOST_SHARE = 0.25
#: New results after which the newest are checked.
CHECK_AFTER = 5
#: A bound on coverage below it says that a field may well be empty in many results on end.
USUAL_COVERAGE = Decimal("0.8")
#: The most reasons that are named.
MAX_REASONS = 3

#: Whether a result shows what is looked for; None: it says nothing about it.
Shows: TypeAlias = Callable[[WatchedResult], bool | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Anomaly:
    """Something that nearly all of the newest results show, and that is not chance."""

    kind: str  #: `coverage`, `suspect` or `all_equal`, as where a batch is looked at as a whole
    column: str = ""  #: the field; '': the whole result
    results: int  #: newest results that were looked at
    bad: int  #: of these
    before: str  #: what they were compared with, in words
    bad_hosts: tuple[str, ...] = ()  #: most results first
    fine_hosts: tuple[str, ...] = ()  #: whose results in the same time do not show it
    seen_hosts: frozenset[str] = frozenset()  #: that brought any results
    attempts: tuple[int, ...] = ()  #: whose results were looked at

    @property
    def host(self) -> str:
        """The host that it is about; '': several."""
        return self.bad_hosts[0] if len(self.bad_hosts) == 1 else ""

    @property
    def reason(self) -> QualityReason:
        """What speaks against the rows of the batch."""
        return QualityReason(
            kind=self.kind,
            word=QualityWord.BAD,
            text=self.text,
            column=self.column or None,
            host=self.host or None,
            count=self.bad,
        )

    @property
    def text(self) -> str:
        """Say what was found, in one sentence."""
        of = f"{self.bad} of the {self.results} newest results"
        on = f" of {self.host}" if self.host else ""
        match self.kind:
            case "coverage":
                return f"`{self.column}` is empty in {of}{on}; {self.before}"
            case "all_equal":
                return f"{of}{on} are the same answer to different urls; {self.before}"
            case _:
                return f"{of}{on} are suspect or bad; {self.before}"


def in_order(results: Collection[WatchedResult]) -> list[WatchedResult]:
    """Return the newest results of each job in the order in which their runs finished."""
    ordered = sorted(results, key=lambda each: (each.finished_at, each.closed_at, each.attempt_id))
    newest = {each.job_id: each.attempt_id for each in ordered}
    kept = [each for each in ordered if newest[each.job_id] == each.attempt_id]
    return kept[-MAX_RESULTS:]


def anomalies(
    results: Sequence[WatchedResult],
    *,
    resumed: bool = False,
    coverage: Mapping[str, Decimal] | None = None,
) -> list[Anomaly]:
    """
    Return what the newest results show beyond chance, the surest first; *results* are in order.

    With *resumed*, a person has let the batch go on: nothing is found without results of the time
    since then to compare with. A field whose *coverage* may be low is left to that bound.
    """
    if len(results) <= WINDOWS[0]:
        return []
    found = [*_fields_gone(results), *_not_good(results, resumed), *_same(results, resumed)]
    if not resumed:
        found += _gone_since_edition(results, {anomaly.column for anomaly in found})
    rare = {path for path, least in (coverage or {}).items() if least < USUAL_COVERAGE}
    found = [anomaly for anomaly in found if anomaly.column not in rare]
    seen_hosts = frozenset(each.host for each in results)
    return [replace(anomaly, seen_hosts=seen_hosts) for anomaly in found]


def stops(anomaly: Anomaly, open_jobs: Mapping[str, int]) -> bool:
    """
    Return whether a finding is about most of what is left; *open_jobs* are counted by host.

    One bad host among many stops nothing else: bad hosts are parked elsewhere. A host
    that has brought nothing yet says nothing for or against it.
    """
    total = sum(open_jobs.values())
    bad = sum(open_jobs.get(host, 0) for host in anomaly.bad_hosts)
    active = sum(open_jobs.get(host, 0) for host in anomaly.seen_hosts)
    bad_hosts, fine_hosts = len(anomaly.bad_hosts), len(anomaly.fine_hosts)
    if not bad or bad_hosts < MOST * (bad_hosts + fine_hosts):
        return False
    if bad_hosts == 1:
        return bad >= MOST * total or (bad >= MOST * active and bad >= ONE_HOST_SHARE * total)
    return bad_hosts >= MANY_HOSTS or bad >= active / 2


# ---- what may be found ----


def _fields_gone(results: Sequence[WatchedResult]) -> Iterator[Anomaly]:
    """Yield the fields that held something before and are empty now; outer fields first."""
    newest = results[-WINDOWS[0] :]
    still = Counter(chain.from_iterable(_filled(each) for each in newest))
    before = {id(filled): filled for each in results[: -len(newest)] if (filled := _filled(each))}
    known = frozenset[str]().union(*before.values())
    gone = [name for name in known if still[name] <= ALLOWED_GOOD]
    for name in sorted(gone, key=lambda name: (name.count(".") + name.count("["), name)):
        if anomaly := _anomaly(results, "coverage", name, _emptiness(results, name)):
            yield anomaly


def _emptiness(results: Sequence[WatchedResult], name: str) -> Shows:
    """Return whether a result lacks a field; None where it was perhaps not asked for."""
    read = [each for each in results if each.fields is not None]
    holding = [each for each in read if name in _filled(each)]
    goals = {each.goal for each in holding}
    usual = len(holding) + sum(name in _empty(each) for each in read)
    expected = usual >= BAD_SHARE * (len(read) - WINDOWS[0])

    def shows(result: WatchedResult) -> bool | None:
        if result.fields is None:
            return None
        if name in result.fields.filled:
            return False
        if result.held_before is not None and name not in result.held_before:
            return None
        asked = name in result.fields.empty or expected or result.goal in goals
        return True if asked else None

    return shows


def _gone_since_edition(results: Sequence[WatchedResult], known: set[str]) -> Iterator[Anomaly]:
    """Yield the fields that the same jobs' results held in the last good edition."""
    newest = [each for each in results if each.held_before is not None and each.fields is not None]
    held = Counter(chain.from_iterable(each.held_before or () for each in newest[-WINDOWS[0] :]))
    latest = newest[-WINDOWS[0] :]
    for name in sorted(name for name, count in held.items() if count >= BAD_SHARE * WINDOWS[0]):
        if name in known or sum(name in _filled(each) for each in latest) > ALLOWED_GOOD:
            continue
        paired = [each for each in newest if each.held_before and name in each.held_before]
        for size in reversed(WINDOWS):
            recent = paired[-size:]
            gone = {each.attempt_id for each in recent if name not in _filled(each)}
            sure = len(gone) * -log10(CHANGED_SHARE) >= CERTAIN
            if len(recent) == size and len(gone) >= BAD_SHARE * size and sure:
                said = "the last good edition has it for all of these jobs"
                yield _found("coverage", name, recent, gone, said)
                break


def _not_good(results: Sequence[WatchedResult], resumed: bool) -> Iterator[Anomaly]:
    def shows(each: WatchedResult) -> bool | None:
        return not each.good

    anomaly = _anomaly(results, "suspect", "", shows)
    if anomaly is None and not resumed:
        anomaly = _from_start(results, "suspect", shows)
    if anomaly:
        yield anomaly


def _same(results: Sequence[WatchedResult], resumed: bool) -> Iterator[Anomaly]:
    """Yield that all of the newest answers are equal, where their urls are not."""
    digests = Counter(_digest(each) for each in results[-WINDOWS[0] :])
    digest, count = digests.most_common(1)[0]
    if not digest or count < BAD_SHARE * WINDOWS[0]:
        return

    def shows(each: WatchedResult) -> bool | None:
        return _digest(each) == digest if _digest(each) else None

    alike = [each for each in results if _digest(each) == digest]
    if len({each.url for each in alike[-WINDOWS[0] :]}) < BAD_SHARE * WINDOWS[0]:
        return
    anomaly = _anomaly(results, "all_equal", "", shows)
    specific = alike[-1].fields is not None and alike[-1].fields.specific
    if anomaly is None and specific and not resumed:
        anomaly = _from_start(results, "all_equal", shows)
    if anomaly:
        yield anomaly


# ---- how sure it is ----


def _anomaly(
    results: Sequence[WatchedResult], kind: str, column: str, shows: Shows
) -> Anomaly | None:
    """Return what the newest results show and those before do not, if that is not chance."""
    telling = [(each, shown) for each in results if (shown := shows(each)) is not None]
    latest = telling[-WINDOWS[0] :]
    if sum(not shown for _, shown in latest) > ALLOWED_GOOD:
        return None
    for size in reversed(WINDOWS):  # the most results name the most hosts
        recent, before = telling[-size:], telling[:-size]
        bad, bad_before = sum(shown for _, shown in recent), sum(shown for _, shown in before)
        if len(before) < MIN_BEFORE or bad < BAD_SHARE * len(recent):
            continue
        if bad_before > MAX_BAD_BEFORE * len(before) or _surety(before, recent) < CERTAIN:
            continue
        start = next(at for at, each in enumerate(results) if each is recent[0][0])
        if len(recent) < MIN_SHARE_OF_NEWEST * (len(results) - start):
            continue
        were = len(before) - bad_before
        verb = {"coverage": "held something", "all_equal": "differed"}.get(kind, "were good")
        said = f"of {len(before)} before, {were} {verb}"
        return _found(kind, column, [each for each, _ in recent], _shown(recent), said)
    return None


def _surety(
    before: Sequence[tuple[WatchedResult, bool]], recent: Sequence[tuple[WatchedResult, bool]]
) -> float:
    """Return the exponent of the chance, by the property that explains the difference best."""
    properties = {"host", "goal", *chain.from_iterable(each.kinds for each, _ in recent)}
    return min(_surety_by(name, before, recent) for name in properties)


def _surety_by(
    name: str,
    before: Sequence[tuple[WatchedResult, bool]],
    recent: Sequence[tuple[WatchedResult, bool]],
) -> float:
    """
    Return how improbable it is that the newest results are bad by chance.

    Results of a kind that brought good ones before count each. A kind that is new counts once,
    however many results it has: perhaps such results never have what is missed.
    """
    good, bad = Counter[str](), Counter[str]()
    for each, shown in before:
        (bad if shown else good)[_kind(each, name)] += 1
    known = [_kind(each, name) for each, shown in recent if shown]
    within = sum(1 for kind in known if good[kind])
    new = {kind for kind in known if not good[kind]}
    kinds = {*good, *bad}
    bad_kinds = sum(1 for kind in kinds if bad[kind] > good[kind])
    by_chance = (bad.total() + 2) / (len(before) + 4)
    kind_by_chance = (bad_kinds + 1) / (len(kinds) + 2)
    return within * -log10(by_chance) + len(new) * -log10(kind_by_chance)


def _kind(result: WatchedResult, name: str) -> str:
    if name == "host":
        return result.host
    return result.goal if name == "goal" else result.kinds.get(name, "")


def _from_start(results: Sequence[WatchedResult], kind: str, shows: Shows) -> Anomaly | None:
    """Return what nearly all results of a batch show from its start on."""
    telling = [(each, shown) for each in results if (shown := shows(each)) is not None]
    bad = sum(shown for _, shown in telling)
    if len(telling) < FROM_START or bad < FROM_START_SHARE * len(telling):
        return None
    return _found(kind, "", [each for each, _ in telling], _shown(telling), "so from the start on")


def _shown(telling: Sequence[tuple[WatchedResult, bool]]) -> set[int]:
    return {each.attempt_id for each, shown in telling if shown}


def _found(
    kind: str, column: str, recent: Sequence[WatchedResult], showing: Collection[int], said: str
) -> Anomaly:
    """Return what was found, *showing* in some attempts' results of those that are recent."""
    bad, fine = Counter[str](), Counter[str]()
    for each in recent:
        (bad if each.attempt_id in showing else fine)[each.host] += 1
    return Anomaly(
        kind=kind,
        column=column,
        results=len(recent),
        bad=bad.total(),
        before=said,
        bad_hosts=tuple(host for host, count in bad.most_common() if count >= fine[host]),
        fine_hosts=tuple(host for host, count in fine.items() if count > bad[host]),
        attempts=tuple(each.attempt_id for each in recent),
    )


_NONE: frozenset[str] = frozenset()


def _filled(result: WatchedResult) -> frozenset[str]:
    return result.fields.filled if result.fields else _NONE


def _empty(result: WatchedResult) -> frozenset[str]:
    return result.fields.empty if result.fields else _NONE


def _digest(result: WatchedResult) -> str:
    return result.fields.digest if result.fields else ""
