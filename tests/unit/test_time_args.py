"""What a user writes for a time is one moment, on nights of clock changes too."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrunner.app.clock import Here
from batchrunner.app.time_args import parse_time

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")
ZONES = [BERLIN, NEW_YORK, LORD_HOWE, ZoneInfo("UTC"), ZoneInfo("Asia/Kolkata")]
EVENING = datetime(2026, 9, 2, 21, 0, tzinfo=BERLIN)


def at(text: str, now: datetime, zone: ZoneInfo = BERLIN) -> tuple[str, str | None]:
    meant = parse_time(text, now, zone)
    return meant.at.astimezone(UTC).isoformat(), meant.note


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("22:00", "2026-09-02T20:00:00+00:00"),
        ("21:00", "2026-09-03T19:00:00+00:00"),  # it is that hour now: the next one is meant
        ("7:00", "2026-09-03T05:00:00+00:00"),
        ("07:00 UTC", "2026-09-03T07:00:00+00:00"),
        ("07:00[America/New_York]", "2026-09-03T11:00:00+00:00"),
        ("2026-09-04T07:00", "2026-09-04T05:00:00+00:00"),
        ("2026-09-04 07:00:30", "2026-09-04T05:00:30+00:00"),
        ("2026-09-04T07:00Z", "2026-09-04T07:00:00+00:00"),
        ("2026-09-04T07:00-04:00", "2026-09-04T11:00:00+00:00"),
        ("2026-09-04T07:00 Asia/Kolkata", "2026-09-04T01:30:00+00:00"),
        ("2026-09-04 07:00 Asia/Kolkata", "2026-09-04T01:30:00+00:00"),
        ("2020-01-01T00:00", "2019-12-31T23:00:00+00:00"),  # whoever asks judges what is over
    ],
)
def test_a_time_is_written_in_many_ways(text: str, expected: str) -> None:
    assert at(text, EVENING) == (expected, None)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "neither"),
        ("tomorrow", "neither"),
        ("25:00", "no clock shows"),
        ("07:60", "no clock shows"),
        ("2026-13-01T07:00", "neither"),
        ("2026-09-04", "no hour"),
        ("20260904", "no hour"),
        ("07:00 Mars/Olympus", "no time zone"),
        ("07:00 ../../etc/passwd", "no time zone"),
        ("07:00 Europe", "no time zone"),
        ("2026-09-04T07:00+02:00 Europe/Berlin", "which one"),
    ],
)
def test_what_names_no_time_is_refused_with_a_reason(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_time(text, EVENING, BERLIN)


TWICE, FIRST, SECOND = "comes twice that night: the ", "first one", "second one"


@pytest.mark.parametrize(
    ("zone", "now", "text", "expected", "note"),
    [
        # Berlin, 2026-10-25: 03:00 becomes 02:00, at 01:00 UTC.
        (BERLIN, "2026-10-24T20:00Z", "02:30", "2026-10-25T00:30", f"02:30 {TWICE}{FIRST}"),
        (BERLIN, "2026-10-25T00:30Z", "02:30", "2026-10-25T01:30", f"02:30 {TWICE}{SECOND}"),
        (BERLIN, "2026-10-25T01:30Z", "02:30", "2026-10-26T01:30", None),
        (BERLIN, "2026-10-24T20:00Z", "07:00", "2026-10-25T06:00", None),
        (BERLIN, "2026-10-01T00:00Z", "2026-10-25T02:30", "2026-10-25T00:30", f"{TWICE}{FIRST}"),
        # Berlin, 2027-03-28: 02:00 becomes 03:00, at 01:00 UTC.
        (BERLIN, "2027-03-27T20:00Z", "02:30", "2027-03-28T01:00", "no 02:30 that night: 03:00"),
        (BERLIN, "2027-03-28T01:00Z", "02:30", "2027-03-29T00:30", None),
        (BERLIN, "2027-03-27T20:00Z", "03:00", "2027-03-28T01:00", None),
        (BERLIN, "2027-03-01T00:00Z", "2027-03-28T02:30:07.5", "2027-03-28T01:00", "no 02:30"),
        # New York, 2026-11-01: 02:00 becomes 01:00, at 06:00 UTC; 2027-03-14: 02:00 becomes 03:00.
        (NEW_YORK, "2026-11-01T00:00Z", "01:30", "2026-11-01T05:30", f"{TWICE}{FIRST}"),
        (NEW_YORK, "2027-03-14T00:00Z", "02:15", "2027-03-14T07:00", "no 02:15 that night: 03:00"),
        # Lord Howe goes by half an hour: 2026-10-04 02:00 → 02:30, 2027-04-04 02:00 → 01:30.
        (LORD_HOWE, "2026-10-03T10:00Z", "02:15", "2026-10-03T15:30", "no 02:15 that night: 02:30"),
        (LORD_HOWE, "2027-04-03T10:00Z", "01:45", "2027-04-03T14:45", f"{TWICE}{FIRST}"),
        # Samoa had no 2011-12-30 at all.
        (ZoneInfo("Pacific/Apia"), "2011-12-30T09:00Z", "12:00", "2011-12-30T10:00", "no 12:00"),
    ],
)
def test_an_hour_that_comes_twice_or_never_is_resolved_and_that_is_said(
    zone: ZoneInfo, now: str, text: str, expected: str, note: str | None
) -> None:
    meant, said = at(text, datetime.fromisoformat(now), zone)
    assert meant == f"{expected}:00+00:00"
    assert said is None if note is None else note in (said or "")


CHANGES = ["2026-10-25", "2027-03-28", "2026-11-01", "2027-03-14", "2026-10-04", "2027-04-04"]
AROUND = st.builds(
    lambda day, minutes: datetime.fromisoformat(f"{day}T00:00Z") + timedelta(minutes=minutes),
    st.sampled_from(CHANGES),
    st.integers(-2 * 24 * 60, 2 * 24 * 60),
)


@given(AROUND, st.sampled_from(ZONES), st.integers(0, 23), st.integers(0, 59))
def test_an_hour_is_the_next_that_the_wall_shows(
    now: datetime, zone: ZoneInfo, hour: int, minute: int
) -> None:
    meant = parse_time(f"{hour:02}:{minute:02}", now, zone)
    assert now < meant.at <= now + timedelta(hours=25)
    shown = meant.at.astimezone(zone)
    if meant.note is None or "twice" in meant.note:
        assert (shown.hour, shown.minute, shown.second) == (hour, minute, 0)
    else:
        just_before = (meant.at - timedelta(seconds=1)).astimezone(zone)
        gap = (just_before.hour, just_before.minute), (shown.hour, shown.minute)
        assert gap[0] < (hour, minute) < gap[1], "the clock jumps over it"
    # No wall clock shows it any earlier: looked at minute by minute.
    seen = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    while seen < meant.at:
        local = seen.astimezone(zone)
        assert (local.hour, local.minute) != (hour, minute)
        seen += timedelta(minutes=1)


@given(AROUND, st.sampled_from(ZONES))
def test_a_moment_that_is_written_with_its_offset_is_that_moment(
    now: datetime, zone: ZoneInfo
) -> None:
    assert parse_time(now.astimezone(zone).isoformat(), now, BERLIN).at == now


@pytest.fixture
def in_berlin() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Europe/Berlin"
    time.tzset()
    yield
    os.environ.pop("TZ")
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.usefixtures("in_berlin")
def test_the_zone_of_this_machine_is_that_of_its_system_clock() -> None:
    for begin in (datetime(2026, 10, 24, tzinfo=UTC), datetime(2027, 3, 27, tzinfo=UTC)):
        for minutes in range(0, 3 * 24 * 60, 10):
            now = begin + timedelta(minutes=minutes)
            here, berlin = now.astimezone(Here()), now.astimezone(BERLIN)
            assert (here.replace(tzinfo=None), here.fold) == (
                berlin.replace(tzinfo=None),
                berlin.fold,
            )
            assert here.utcoffset() == berlin.utcoffset()
            assert parse_time("02:30", now, Here()) == parse_time("02:30", now, BERLIN)
