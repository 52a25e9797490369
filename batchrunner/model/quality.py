"""How good the rows of a batch are, in one word with reasons, and what a job file demands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

#: By how much a share may move before it counts as drift, unless a job file says it.
DEFAULT_DRIFT = Decimal("0.1")


class QualityWord(StrEnum):
    """How good the rows of a batch are."""

    GOOD = "good"  #: nothing speaks against them
    LOOK = "look"  #: a person should look at what is named
    BAD = "bad"  #: not usable as they are, or a bound is violated


class OnBad(StrEnum):
    """What follows while a batch runs if its rows are bad."""

    REPORT = "report"  #: it goes on, and the end of the run reports it
    STOP = "stop"  #: nothing more is submitted until the user resumes the batch


@dataclass(frozen=True, kw_only=True, slots=True)
class QualityReason:
    """One thing that speaks against the rows of a batch."""

    kind: str  #: such as `coverage`, `type` or `duplicates`
    word: QualityWord  #: what it makes of the batch: look or bad
    text: str  #: a sentence for people
    column: str | None = None  #: path of the field that it is about
    host: str | None = None  #: the host that it is about; None: all hosts
    count: int = 0  #: rows that it is about, estimated in a large batch
    bound: bool = False  #: it violates a bound of the job file


@dataclass(frozen=True, kw_only=True, slots=True)
class Quality:
    """How good the rows of a batch are, and why."""

    verdict: QualityWord
    reasons: tuple[QualityReason, ...] = ()  #: the most important first


@dataclass(frozen=True, kw_only=True, slots=True)
class QualityStop:
    """Why nothing more of a batch is submitted: its data went bad while it ran."""

    at: datetime
    reasons: tuple[QualityReason, ...]

    @property
    def text(self) -> str:
        """Say why."""
        return "the data went bad: " + "; ".join(each.text for each in self.reasons)


@dataclass(frozen=True, kw_only=True, slots=True)
class QualityBounds:
    """What a job file demands of the rows of its batch; None: no such bound."""

    rows: int | None = None  #: least rows
    rows_share: Decimal | None = None  #: least rows, as a share of those of the baseline
    coverage: Mapping[str, Decimal] = field(default_factory=dict)  #: least share, by field
    unique: tuple[str, ...] = ()  #: fields that have another value in every row
    duplicates: Decimal | None = None  #: largest share of rows that repeat the answer of another
    given: bool = False  #: the job file has some, so rows that are bad violate them
    drift: Decimal | None = DEFAULT_DRIFT  #: by how much a share may move; None: drift is not told
    on_bad: OnBad = OnBad.REPORT

    @property
    def demands_something(self) -> bool:
        """Whether there is a bound that rows can violate."""
        return bool(
            self.rows is not None
            or self.rows_share is not None
            or self.coverage
            or self.unique
            or self.duplicates is not None
        )
