"""Finds time zones: the one that is named, or the one of this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, available_timezones

from batchrunner.app.clock import Here
from batchrunner.errors import UsageError
from batchrunner.inputs.field_types import did_you_mean

#: Folders of zone data in which the machine's own zone is a link.
_DATA_FOLDER = "zoneinfo/"
_LOCAL_TIME = "/etc/localtime"


@dataclass(frozen=True, kw_only=True)
class Zone:
    """A time zone and the name to show for it."""

    name: str
    clock: tzinfo


def zone_called(name: str) -> Zone:
    """
    Return the zone of this name, such as `Europe/Berlin`.

    Raises:
        UsageError: There is no such zone, or this machine has no data of time zones.
    """
    name = name.strip()
    if name.upper() in ("UTC", "Z"):
        return Zone(name="UTC", clock=UTC)  # needs no data
    try:
        return Zone(name=name, clock=ZoneInfo(name))
    except (OSError, ValueError, KeyError) as error:
        raise _unknown(name) from error


def _unknown(name: str) -> UsageError:
    known = tuple(sorted(available_timezones()))
    if not known:
        return UsageError(
            f"this machine has no time zone data, so it does not know {name!r}",
            next="pip install tzdata, or name UTC",
        )
    by_city = tuple(each for each in known if each.rpartition("/")[2].lower() == name.lower())
    tip = f"did you mean `{by_city[0]}`?" if by_city else did_you_mean(name, known)
    return UsageError(
        f"there is no time zone {name!r}", next=tip or "name it like Europe/Berlin or UTC"
    )


def machine_zone(now: datetime) -> Zone:
    """Return the zone of this machine, by its name where the machine says it."""
    for name in (os.environ.get("TZ", "").lstrip(":"), _linked_name()):
        if name:
            try:
                return zone_called(name)
            except UsageError:
                continue  # a rule such as CET-1CEST, which only the system's library reads
    shown = now.astimezone(Here()).strftime("%Z, UTC%z")
    return Zone(name=f"this machine's zone ({shown})", clock=Here())


def _linked_name() -> str:
    if "TZ" in os.environ:
        return ""  # it takes precedence over the link
    target = os.path.realpath(_LOCAL_TIME)
    _, found, name = target.rpartition(_DATA_FOLDER)
    return name.removeprefix("posix/").removeprefix("right/") if found else ""
