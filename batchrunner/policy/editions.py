"""Decides which edition of a series a run is about: the newest, or a new one; pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo

from batchrunner.model.edition_names import SEPARATOR
from batchrunner.policy.calendar_slots import (
    Every,
    Slot,
    covers_slot,
    name_of_moment,
    slot_at,
)

#: Characters of a batch's name that a database keeps.
MAX_NAME = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class EditionChoice:
    """The edition that a run is about."""

    edition: str
    is_new: bool  #: it begins, unless another process begins it first
    slot: Slot | None = None  #: the slot of now; None: none was asked for
    is_later: bool = False  #: it belongs to a later slot: the clock has gone back


def edition_batch_name(series: str, edition: str) -> str:
    """Return the name of an edition's batch, such as `prices@2026-12-01`."""
    return f"{series}{SEPARATOR}{edition}"


def choose_edition(
    newest: str | None, every: Every | None, now: datetime, zone: tzinfo, *, fresh: bool = False
) -> EditionChoice | None:
    """
    Return the edition to run, given the *newest* of the series; None: no series is asked for.

    An edition resumes while its slot lasts. With *fresh*, one begins whatever the slot. Without a
    length of slots, the newest resumes. Where the clock has gone back, the newest resumes too: an
    edition never begins in a slot before it.
    """
    slot = None if every is None else slot_at(now, every, zone)
    if fresh:
        return EditionChoice(edition=name_of_moment(now, zone), is_new=True, slot=slot)
    if slot is None:
        return None if newest is None else EditionChoice(edition=newest, is_new=False)
    if newest is not None and every is not None and covers_slot(newest, slot, every):
        later = _begins_after(newest, slot, every, zone)
        return EditionChoice(edition=newest, is_new=False, slot=slot, is_later=later)
    return EditionChoice(edition=slot.name, is_new=True, slot=slot)


def _begins_after(edition: str, slot: Slot, every: Every, zone: tzinfo) -> bool:
    """Whether an edition begins when the slot is over."""
    began = every.began(edition)
    ends = slot.ends.astimezone(zone).replace(tzinfo=None)
    return began is not None and began >= ends
