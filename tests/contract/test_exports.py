"""Exports: which jobs they show, and which files they may replace."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from batchrunner.app.batch_handle import BatchHandle
from batchrunner.app.database_address import DatabaseAddress
from batchrunner.app.export_options import export_options, options_of_arguments
from batchrunner.app.export_results import StoredBatch, check_files, export_all, export_batch
from batchrunner.app.output_targets import Target, check_outputs, kept_files
from batchrunner.app.owned_files import FileOwner, owner_of
from batchrunner.errors import UsageError
from batchrunner.model import Batch, FailureCategory, JobState, SourceFile
from batchrunner.model.places import FileSample
from batchrunner.store import batches as loading
from batchrunner.store.attempts import apply_poll
from batchrunner.store.batches import load_jobs
from batchrunner.store.database import Database
from batchrunner.store.holdings import holdings
from batchrunner.store.schema import jobs
from batchrunner.store.store import Store
from tests.fakes import NOW, after, begin, enlist, failure, job_file, spec, start, success
from tests.quick_migrations import quick_migrations

CARRIED = ("customer",)
THREE = "3 of 4 jobs, the others are not done"


def finished(store: Store, *, name: str = "prices", count: int = 4) -> Batch:
    """Load jobs with a carried column; the last one stays open, and the one before it fails."""
    specs = [spec(f"job-{at}", columns={"customer": f"c{at}"}) for at in range(1, count + 1)]
    enlist(store, "alice")
    file = job_file(specs, name=name, concurrency=count - 1)
    file = type(file)(**{**_fields(file), "columns": CARRIED})
    batch = store.write(load_jobs, file, NOW).batch
    first, *rest = start(store, batch)
    *more, last = rest
    decisions = [success(each, json.dumps({"price": at})) for at, each in enumerate([first, *more])]
    apply_poll(store, "alice", [*decisions, failure(last, FailureCategory.BLOCKED)], [], after(1))
    return batch


def _fields(file: Any) -> dict[str, Any]:
    return {name: getattr(file, name) for name in file.__dataclass_fields__}


def handle(store: Store, batch: Batch, address: str) -> BatchHandle:
    return BatchHandle(store, batch, DatabaseAddress(address=address))


def ids(rows: Any) -> list[str]:
    return [row["id"] for row in rows]


# ---- which jobs ----


def test_jobs_are_chosen_by_state_and_by_reason(store: Store, address: str) -> None:
    batch = handle(store, finished(store), address)
    assert ids(batch.rows()) == ["job-1", "job-2", "job-3"]
    assert ids(batch.rows(only="failed")) == ["job-3"]
    assert ids(batch.rows(only="blocked")) == ["job-3"]
    assert ids(batch.rows(only=["succeeded", "goal_failure"])) == ["job-1", "job-2"]
    assert ids(batch.rows(only="goal_failure")) == []
    assert ids(batch.rows(only="succeeded,blocked")) == ["job-1", "job-2", "job-3"]
    with pytest.raises(UsageError, match="no state, verdict or failure") as refused:
        list(batch.rows(only="faild"))
    assert "did you mean `failed`" in refused.value.next
    with pytest.raises(UsageError, match="no result yet"):
        list(batch.rows(only="available"))


def test_joined_rows_are_those_of_the_input_with_their_states(store: Store, address: str) -> None:
    batch = handle(store, finished(store), address)
    rows = list(batch.rows(join=True))
    assert [(row["id"], row["state"], row["customer"]) for row in rows] == [
        ("job-1", "succeeded", "c1"),
        ("job-2", "succeeded", "c2"),
        ("job-3", "failed", "c3"),
        ("job-4", "available", "c4"),
    ]
    assert rows[-1]["result"] is None
    assert ids(batch.rows(join=True, only="available")) == ["job-4"]


def revise(store: Store, key: str, state: JobState, number: int = 2) -> None:
    """Put a newer revision in the place of a job."""

    def write(tx: Any) -> None:
        old = tx.execute(select(jobs).where(jobs.c.key == key, jobs.c.superseded.is_(False))).one()
        tx.execute(update(jobs).where(jobs.c.id == old.id).values(superseded=True))
        new = {**old._mapping, "revision": number, "state": state, "attempt": 0, "failures": 0}
        new |= {"superseded": False, "finished_at": NOW if state.is_final else None}
        del new["id"]
        tx.execute(insert(jobs).values(**new))

    store.write(write)


def test_the_last_good_revision_stands_where_its_job_is_in_the_file(
    store: Store, address: str
) -> None:
    batch = handle(store, finished(store), address)
    revise(store, "job-1", JobState.FAILED)
    revise(store, "job-3", JobState.CANCELLED)
    revise(store, "job-2", JobState.AVAILABLE)
    newest = [(row["id"], row["state"]) for row in batch.rows()]
    assert newest == [("job-1", "failed"), ("job-3", "cancelled")]
    good = [(row["id"], row["state"], row["result"]) for row in batch.rows(last_good=True)]
    assert good == [
        ("job-1", "succeeded", {"price": 0}),
        ("job-2", "succeeded", {"price": 1}),
        ("job-3", "cancelled", None),
    ]
    joined = [(row["id"], row["state"]) for row in batch.rows(last_good=True, join=True)]
    assert joined[-1] == ("job-4", "available")
    store.write(
        lambda tx: tx.execute(update(jobs).where(jobs.c.key == "job-1").values(withdrawn=True))
    )
    assert ids(batch.rows(last_good=True)) == ["job-2", "job-3"], "it is no longer in the file"


def test_columns_that_no_job_can_have_are_refused_with_the_nearest_one(
    store: Store, address: str
) -> None:
    batch = handle(store, finished(store), address)
    assert list(batch.rows(columns="customer,price=result.price", only="succeeded")) == [
        {"customer": "c1", "price": 0},
        {"customer": "c2", "price": 1},
    ]
    with pytest.raises(UsageError, match="no column 'custmer'") as refused:
        list(batch.rows(columns="custmer"))
    assert "customer" in refused.value.next


# ---- which files ----


def target(path: Path, *, guessed: bool = False) -> Target:
    return Target(path=str(path), format="csv", guessed=guessed)


def exported(store: Store, address: str, batch: Batch, path: Path, **how: Any) -> list[str]:
    said: list[str] = []
    place = StoredBatch(store=store, address=address, batch=batch)
    export_all(
        place, [target(path, guessed=how.pop("guessed", False))], said.append, export_options(**how)
    )
    return said


def test_a_batch_replaces_its_own_file_without_a_question(
    store: Store, address: str, tmp_path: Path
) -> None:
    batch, path = finished(store), tmp_path / "results.csv"
    for _ in range(3):
        assert exported(store, address, batch, path) == [f"exported {path} ({THREE})"]
    path.unlink()
    assert exported(store, address, batch, path) == [f"exported {path} ({THREE})"]
    path.write_bytes(b"")
    assert export_batch(store, address, batch, target(path)).jobs == 3, "an empty file has nothing"


@pytest.mark.parametrize("what", ["edited", "foreign", "other batch"])
def test_a_file_that_the_batch_did_not_write_as_it_is_stays(
    store: Store, address: str, tmp_path: Path, what: str
) -> None:
    batch, path = finished(store), tmp_path / "results.csv"
    if what == "edited":
        exported(store, address, batch, path)
        path.write_text(path.read_text() + "my own note\n")
    elif what == "other batch":
        exported(store, address, finished(store, name="other"), path)
    else:
        path.write_text("sku,url\n1,https://shop.example\n")
    before = path.read_bytes()
    with pytest.raises(UsageError, match="it stays as it is") as refused:
        export_batch(store, address, batch, target(path))
    assert "--overwrite" in refused.value.next
    assert "results-2.csv" in refused.value.next
    with pytest.raises(UsageError):
        check_files(store, address, owner_of(batch), [target(path)], overwrite=False)
    assert path.read_bytes() == before
    options = options_of_arguments({"overwrite": True})
    assert export_batch(store, address, batch, target(path), options).jobs == 3
    assert exported(store, address, batch, path) == [f"exported {path} ({THREE})"]


def test_results_go_beside_a_file_that_somebody_changed_during_a_run(
    store: Store, address: str, tmp_path: Path
) -> None:
    batch, path = finished(store), tmp_path / "prices.results.csv"
    path.write_text("mine\n")
    for guessed in (False, True):
        said = exported(store, address, batch, path, guessed=guessed)
        assert said == [
            f"warning: {path} is not this batch's file: it stays as it is",
            f"exported {tmp_path / 'prices.results-2.csv'} ({THREE})",
        ]
    assert path.read_text() == "mine\n"
    assert len(list(tmp_path.glob("prices*"))) == 2, "the second export took another name"


def test_fewer_jobs_in_the_place_of_more_are_reported(
    store: Store, address: str, tmp_path: Path
) -> None:
    batch, path = finished(store), tmp_path / "results.csv"
    exported(store, address, batch, path)
    said = exported(store, address, batch, path, only=["failed"])
    assert said[1] == f"warning: {path} had 3 jobs before and has 1 now"
    assert len(exported(store, address, batch, path)) == 1


def test_a_kill_before_or_after_the_new_file_takes_its_place_leaves_one_that_is_known(
    store: Store, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, path = finished(store), tmp_path / "results.csv"
    exported(store, address, batch, path)
    before, replace = path.read_bytes(), os.replace

    def killed(*paths: Any) -> None:
        raise KeyboardInterrupt

    def killed_after(*paths: Any) -> None:
        replace(*paths)
        raise KeyboardInterrupt

    for kill, kept in ((killed, True), (killed_after, False)):
        monkeypatch.setattr(os, "replace", kill)
        with pytest.raises(KeyboardInterrupt):
            exported(store, address, batch, path, only=["succeeded"])
        monkeypatch.setattr(os, "replace", replace)
        assert (path.read_bytes() == before) is kept
        check_files(store, address, owner_of(batch), [target(path)], overwrite=False)


def test_a_moved_folder_keeps_its_files(tmp_path: Path) -> None:
    address = str(tmp_path / "moved.db")
    with quick_migrations():
        store = Store(Database.open(address))
    batch = finished(store)
    path = tmp_path / "results.csv"
    exported(store, address, batch, path)
    moved = tmp_path / "moved"
    moved.mkdir()
    (moved / "results.csv").write_bytes(path.read_bytes())
    owner = owner_of(batch)
    check_files(
        store, str(moved / "ledger.db"), owner, [target(moved / "results.csv")], overwrite=False
    )
    with pytest.raises(UsageError):
        check_files(store, address, owner, [target(moved / "results.csv")], overwrite=False)
    store.close()


def test_a_file_of_a_version_that_remembered_nothing_is_known_by_its_runs(
    store: Store, address: str, tmp_path: Path
) -> None:
    batch = finished(store)
    for name in ("old.csv", "old.jsonl"):
        path = tmp_path / name
        format = path.suffix[1:]
        export_batch(store, address, batch, Target(path=str(path), format=format))
        os.utime(path, (NOW.timestamp(), NOW.timestamp()))
        store.write(lambda tx: tx.exec_driver_sql("DELETE FROM exports"))
        check_files(store, address, owner_of(batch), [target(path)], overwrite=False)
        nobody = FileOwner(batch_id=None)
        with pytest.raises(UsageError):
            check_files(store, address, nobody, [target(path)], overwrite=False)
        path.write_text(path.read_text().replace("run-", "ran-"))
        with pytest.raises(UsageError):
            check_files(store, address, owner_of(batch), [target(path)], overwrite=False)


def test_editions_of_a_series_replace_each_others_file(
    store: Store, address: str, tmp_path: Path
) -> None:
    first, path = finished(store), tmp_path / "prices.csv"
    exported(store, address, first, path)
    mark = "UPDATE batches SET series = 'prices', edition = '2026-12-01'"
    store.write(lambda tx: tx.exec_driver_sql(mark))
    second = FileOwner(batch_id=None, series="prices")
    check_files(store, address, second, [target(path)], overwrite=False)
    with pytest.raises(UsageError, match="batch 'prices' wrote it"):
        check_files(store, address, FileOwner(batch_id=7), [target(path)], overwrite=False)


def test_a_trial_in_the_sandbox_does_not_stop_the_run_that_follows(tmp_path: Path) -> None:
    real, trial = str(tmp_path / "batchrunner.db"), str(tmp_path / "batchrunner.sandbox.db")
    path = tmp_path / "results.csv"
    with quick_migrations():
        stores = [Store(Database.open(address)) for address in (trial, real)]
    tried, batch = (finished(store, count=at) for at, store in enumerate(stores, 4))
    exported(stores[0], trial, tried, path)
    (said,) = exported(stores[1], real, batch, path)
    assert said.startswith(f"exported {path} (4 of 5 jobs")
    with pytest.raises(UsageError):
        check_files(stores[0], trial, owner_of(tried), [target(path)], overwrite=False)
    exported(stores[0], trial, tried, path, overwrite=True)
    path.write_text(path.read_text() + "mine")
    with pytest.raises(UsageError):
        check_files(stores[1], real, owner_of(batch), [target(path)], overwrite=False)
    for store in stores:
        store.close()


def test_a_misspelt_path_is_refused_and_a_new_one_is_an_empty_column(
    store: Store, address: str, tmp_path: Path
) -> None:
    batch, path = finished(store), tmp_path / "results.csv"
    with pytest.raises(UsageError, match=r"no result has result\.prise") as refused:
        exported(store, address, batch, path, columns=["id,result.prise"])
    assert refused.value.next == "did you mean result.price?"
    assert not path.exists()
    with pytest.raises(UsageError, match="there is no column 'URL'") as refused:
        exported(store, address, batch, path, columns=["id,URL"])
    assert refused.value.next == "write url"
    said = exported(store, address, batch, path, columns=["id,result.discount"])
    assert "warning: no result has result.discount: the column is empty" in said
    said = exported(store, address, batch, path, explode="result.offers")
    assert said[-1] == (
        "warning: no result has a list at result.offers, the path of --explode: each job is one "
        "row; no result that was searched has any list"
    )


def test_a_misspelt_path_to_explode_is_answered_with_the_paths_of_the_lists(
    store: Store, address: str, tmp_path: Path
) -> None:
    batch = begin(store, 2)
    result = {"offers": [{"tags": []}], "of": {"images": ["x"]}, "text": '["in a text"]', "n": 1}
    done = [success(each, json.dumps(result)) for each in start(store, batch)]
    apply_poll(store, "alice", done, [], after(1))
    said = exported(store, address, batch, tmp_path / "a.csv", explode="result.offer")
    assert "no result has a list at result.offer, the path of --explode" in said[-1]
    assert said[-1].endswith(
        "did you mean result.offers? there are lists at result.offers, result.offers.tags, "
        "result.of.images, result.text"
    )
    said = exported(store, address, batch, tmp_path / "a.csv", explode="result.offers.tags")
    assert not any("explode" in line for line in said)


def test_a_file_of_failed_jobs_may_be_run_and_one_of_good_jobs_is_found_in_its_batch(
    store: Store,
) -> None:
    finished(store)
    failed, good = (job_file([spec(key)], name="again") for key in ("job-3", "job-1"))
    assert store.read(holdings, FileSample.of(failed), None) == ()
    (found,) = store.read(holdings, FileSample.of(good), None)
    assert found.batch == "prices"


def test_links_that_form_a_loop_are_no_mistake_of_the_program(
    store: Store, address: str, tmp_path: Path
) -> None:
    path = tmp_path / "loop.csv"
    path.symlink_to(path)
    assert export_batch(store, address, finished(store), target(path)).jobs == 3
    assert path.read_text().startswith("id,url,")


# ---- files that no export may ever replace ----


def link(path: Path, to: Path) -> Path:
    os.link(to, path)
    return path


def symlink(path: Path, to: Path) -> Path:
    path.symlink_to(to)
    return path


@pytest.mark.parametrize("make", [link, symlink, lambda path, to: to])
def test_inputs_and_the_database_are_kept_by_whatever_name(
    tmp_path: Path, make: Callable[[Path, Path], Path]
) -> None:
    database, table = tmp_path / "b.db", tmp_path / "pairs.csv"
    for number, kept in enumerate((database, table)):
        kept.write_text("content")
        path = make(tmp_path / f"other-{number}.csv", kept)
        with pytest.raises(UsageError, match="is in use"):
            check_outputs([str(path)], "csv", kept_files(str(database), [table]))
    for end in ("-journal", "-wal", "-shm"):
        for name in (f"b.db{end}", f"B.DB{end}"):
            with pytest.raises(UsageError, match="is in use"):
                check_outputs([str(tmp_path / name)], "csv", kept_files(str(database)))


def test_two_outputs_that_lead_to_one_file_are_refused(tmp_path: Path) -> None:
    one, other = str(tmp_path / "a.csv"), str(tmp_path / "A.csv")
    with pytest.raises(UsageError, match="lead to one file"):
        check_outputs([one, other])
    assert len(check_outputs([one, one])) == 1


def test_the_inputs_of_a_batch_are_kept_by_its_database(
    store: Store, address: str, tmp_path: Path
) -> None:
    table = tmp_path / "pairs.csv"
    table.write_text("url\nhttps://shop.example/1\n")
    begin(store, 1)
    file = job_file(1)
    file = type(file)(**{**_fields(file), "sources": (SourceFile(path=str(table), digest="0"),)})
    batch = store.write(loading.load_jobs, file, NOW).batch
    with pytest.raises(UsageError, match="is in use"):
        handle(store, batch, address).export(table, overwrite=True)
