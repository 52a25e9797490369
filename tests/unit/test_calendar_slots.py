"""Each moment is in one slot of a zone's calendar, on nights of clock changes too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrunner.policy.calendar_slots import (
    Every,
    Unit,
    begin_of,
    covers_slot,
    name_of_moment,
    parse_every,
    slot_at,
)
from batchrunner.policy.clock_changes import first_moment

BERLIN = ZoneInfo("Europe/Berlin")
#: Jumps of an hour and of half an hour, at midnight, a minute after it, and of a whole day.
ZONES = [
    ZoneInfo(name)
    for name in (
        "UTC",
        "Europe/Berlin",
        "Australia/Lord_Howe",
        "America/Havana",
        "Asia/Beirut",
        "America/St_Johns",
        "Pacific/Apia",
        "Asia/Kathmandu",
    )
]
LENGTHS = """
    15min 1h 6h 12h 1d 2d 5d 1w 2w 1mo 3mo 12mo 1d@22:00 1w@09:30
"""
EVERIES = [parse_every(text) for text in LENGTHS.split()]
moments = st.datetimes(
    datetime.fromisoformat("2005-01-01"),
    datetime.fromisoformat("2040-01-01"),
    timezones=st.just(UTC),
) | st.builds(  # near changes of the clocks
    lambda at, minutes: at + timedelta(minutes=minutes),
    st.sampled_from(
        [
            datetime(2026, 10, 25, 1, tzinfo=UTC),
            datetime(2026, 3, 29, 1, tzinfo=UTC),
            datetime(2026, 4, 4, 15, tzinfo=UTC),
            datetime(2006, 10, 29, 2, 31, tzinfo=UTC),  # St John's: 00:01 back to 23:01
            datetime(2006, 4, 2, 3, 31, tzinfo=UTC),
            datetime(2011, 12, 30, 10, tzinfo=UTC),  # Apia has no 30 December
            datetime(2026, 11, 1, 5, tzinfo=UTC),
            datetime(2026, 10, 24, 21, tzinfo=UTC),
        ]
    ),
    st.integers(-200, 200),
)
zones, everies = st.sampled_from(ZONES), st.sampled_from(EVERIES)


@given(moments, everies, zones)
def test_a_moment_is_in_its_slot_and_the_slots_leave_no_gap(
    now: datetime, every: Every, zone: ZoneInfo
) -> None:
    slot = slot_at(now, every, zone)
    assert slot.begins <= now < slot.ends
    assert slot_at(slot.begins, every, zone) == slot
    assert slot_at(slot.ends - timedelta(microseconds=1), every, zone) == slot
    after = slot_at(slot.ends, every, zone)
    assert after.begins == slot.ends
    assert begin_of(after.name) > begin_of(slot.name)  # type: ignore[operator]


@given(moments, st.timedeltas(timedelta(0), timedelta(days=3)), everies, zones)
def test_a_later_moment_is_never_in_an_earlier_slot(
    now: datetime, later: timedelta, every: Every, zone: ZoneInfo
) -> None:
    first, second = slot_at(now, every, zone), slot_at(now + later, every, zone)
    assert covers_slot(second.name, first, every)
    assert covers_slot(first.name, second, every) == (first == second)


@given(moments, everies, zones)
def test_the_name_says_when_a_slot_begins(now: datetime, every: Every, zone: ZoneInfo) -> None:
    slot = slot_at(now, every, zone)
    begin = every.began(slot.name)
    assert begin is not None
    assert first_moment(begin, zone) == slot.begins
    assert every.begin(begin) == begin == slot.wall


@given(moments, everies, zones)
def test_an_edition_that_began_in_a_slot_belongs_to_it(
    now: datetime, every: Every, zone: ZoneInfo
) -> None:
    slot = slot_at(now, every, zone)
    at_once = name_of_moment(slot.begins, zone)
    assert covers_slot(at_once, slot, every)
    before = name_of_moment(slot.begins - timedelta(days=1), zone)
    assert not covers_slot(before, slot, every)


@pytest.mark.parametrize(
    ("now", "every", "name"),
    [
        ("2026-12-01T03:00+01:00", "1d", "2026-12-01"),
        ("2026-12-01T00:30+01:00", "1d", "2026-12-01"),  # still November in UTC
        ("2026-12-01T23:59+01:00", "24h", "2026-12-01"),
        ("2026-12-01T11:59+01:00", "12h", "2026-12-01T00"),
        ("2026-12-01T12:00+01:00", "12h", "2026-12-01T12"),
        ("2026-12-01T12:44+01:00", "30min", "2026-12-01T1230"),
        ("2026-12-06T23:00+01:00", "1w", "2026-W49"),  # a Sunday
        ("2026-12-07T00:00+01:00", "1w", "2026-W50"),
        ("2027-01-01T12:00+01:00", "7d", "2026-W53"),
        ("2027-01-01T12:00+01:00", "1mo", "2027-01"),
        ("2026-12-31T12:00+01:00", "3mo", "2026-10"),
        ("2026-10-25T02:30+02:00", "1h", "2026-10-25T02"),
        ("2026-10-25T02:30+01:00", "1h", "2026-10-25T02"),  # the hour that comes twice
        ("2026-03-29T03:00+02:00", "1h", "2026-03-29T03"),  # there is no 2 o'clock
        ("2026-03-29T03:10+02:00", "2h", "2026-03-29T02"),
        ("2026-12-01T01:00+01:00", "1d@22:00", "2026-11-30"),  # the night began in November
        ("2026-12-01T21:59+01:00", "1d@22:00", "2026-11-30"),
        ("2026-12-01T22:00+01:00", "1d@22:00", "2026-12-01"),
        ("2026-12-01T03:00+01:00", "1mo@4:00", "2026-11"),
    ],
)
def test_slots_of_berlin(now: str, every: str, name: str) -> None:
    assert slot_at(datetime.fromisoformat(now), parse_every(every), BERLIN).name == name


def test_a_day_of_23_or_25_hours_is_one_slot() -> None:
    for day, hours in (("2026-03-29", 23), ("2026-10-25", 25), ("2026-12-01", 24)):
        noon = datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=BERLIN)
        slot = slot_at(noon, parse_every("1d"), BERLIN)
        assert slot.ends - slot.begins == timedelta(hours=hours)
        assert slot.name == day


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1m", "minutes are `min`, and months are `mo`"),
        ("5h", "must divide a day evenly: write one of 1h, 2h, 3h, 4h, 6h, 8h, 12h, 24h"),
        ("48h", "must divide a day"),
        ("7min", "must divide an hour"),
        ("5mo", "must divide a year"),
        ("0d", "from 1 to 366"),
        ("day", "`1d`"),
        ("", "`1d`"),
        ("1d@24:00", "`1d`"),
        ("1d@7", "`1d`"),
        ("6h@1:00", "only slots of days"),
        ("-1d", "`1d`"),
        ("1.5d", "`1d`"),
        ("1d1h", "`1d`"),
        ("٣d", "`1d`"),
    ],
)
def test_other_lengths_are_refused_with_what_to_write(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_every(text)


def test_a_length_is_written_as_it_is_read() -> None:
    for every in EVERIES:
        assert parse_every(str(every)) == every
    assert parse_every("24h") == Every(count=1, unit=Unit.DAYS)


@pytest.mark.parametrize("name", ["prices", "2026-13-01", "2026-W60", "2026-12-01T25", "", "2026"])
def test_another_text_is_no_name_of_an_edition(name: str) -> None:
    assert begin_of(name) is None
