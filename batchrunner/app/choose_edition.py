"""Chooses which edition of its series a job file is loaded into, and says so."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from batchrunner.app.run_observer import Say
from batchrunner.app.time_zones import Zone, machine_zone, zone_called
from batchrunner.errors import UsageError
from batchrunner.model import JobFile
from batchrunner.policy.calendar_slots import EVERY_SAYS, Every, name_of_moment, parse_every
from batchrunner.policy.editions import MAX_NAME, EditionChoice, choose_edition, edition_batch_name
from batchrunner.store.editions import make_edition, newest_edition, newest_edition_name
from batchrunner.store.store import Store


@dataclass(frozen=True, kw_only=True)
class SeriesOptions:
    """How a job file is run night after night; None: as its settings say."""

    every: str | None = None  #: the length of slots, such as `1d`
    time_zone: str | None = None
    fresh: bool = False  #: begin an edition now, whatever the slot
    keep_editions: int | None = None  #: editions that stay; older ones are removed

    def check(self) -> None:
        """
        Refuse a wrong length or zone before any file is read.

        Raises:
            UsageError: It is no length of a slot, or there is no such time zone.
        """
        _every(self.every)
        if self.time_zone is not None:
            zone_called(self.time_zone)


def choose_file_edition(
    store: Store, job_file: JobFile, options: SeriesOptions, time: datetime, say: Say
) -> JobFile:
    """
    Return the file under the name of the edition that is due by its settings and the options.

    A file without a series is returned as it is. Where the database has a batch of its name from
    before the series, that batch becomes its first edition.

    Raises:
        UsageError: An option or a setting names no length, no zone, or the name is too long.
    """
    series, every = job_file.name, _every(options.every or job_file.settings.every)
    name = options.time_zone or job_file.settings.time_zone
    zone = zone_called(name) if name else machine_zone(time)
    if every is not None or options.fresh:
        _adopt_batch(store, series, zone, say)
    newest = store.read(newest_edition, series)
    before = newest.edition if newest else None
    choice = choose_edition(before, every, time, zone.clock, fresh=options.fresh)
    if choice is None:
        return job_file
    named = _checked(edition_batch_name(series, choice.edition), series)
    for line in _lines(named, choice, every, zone):
        say(line)
    return replace(job_file, name=named, series=series, edition=choice.edition)


def planned_edition(
    store: Store, job_file: JobFile, options: SeriesOptions, time: datetime
) -> JobFile:
    """
    Return the same as `choose_file_edition` will; nothing is changed.

    A batch from before the series that would become the edition is returned under the name it has.
    """
    every = _every(options.every or job_file.settings.every)
    name = options.time_zone or job_file.settings.time_zone
    zone = zone_called(name) if name else machine_zone(time)

    def named(created_at: datetime) -> tuple[str, str]:
        edition = name_of_moment(created_at, zone.clock)
        return edition_batch_name(job_file.name, edition), edition

    begins = every is not None or options.fresh
    before = store.trial(newest_edition_name, job_file.name, named if begins else None)
    choice = choose_edition(before, every, time, zone.clock, fresh=options.fresh)
    if choice is None:
        return job_file
    if choice.edition == before and store.trial(newest_edition, job_file.name) is None:
        return job_file
    full = _checked(edition_batch_name(job_file.name, choice.edition), job_file.name)
    return replace(job_file, name=full, series=job_file.name, edition=choice.edition)


def _every(text: str | None) -> Every | None:
    if text is None:
        return None
    try:
        return parse_every(text)
    except ValueError as error:
        raise UsageError(
            f"--every {text}: this is no length of a slot: {error}", next=f"write {EVERY_SAYS}"
        ) from error


def _checked(name: str, series: str) -> str:
    if len(name) > MAX_NAME:
        most = MAX_NAME - (len(name) - len(series))
        raise UsageError(
            f"the name {series!r} is too long for a series: its editions would have names of "
            f"{len(name)} characters",
            next=f"give the file a `name` of at most {most} characters",
        )
    return name


def _adopt_batch(store: Store, series: str, zone: Zone, say: Say) -> None:
    """Make a batch that has the name of the series, from before it, the first edition."""

    def named(created_at: datetime) -> tuple[str, str]:
        edition = name_of_moment(created_at, zone.clock)
        return _checked(edition_batch_name(series, edition), series), edition

    if made := store.write(make_edition, series, named):
        say(f"the batch {series!r} is now the edition {made!r} of the series {series!r}")


def _lines(name: str, choice: EditionChoice, every: Every | None, zone: Zone) -> list[str]:
    begins = f"edition {name!r} {'begins' if choice.is_new else 'resumes'}"
    if choice.slot is None:
        return [begins]
    ends = f"{choice.slot.ends.astimezone(zone.clock):%Y-%m-%d %H:%M} {zone.name}"
    lines = [f"{begins}: every {every}, the next slot begins {ends}"]
    if choice.is_later:
        lines.append(
            f"warning: the clock says {choice.slot.name}, and a later edition has begun: "
            f"{name!r} resumes; no other begins before its slot is over, except with --fresh"
        )
    return lines
