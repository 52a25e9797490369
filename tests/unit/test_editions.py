"""Which edition a run is about, and that every command takes the name of a series."""

from __future__ import annotations

import json
import zoneinfo
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

import batchrunner as br
from batchrunner.app import run_edition, time_zones
from batchrunner.app.choose_edition import SeriesOptions, choose_file_edition, planned_edition
from batchrunner.app.edition_paths import targets_of_edition
from batchrunner.app.output_targets import Target, check_outputs
from batchrunner.app.run_batch import BatchRunEnded, RunOptions
from batchrunner.app.run_observer import Notice
from batchrunner.app.stop_control import StopRequest
from batchrunner.app.time_zones import machine_zone, zone_called
from batchrunner.cli.output.batch_text import same_command
from batchrunner.cli.output.exit_text import age_lines
from batchrunner.cli.program import cli
from batchrunner.errors import UsageError
from batchrunner.model import Batch, JobFile, JobState
from batchrunner.policy.calendar_slots import covers_slot, parse_every, slot_at
from batchrunner.policy.editions import choose_edition
from batchrunner.runner.runner import ExitReason
from batchrunner.store.attempts import apply_poll
from batchrunner.store.batch_reads import list_batches
from batchrunner.store.batches import load_jobs
from batchrunner.store.recovery import batch_tokens
from batchrunner.store.reports import batch_counts
from batchrunner.store.store import Store
from tests.fakes import after, enlist, job_file, start, success
from tests.quick_migrations import quick_migrations

BERLIN = ZoneInfo("Europe/Berlin")
DAILY = SeriesOptions(every="1d", time_zone="Europe/Berlin")
NIGHT = datetime(2026, 12, 1, 1, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.chdir(tmp_path)
    with quick_migrations():
        opened = Store.open("batchrunner.db")
        yield opened
        opened.close()


def begin(
    store: Store, time: datetime, options: SeriesOptions = DAILY, file: JobFile | None = None
) -> tuple[Batch, list[str]]:
    """Load a file as `run` does; return its batch, and what was said."""
    said: list[str] = []
    chosen = choose_file_edition(store, file or job_file(2), options, time, said.append)
    return store.write(load_jobs, chosen, time).batch, said


def names(store: Store) -> list[str]:
    return [batch.name for batch in store.read(list_batches)]


# ---- which edition ----


def test_an_edition_begins_in_each_slot_and_resumes_while_it_lasts(store: Store) -> None:
    batch, said = begin(store, NIGHT)
    assert (batch.name, batch.series, batch.edition) == (
        "prices@2026-12-01",
        "prices",
        "2026-12-01",
    )
    assert said == [
        "edition 'prices@2026-12-01' begins: every 1d, "
        "the next slot begins 2026-12-02 00:00 Europe/Berlin"
    ]
    again, said = begin(store, NIGHT + timedelta(hours=20))
    assert again.id == batch.id
    assert "resumes" in said[0]
    assert begin(store, NIGHT + timedelta(hours=21, minutes=59))[0].id == batch.id
    assert begin(store, NIGHT + timedelta(hours=22))[0].name == "prices@2026-12-02"
    assert names(store) == ["prices@2026-12-01", "prices@2026-12-02"]


def test_where_the_clock_goes_back_the_newest_edition_resumes(store: Store) -> None:
    newest, _ = begin(store, NIGHT)
    batch, said = begin(store, NIGHT - timedelta(days=2))
    assert batch.id == newest.id
    assert said[1].startswith("warning: the clock says 2026-11-29, and a later edition has begun")


def test_a_fresh_edition_is_that_of_its_slot(store: Store) -> None:
    begin(store, NIGHT)
    fresh, said = begin(store, NIGHT + timedelta(hours=3), replace(DAILY, fresh=True))
    assert fresh.name == "prices@2026-12-01T050000"
    assert "begins" in said[0]
    assert begin(store, NIGHT + timedelta(hours=5))[0].id == fresh.id, "it resumes"
    assert begin(store, NIGHT + timedelta(days=1))[0].name == "prices@2026-12-02"


def test_a_night_that_begins_before_midnight_is_one_slot(store: Store) -> None:
    nightly = replace(DAILY, every="1d@12:00")
    evening = NIGHT - timedelta(hours=4)
    batch, said = begin(store, evening, nightly)
    assert batch.name == "prices@2026-11-30"
    assert said[0].endswith("the next slot begins 2026-12-01 12:00 Europe/Berlin")
    assert begin(store, NIGHT, nightly)[0].id == batch.id, "it is started again after a crash"
    fresh, _ = begin(store, NIGHT, replace(nightly, fresh=True))
    assert begin(store, NIGHT + timedelta(hours=1), nightly)[0].id == fresh.id
    assert begin(store, evening + timedelta(days=1), nightly)[0].name == "prices@2026-12-01"


def test_without_a_slot_the_newest_edition_is_meant(store: Store) -> None:
    plain = SeriesOptions()
    assert begin(store, NIGHT, plain, job_file(1, "other"))[0].name == "other"
    newest, _ = begin(store, NIGHT)
    batch, said = begin(store, NIGHT + timedelta(days=9), plain)
    assert batch.id == newest.id
    assert said == ["edition 'prices@2026-12-01' resumes"]


def test_a_batch_from_before_the_series_becomes_its_first_edition(store: Store) -> None:
    plain, _ = begin(store, NIGHT, SeriesOptions())
    assert plain.name == "prices"
    due = [(timedelta(hours=1), "prices"), (timedelta(days=1), "prices@2026-12-02")]
    for later, name in due:
        assert planned_edition(store, job_file(2), DAILY, NIGHT + later).name == name
    batch, said = begin(store, NIGHT + timedelta(hours=1))
    assert batch.id == plain.id, "what was paid for in this slot is not paid for again"
    assert batch.name == "prices@2026-12-01T020000"
    assert said[0].startswith("the batch 'prices' is now the edition 'prices@2026-12-01T020000'")
    assert begin(store, NIGHT + timedelta(days=1))[0].name == "prices@2026-12-02"


def test_a_file_that_changed_is_another_edition_and_leaves_the_older_one(store: Store) -> None:
    begin(store, NIGHT, file=job_file(3))
    edited = job_file(5)
    chosen = choose_file_edition(store, edited, DAILY, NIGHT + timedelta(days=1), lambda _: None)
    loaded = store.write(load_jobs, chosen, NIGHT)
    assert (loaded.added, loaded.known) == (5, 0)


def test_settings_of_the_file_say_the_slot_the_zone_and_what_stays(store: Store) -> None:
    file = job_file(1, every="1w", time_zone="America/New_York", keep_editions=3)
    batch, said = begin(store, NIGHT, SeriesOptions(), file)
    assert batch.name == "prices@2026-W49"
    assert said[0].endswith("2026-12-07 00:00 America/New_York")
    assert (batch.settings.every, batch.settings.keep_editions) == ("1w", 3)
    daily, wednesday = SeriesOptions(every="1d"), NIGHT + timedelta(days=2)
    assert begin(store, wednesday, daily, file)[0].name == "prices@2026-12-02"


@pytest.mark.parametrize(
    ("options", "name", "said"),
    [
        (SeriesOptions(every="1m"), "prices", "--every 1m: this is no length of a slot"),
        (SeriesOptions(every="1d", time_zone="Berlin"), "prices", "no time zone 'Berlin'"),
        (DAILY, "p" * 95, "too long for a series"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_loaded(
    store: Store, options: SeriesOptions, name: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        begin(store, NIGHT, options, job_file(1, name))
    assert names(store) == []


starts = st.lists(
    st.tuples(
        st.integers(-60 * 24 * 3, 60 * 24 * 5),  # minutes; the clock may go back
        st.sampled_from([False, False, False, True]),  # fresh
        st.sampled_from(["1d", "12h", "1w", "1d@22:00"]),
    ),
    max_size=12,
)


@given(starts)
def test_a_slot_never_has_two_editions_that_were_not_asked_for(
    starts: Sequence[tuple[int, bool, str]],
) -> None:
    newest, time, begun = None, NIGHT, []
    for minutes, fresh, every in starts:
        time += timedelta(minutes=minutes)
        length = parse_every(every)
        slot = slot_at(time, length, BERLIN)
        choice = choose_edition(newest, length, time, BERLIN, fresh=fresh)
        assert choice is not None
        if fresh:
            assert choice.is_new
        elif newest is not None and covers_slot(newest, slot, length):
            assert (choice.edition, choice.is_new) == (newest, False)
        else:
            assert (choice.edition, choice.is_new) == (slot.name, True)
            assert newest is None or length.began(newest) < slot.wall  # type: ignore[operator]
        newest = choice.edition
        begun.append(newest)


# ---- zones ----


def test_a_city_and_a_typing_error_lead_to_the_zone() -> None:
    for name in ("Berlin", "europe/berlin", "Europe/Berln"):
        with pytest.raises(UsageError) as refused:
            zone_called(name)
        assert refused.value.next == "did you mean `Europe/Berlin`?"


def test_a_machine_without_zone_data_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> ZoneInfo:
        raise zoneinfo.ZoneInfoNotFoundError(name)

    monkeypatch.setattr(time_zones, "ZoneInfo", missing)
    monkeypatch.setattr(time_zones, "available_timezones", set)
    with pytest.raises(UsageError, match="no time zone data") as refused:
        zone_called("Europe/Berlin")
    assert refused.value.next == "pip install tzdata, or name UTC"
    assert zone_called("utc").name == "UTC"
    monkeypatch.setenv("TZ", "Europe/Berlin")
    assert "this machine's zone" in machine_zone(NIGHT).name


@pytest.mark.parametrize(
    ("zone", "name"),
    [("Europe/Berlin", "Europe/Berlin"), (":Asia/Tokyo", "Asia/Tokyo"), ("UTC", "UTC")],
)
def test_the_zone_of_this_machine_is_named(
    zone: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    assert machine_zone(NIGHT).name == name


# ---- files ----


def test_an_export_carries_the_name_of_its_edition(store: Store, tmp_path: Path) -> None:
    batch, _ = begin(store, NIGHT, replace(DAILY, every="1w"))
    paths = ["prices-{edition}.csv", "{series}/{date}.jsonl", "plain.csv"]
    targets = targets_of_edition(check_outputs(paths), batch)
    assert [target.path for target in targets] == [
        "prices-2026-W49.csv",
        "prices/2026-11-30.jsonl",
        "plain.csv",
    ]
    assert (tmp_path / "prices").is_dir()
    plain, _ = begin(store, NIGHT, SeriesOptions(), job_file(1, "other"))
    with pytest.raises(UsageError, match="asks for an edition") as refused:
        targets_of_edition([Target(path="a-{edition}.csv", format="csv")], plain)
    assert "--every 1d" in str(refused.value.next)


def test_the_command_that_goes_on_begins_no_other_edition() -> None:
    args = ["run", "prices.yaml", "--fresh", "--every", "1d"]
    assert same_command(args) == "batchrunner run prices.yaml --every 1d"


# ---- commands ----


def finish(store: Store, batch: Batch) -> None:
    enlist(store, "alice")
    ended = [success(each, result='{"name": "a"}', steps=2) for each in start(store, batch)]
    apply_poll(store, "alice", ended, [], after(60))


@pytest.fixture
def series(store: Store) -> Store:
    """Give a database with two editions of a series, of which the older is finished."""
    older, _ = begin(store, datetime(2026, 8, 1, 1, tzinfo=UTC))
    finish(store, older)
    begin(store, datetime(2026, 8, 2, 1, tzinfo=UTC))
    return store


def run(*args: str) -> Result:
    return CliRunner().invoke(cli, args, catch_exceptions=False)


@pytest.mark.parametrize(
    "command",
    [
        ["retry"],
        ["pause"],
        ["resume"],
        ["set", "--concurrency", "3"],
        ["where"],
        ["judge"],
        ["artifacts", "list"],
        ["cancel", "--yes"],
        ["export"],
    ],
    ids=lambda command: command[0],
)
def test_the_name_of_a_series_means_its_newest_edition(series: Store, command: list[str]) -> None:
    said = run(*command, "prices")
    assert said.exit_code == 0, said.output
    note = "'prices' is a series: its newest edition is 'prices@2026-08-02'"
    assert note in said.stderr
    named = run(*command, "prices@2026-08-01")
    assert named.exit_code == 0
    assert "is a series" not in named.stderr


def test_an_older_edition_is_exported_by_its_name(series: Store) -> None:
    assert run("export", "prices", "-o", "-").stdout == ""
    older = run("export", "prices@2026-08-01", "-o", "-").stdout.splitlines()
    assert [json.loads(line)["id"] for line in older] == ["job-0001", "job-0002"]


def test_status_shows_the_series_the_newest_first(series: Store) -> None:
    shown = run("status", "prices").stdout.splitlines()
    assert shown[0] == "series prices: 2 editions"
    assert shown[1].split() == ["EDITION", "JOBS", "SUCCEEDED", "FAILED", "COST", "BEGAN", "ENDED"]
    assert shown[2].split()[:6] == ["2026-08-02", "2", "0", "0", "0", "steps"]
    assert shown[2].endswith("2 jobs open")
    assert shown[3].split()[:6] == ["2026-08-01", "2", "2", "0", "4", "steps"]
    assert "prices@2026-08-02: 0/2 done" in shown[5]
    assert run("status").stdout.startswith("series prices: 2 editions")
    one = run("status", "prices@2026-08-01").stdout
    assert one.startswith("prices@2026-08-01: 2/2 done")
    found = json.loads(run("status", "prices", "--json").stdout)
    assert (found["batch"], found["series"]) == ("prices@2026-08-02", "prices")
    assert [each["edition"] for each in found["editions"]] == ["2026-08-02", "2026-08-01"]


def test_a_retry_of_an_older_edition_says_that_no_run_submits_it(series: Store) -> None:
    run("cancel", "prices", "--yes")
    newest = run("retry", "prices", "--category", "run_cancelled").stderr
    assert "2 jobs of 'prices@2026-08-02' put back; run the batch to run them" in newest
    begin(series, datetime(2026, 8, 3, 1, tzinfo=UTC))
    run("cancel", "prices@2026-08-02", "--yes")
    older = run("retry", "prices@2026-08-02", "--category", "run_cancelled").stderr
    assert "but a run submits only 'prices@2026-08-03', the newest edition" in older


def test_a_wrong_length_is_refused_before_a_database_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("prices.yaml").write_text("- {url: 'https://a.example', goal: b}", encoding="utf-8")
    for wrong in (["--every", "5h"], ["--every", "1d", "--time-zone", "Nowhere"]):
        refused = run("run", "prices.yaml", "--sandbox", *wrong)
        assert refused.exit_code == 2
        assert "tip: " in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["prices.yaml"]


def test_an_unknown_name_lists_each_series_once(series: Store) -> None:
    refused = run("status", "price")
    assert refused.exit_code == 2
    assert refused.stderr.rstrip().endswith(": prices")
    other = run("export", "prices@2026-08-09")
    assert other.stderr.rstrip().endswith(": prices@2026-08-01, prices@2026-08-02")


def test_python_loads_what_is_due_and_shows_the_series(series: Store) -> None:
    rows = [{"url": "https://shop.example/a", "goal": "Read it"}]
    with br.open("batchrunner.db") as database:
        batch = database.edition(rows=rows, name="prices", every="1d", time_zone="UTC")
        assert batch.series == "prices"
        assert database.batch("prices").name == batch.name
        again = database.load(rows=rows, name="prices")
        assert again.name == batch.name
        found = database.series("prices")
        assert [each.edition for each in found.editions()] == [
            batch.edition,
            "2026-08-02",
            "2026-08-01",
        ]
        assert found.newest().name == batch.name
        assert len(list(found.edition("2026-08-01").rows())) == 2
        for wrong in (lambda: database.series("other"), lambda: found.edition("2026-08-09")):
            with pytest.raises(br.UsageError):
                wrong()
        with pytest.raises(br.UsageError, match="how long a slot"):
            database.edition(rows=rows, name="prices")


# ---- draining ----


class Observer:
    """Collects what is said; it counts nothing."""

    count_seconds = None

    def __init__(self) -> None:
        self.events: list[object] = []

    def notify(self, event: object) -> None:
        self.events.append(event)

    def said(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Notice)]


@dataclass
class Works:
    """Takes the place of `work`: notes which batches were worked on, and how that ends."""

    store: Store
    reason: ExitReason | None = ExitReason.FINISHED
    asks: StopRequest = StopRequest.NONE
    calls: list[tuple[str, bool]] = field(default_factory=list)

    def __call__(self, store: Store, batch: Batch, *_: Any, submit: bool = True, **how: Any) -> Any:
        self.calls.append((batch.name, submit))
        if not submit:
            if self.asks is StopRequest.DRAIN:
                how["control"].drain()
            how["control"].close()
            return self._ended(batch, self.reason)
        return self._ended(batch, ExitReason.FINISHED)

    def _ended(self, batch: Batch, reason: ExitReason | None) -> BatchRunEnded:
        return BatchRunEnded(reason=reason, counts=self.store.read(batch_counts, batch.id))


def drained(
    store: Store, patch: pytest.MonkeyPatch, works: Works, **options: Any
) -> tuple[BatchRunEnded, Observer]:
    """Run the second edition of a series whose first one has two runs in flight."""
    older, _ = begin(store, datetime(2026, 8, 1, 1, tzinfo=UTC), file=job_file(2, concurrency=1))
    enlist(store, "alice")
    assert len(start(store, older)) == 1
    newer, _ = begin(store, datetime(2026, 8, 2, 1, tzinfo=UTC), file=job_file(3))
    patch.setattr(run_edition, "work", works)
    patch.setattr(run_edition, "bind", lambda *_, **__: "key")
    observer: Any = Observer()
    api: Any = None
    ended = run_edition.run_edition(
        store, newer, api, observer, key="key", options=RunOptions(**options)
    )
    assert store.read(batch_counts, older.id).jobs[JobState.AVAILABLE] == 0
    return ended, observer


def test_an_older_edition_is_collected_and_not_submitted_before_the_new_one_begins(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    works = Works(store)
    ended, observer = drained(store, monkeypatch, works)
    assert works.calls == [("prices@2026-08-01", False), ("prices@2026-08-02", True)]
    assert observer.said() == [
        "edition 'prices@2026-08-01' ends unfinished: 1 waiting job cancelled, "
        "1 run in flight to be collected first"
    ]
    assert ended.counts.total == 3


@pytest.mark.parametrize(
    ("reason", "asks", "ends"),
    [
        (ExitReason.STOPPED, StopRequest.NONE, ExitReason.STOPPED),
        (ExitReason.OUT_OF_TIME, StopRequest.NONE, ExitReason.OUT_OF_TIME),
        (None, StopRequest.NONE, None),
        (ExitReason.FINISHED, StopRequest.DRAIN, ExitReason.DRAINED),
    ],
)
def test_an_edition_does_not_begin_where_draining_did_not_come_to_its_end(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    reason: ExitReason | None,
    asks: StopRequest,
    ends: ExitReason | None,
) -> None:
    works = Works(store, reason, asks)
    ended, _ = drained(store, monkeypatch, works)
    assert works.calls == [("prices@2026-08-01", False)]
    assert ended.reason is ends
    assert ended.counts.total == 3, "the numbers are those of the new edition"


def test_a_run_removes_older_editions(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in (1, 2, 3):
        finish(store, begin(store, datetime(2026, 7, day, 1, tzinfo=UTC))[0])
    _, observer = drained(store, monkeypatch, Works(store), series=SeriesOptions(keep_editions=2))
    assert names(store) == ["prices@2026-07-03", "prices@2026-08-01", "prices@2026-08-02"]
    assert observer.said()[-1] == "2 older editions of 'prices' removed; the newest 2 stay"
    token = "of the batch that was removed first"
    assert len(store.read(batch_tokens)) == 4, token


def test_a_run_of_nothing_says_how_old_the_results_are() -> None:
    batch: Any = None
    args = ["run", "prices.yaml", "--db", "my prices.db"]
    lines = list(age_lines(batch, NIGHT, NIGHT + timedelta(hours=23), args, every=False))
    assert "nothing was run, and the newest result is 23h 00m old" in lines[0]
    assert lines[1].endswith("batchrunner run prices.yaml --db 'my prices.db' --every 1d")
    assert lines[2].endswith("batchrunner run prices.yaml --db 'my prices.db' --rerun all")
    assert (
        list(age_lines(batch, NIGHT, NIGHT, args, every=False))[1:]
        == [
            line
            for line in age_lines(batch, NIGHT, NIGHT, [*args, "--keep", "changed"], every=False)
        ][1:]
    ), "new results are of the file as it is"
    (line,) = age_lines(batch, NIGHT, NIGHT, args, every=True)
    assert line.endswith("--fresh")
