"""Rows that failed or are suspect: too many of them, or more than before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

from batchrunner.model.quality import QualityReason, QualityWord
from batchrunner.quality.evidence import Comparison, Evidence, Watched, percent, rises, rows_by_host
from batchrunner.quality.profile import HostCounts, Profile
from batchrunner.quality.shares import Count

#: Share of failed or of suspect rows that makes a batch bad, and that is worth a look.
BAD_SHARE, SOME_SHARE = 0.5, 0.2
#: Fewest failed or suspect rows that are worth a look.
MIN_BAD = 2
#: Fewest rows of a batch for which a share says something.
MIN_ROWS = 4


def failed_and_suspect(context: Comparison) -> Iterator[Evidence]:
    """Give that many rows failed or are suspect."""
    profile = context.now.profile
    tried = profile.rows - profile.cancelled
    if tried and not profile.delivered:
        word = QualityWord.BAD if tried >= MIN_ROWS else QualityWord.LOOK
        text = f"nothing was delivered: all {tried:,} rows failed{_mostly(profile)}"
        yield Evidence(QualityReason(kind="failed", word=word, count=tried, text=text))
        return
    for kind, count, of in (
        ("failed", profile.failed, tried),
        ("suspect", profile.suspect, profile.delivered),
    ):
        yield from _of_kind(context, kind, count, of)


def _of_kind(context: Comparison, kind: str, count: int, of: int) -> Iterator[Evidence]:
    many = [*_many(context, kind, count, of)]
    if many and many[0].reason.word is QualityWord.BAD:
        yield from many
        return
    more = [*_more_than_before(context, kind)]
    of_the_same = [each for each in more if many and each.reason.count == count]
    if any(each.reason.word is QualityWord.BAD for each in of_the_same):
        many = []
    else:
        more = [each for each in more if each not in of_the_same]
    yield from (*many, *more)


def _many(context: Comparison, kind: str, count: int, of: int) -> Iterator[Evidence]:
    share = count / of if of else 0.0
    usual = _usual(context.base.profile, kind) if context.base else 0.0
    if count < MIN_BAD or of < MIN_ROWS or share < max(SOME_SHARE, usual + context.drift):
        return
    is_bad = share > BAD_SHARE and usual < BAD_SHARE
    says = "failed" if kind == "failed" else "are suspect"
    text = f"{count:,} of {of:,} rows {says}{_mostly(context.now.profile)}"
    if context.base is not None:
        text += f" (before: {percent(usual)})"
    word = QualityWord.BAD if is_bad else QualityWord.LOOK
    reason = QualityReason(kind=kind, word=word, count=count, text=text)
    yield Evidence(reason, tuple(_suspects(context)[:10]) if kind == "suspect" else ())


def _mostly(profile: Profile) -> str:
    if not profile.reasons:
        return ""
    name, count = max(profile.reasons.items(), key=lambda each: (each[1], each[0]))
    return f", {count:,} of them for `{name}`"


def _usual(profile: Profile, kind: str) -> float:
    if kind == "suspect":
        return profile.suspect / profile.delivered if profile.delivered else 0.0
    tried = profile.rows - profile.cancelled
    return profile.failed / tried if tried else 0.0


def _suspects(context: Comparison) -> list[int]:
    return [row for row, each in enumerate(context.now.rows) if each.verdict == "suspect"]


class _OfAllRows(Comparison):
    """A comparison in which rows that were not delivered count, too."""

    @cached_property
    def sizes(self) -> Mapping[str, float]:
        """All rows of each host."""
        return {name: host.rows for name, host in self.now.profile.hosts.items()}

    @property
    def delivered(self) -> int:
        """All rows of the batch that were not cancelled."""
        return self.now.profile.rows - self.now.profile.cancelled


def _more_than_before(context: Comparison, kind: str) -> Iterator[Evidence]:
    if context.base is None:
        return
    says = "the job failed" if kind == "failed" else "the result is suspect"
    watched = Watched(kind=kind, column=None, says=says, usual=0.3, bad_rise=0.4)
    now, base = context.now.profile, context.base.profile
    suspects = _suspects(context) if kind == "suspect" else []
    yield from rises(
        _OfAllRows(context.now, context.base, context.bounds) if kind == "failed" else context,
        watched,
        {name: count for name, host in now.hosts.items() if (count := _count(host, kind)).rows},
        {name: count for name, host in base.hosts.items() if (count := _count(host, kind)).rows},
        rows_by_host(context.now, suspects),
    )


def _count(host: HostCounts, kind: str) -> Count:
    if kind == "suspect":
        return Count(host.suspect, host.delivered)
    return Count(host.failed, host.rows)
