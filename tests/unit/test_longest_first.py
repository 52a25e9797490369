"""The last jobs of a batch run longest first, by what is known about their hosts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from batchrunner.model import HostRule
from batchrunner.policy.longest_first import LastJob, is_in_time, longest_first
from batchrunner.policy.schedule import Window
from batchrunner.runner import run_durations
from batchrunner.runner.run_durations import HostDurations

SECONDS = {"slow": 200.0, "mean": 80.0, "same": 80.0, "fast": 20.0}
NOW = datetime(2026, 11, 21, 22, tzinfo=UTC)


def jobs(*hosts: str) -> list[LastJob]:
    return [LastJob(number, host) for number, host in enumerate(hosts)]


def order(*hosts: str, **rules: HostRule) -> list[int]:
    named = {"*" if host == "every" else host: rule for host, rule in rules.items()}
    return [job.id for job in longest_first(jobs(*hosts), SECONDS.__getitem__, named)]


def test_jobs_of_slow_hosts_come_first_and_equals_in_file_order() -> None:
    assert order("fast", "mean", "slow", "same", "mean", "slow") == [2, 5, 1, 3, 4, 0]


def test_jobs_that_wait_for_each_other_on_a_host_come_first_together() -> None:
    # One at a time, the six fast ones take 120 s.
    one = HostRule(concurrency=1)
    assert order("mean", *["fast"] * 6, fast=one) == [1, 2, 0, 3, 4, 5, 6]
    assert order("mean", *["fast"] * 6, fast=HostRule(concurrency=6))[0] == 0
    assert order("mean", *["fast"] * 6, every=one)[:2] == [1, 2]


def test_jobs_of_a_host_with_spacing_come_first_if_the_waits_are_long() -> None:
    spaced = HostRule(spacing=timedelta(minutes=1))
    assert order("slow", *["fast"] * 5, fast=spaced) == [1, 0, 2, 3, 4, 5]


@given(st.lists(st.sampled_from(sorted(SECONDS)), max_size=30))
def test_no_job_is_left_out_and_the_order_is_always_the_same(hosts: list[str]) -> None:
    assert sorted(order(*hosts)) == list(range(len(hosts)))
    assert order(*hosts) == order(*hosts)


def test_a_host_is_known_by_its_own_runs_and_others_by_all() -> None:
    durations = HostDurations()
    assert durations.seconds("slow") == 0
    for _ in range(30):
        durations.learn("slow", timedelta(seconds=200))
        durations.learn("fast", timedelta(seconds=20))
    assert durations.seconds("slow") > 190 > 30 > durations.seconds("fast")
    assert 90 < durations.seconds("unknown") < 130


def test_one_odd_run_does_not_stand_for_its_host() -> None:
    durations = HostDurations()
    for _ in range(30):
        durations.learn("usual", timedelta(seconds=50))
    durations.learn("odd", timedelta(seconds=300))
    assert durations.seconds("odd") < 200


def test_earlier_runs_teach_only_about_hosts_that_are_unknown() -> None:
    durations = HostDurations()
    durations.learn("site", timedelta(seconds=10))
    durations.learn_past([("site", timedelta(hours=1)), ("other", timedelta(minutes=1))] * 3)
    assert durations.seconds("site") < durations.seconds("other")


def test_the_hosts_that_are_remembered_are_limited(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(run_durations, "MAX_HOSTS", 2)
    durations = HostDurations()
    for host in ("first", "second", "first", "third"):
        durations.learn(host, timedelta(seconds=10))
    assert set(durations._by_host) == {"first", "third"}


def test_near_a_deadline_the_order_is_that_of_the_file() -> None:
    minute = timedelta(minutes=1)
    assert is_in_time(Window(), NOW, None)
    assert not is_in_time(Window(closes=NOW + 15 * minute), NOW, minute)
    assert is_in_time(Window(closes=NOW + 25 * minute), NOW, minute)
    assert not is_in_time(Window(closes=NOW + 25 * minute), NOW, None)
