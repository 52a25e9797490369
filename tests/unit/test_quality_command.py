"""`batchrunner quality`, `run --fail-under` and exit code 8, as a user meets them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import batchrunner as br
from batchrunner.app.quality import QualityCheck, check_ended
from batchrunner.app.run_batch import BatchRunEnded
from batchrunner.cli import cli
from batchrunner.cli.exit_codes import ALL_SUCCEEDED, BAD_QUALITY, OUT_OF_BUDGET, SOME_FAILED
from batchrunner.cli.output.quality_text import check_lines
from batchrunner.cli.signals import exit_code_of_quality
from batchrunner.inputs.host_fields import share_of_text
from batchrunner.model import Batch, Settings
from batchrunner.model.quality import QualityBounds, QualityWord
from batchrunner.runner.runner import ExitReason
from batchrunner.store.attempts import apply_poll
from batchrunner.store.batch_reads import recorded_quality
from batchrunner.store.batches import load_jobs
from batchrunner.store.reports import batch_counts
from batchrunner.store.store import Store
from tests.fakes import NOW, after, enlist, job_file, start, success

LATER = datetime(2026, 12, 2, tzinfo=UTC)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Store]]:
    """A database with two editions: in the second, the price is gone."""
    path = str(tmp_path_factory.mktemp("quality") / "a b.db")
    with closing(Store.open(path)) as store:
        for day in (1, 2):
            edition(store, day)
        yield path, store


def edition(store: Store, day: int) -> Batch:
    name = f"2026-12-{day:02}"
    bounds = QualityBounds(coverage={"name": Decimal(1)}, given=True)
    file = replace(
        job_file(10),
        name=f"prices@{name}",
        series="prices",
        edition=name,
        settings=Settings(quality=bounds),
    )
    enlist(store, "alice")
    batch = store.write(load_jobs, file, NOW).batch
    price = "null" if day == 2 else "1{}.5"
    done = [
        success(attempt, f'{{"name": "n{number}", "price": {price.format(number)}}}')
        for number, attempt in enumerate(start(store, batch))
    ]
    apply_poll(store, "alice", done, [], after(60))
    return batch


def quality(db: str, *args: str) -> Result:
    return CliRunner().invoke(cli, ["quality", *args, "--db", db])


def test_the_word_comes_first_then_reasons_and_the_tables(place: tuple[str, Store]) -> None:
    shown = quality(place[0], "prices")
    lines = shown.stdout.splitlines()
    assert shown.exit_code == 0
    assert lines[:2] == [
        "bad",
        "  `price` holds nothing in 10 of 10 rows of shop.example (before: 0%)",
    ]
    assert any(line.startswith("price") and "0%" in line and "100%" in line for line in lines)
    assert "compared with prices@2026-12-01 (10 delivered)" in shown.stdout
    assert len([line for line in lines if line.startswith("  https://")]) == 10
    assert "newest edition is 'prices@2026-12-02'" in shown.stderr


def test_json_has_the_verdict_and_all_reasons(place: tuple[str, Store]) -> None:
    found = json.loads(quality(place[0], "prices@2026-12-02", "--json").stdout)
    assert found["verdict"] == "bad"
    (reason,) = found["reasons"]
    assert {"kind", "column", "host", "count", "text"} <= reason.keys()
    assert (reason["kind"], reason["column"], reason["count"]) == ("coverage", "price", 10)
    assert (found["against"], found["delivered"], found["good"]) == ("prices@2026-12-01", 10, 10)


def test_another_batch_can_be_named(place: tuple[str, Store]) -> None:
    names = ("prices@2026-12-01", "--against", "prices@2026-12-02")
    found = json.loads(quality(place[0], *names, "--json").stdout)
    assert (found["verdict"], found["against"]) == ("good", "prices@2026-12-02")
    same = quality(place[0], "prices@2026-12-01", "--against", "prices@2026-12-01")
    assert same.exit_code == 2
    assert quality(place[0], "prices", "--against", "nothing").exit_code == 2


def test_python_has_the_same(place: tuple[str, Store]) -> None:
    with br.open(place[0]) as db:
        batch = db.batch("prices@2026-12-02")
        report = batch.quality()
        assert (report.verdict, report.reasons[0].column) == ("bad", "price")
        assert batch.quality(against="prices@2026-12-01").against == "prices@2026-12-01"


# ---- at the end of a run ----


def ended(store: Store, batch: Batch, reason: ExitReason = ExitReason.FINISHED) -> BatchRunEnded:
    return BatchRunEnded(reason=reason, counts=store.read(batch_counts, batch.id))


def batch_named(store: Store, day: int) -> Batch:
    from batchrunner.store.batches import find_batch

    found = store.read(find_batch, f"prices@2026-12-{day:02}")
    assert found is not None
    return found


def test_the_end_of_a_run_remembers_the_word_and_says_what_is_violated(
    place: tuple[str, Store],
) -> None:
    path, store = place
    batch = batch_named(store, 2)
    check = check_ended(store, batch, ended(store, batch))
    assert check is not None
    assert check.violated == check.reasons[0].text
    assert store.read(recorded_quality, batch.id) is QualityWord.BAD
    lines = [*check_lines(check, batch, path)]
    assert lines[0].startswith("bad quality: `price` holds nothing in 10 of 10 rows")
    assert lines[1] == f"look at it with: batchrunner quality prices@2026-12-02 --db '{path}'"


def test_fail_under_counts_the_jobs_that_were_delivered_good(place: tuple[str, Store]) -> None:
    _, store = place
    batch = replace(batch_named(store, 1), settings=Settings())
    more = replace(job_file(40), name="more")
    with_open = store.write(load_jobs, more, NOW).batch
    kept = check_ended(store, batch, ended(store, batch), Decimal(1))
    assert kept is not None
    assert kept.violated is None
    broken = check_ended(
        store, with_open, ended(store, with_open, ExitReason.PART_DONE), Decimal("0.95")
    )
    assert broken is not None
    assert broken.word is None  # nothing is remembered of a batch that is not finished
    assert broken.violated == (
        "0 of 40 jobs were delivered and are good (0%), and --fail-under asks for 95%"
    )


def test_a_run_that_came_to_no_end_is_not_checked(place: tuple[str, Store]) -> None:
    _, store = place
    batch = batch_named(store, 1)
    for reason in (ExitReason.DRAINED, ExitReason.BUDGET_USED_UP, ExitReason.OUT_OF_TIME):
        assert check_ended(store, batch, ended(store, batch, reason), Decimal(1)) is None
    nothing = replace(ended(store, batch), newest_result_at=LATER)
    unbounded = replace(batch, settings=Settings())
    assert check_ended(store, unbounded, nothing) is None
    assert check_ended(store, batch, nothing) is not None


def test_a_violation_is_exit_code_8_where_the_run_came_to_its_end() -> None:
    violated = QualityCheck(word=QualityWord.BAD, violated="too few")
    kept = QualityCheck(word=QualityWord.BAD)
    for code, found in ((ALL_SUCCEEDED, BAD_QUALITY), (SOME_FAILED, BAD_QUALITY)):
        assert exit_code_of_quality(code, violated) == found
        assert exit_code_of_quality(code, kept) == code
        assert exit_code_of_quality(code, None) == code
    assert exit_code_of_quality(OUT_OF_BUDGET, violated) == OUT_OF_BUDGET


@pytest.mark.parametrize(
    ("text", "share"),
    [("95%", "0.95"), ("0.95", "0.95"), (" 1 ", "1"), ("100 %", "1"), (".5", "0.5")],
)
def test_shares_are_read(text: str, share: str) -> None:
    assert share_of_text(text) == Decimal(share)


@pytest.mark.parametrize("text", ["0", "95", "0%", "101%", "-1%", "many", "1.5", ""])
def test_what_is_no_share_is_refused(text: str, tmp_path: Path) -> None:
    assert share_of_text(text) is None
    file = tmp_path / "jobs.yaml"
    file.write_text("- {url: https://a.example, goal: Read}\n")
    run = CliRunner().invoke(cli, ["run", str(file), "--fail-under", text])
    assert run.exit_code == 2
    assert "write, for example, 95%" in run.stderr


def test_status_shows_the_word_of_the_newest_run(place: tuple[str, Store]) -> None:
    path, store = place
    batch = batch_named(store, 2)
    check_ended(store, batch, ended(store, batch))
    runner = CliRunner()
    shown = runner.invoke(cli, ["status", batch.name, "--db", path]).stdout
    why = f"batchrunner quality {batch.name} --db {shlex.quote(path)}"
    assert f"  quality: bad (why: {why})\n" in shown
    shown = runner.invoke(cli, ["status", batch.name, "--json", "--db", path]).stdout
    assert json.loads(shown)["quality_word"] == "bad"
