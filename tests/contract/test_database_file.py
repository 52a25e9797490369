"""A database file that is damaged, or that is not the one that was opened any more."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from batchrunner.app.open_database import open_store
from batchrunner.app.run_observer import say_nothing
from batchrunner.store.attempts import apply_poll
from batchrunner.store.batch_reads import list_batches
from batchrunner.store.batches import load_jobs
from batchrunner.store.claims import claim_jobs
from batchrunner.store.counter_names import Number, Numbers
from batchrunner.store.counters import NOBODY, add_numbers
from batchrunner.store.damage import Damaged
from batchrunner.store.database import StoreError
from batchrunner.store.database_file import lost_database
from batchrunner.store.health import quick_damage
from batchrunner.store.leases import end_owner, register_owner
from batchrunner.store.reports import finished_jobs
from batchrunner.store.revision import HEAD
from batchrunner.store.store import Store
from tests.fakes import FIRST, NOW, begin, enlist, job_file, owner, start, success

NEVER_PAY = "nothing more is submitted; runs in flight go on"


@pytest.fixture
def path(tmp_path: Path, migrated_file: Path) -> Path:
    path = tmp_path / "ledger.db"
    shutil.copyfile(migrated_file, path)
    return path


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with closing(Store.open(str(path))) as store:
        begin(store, 3)
        yield store


# ---- a file that is lost under a runner ----


def remove(path: Path) -> None:
    path.unlink()


def move(path: Path) -> None:
    path.rename(path.with_name("elsewhere.db"))


def replace_as_an_editor_does(path: Path) -> None:
    new = path.with_name(".ledger.db.swp")
    shutil.copyfile(path, new)
    os.replace(new, path)


def move_and_begin_anew(path: Path) -> None:
    move(path)
    path.touch()


def move_its_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("archive"))


def remove_its_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


def put_a_folder_there(path: Path) -> None:
    path.unlink()
    path.mkdir()


LOSSES = {
    "removed": (remove, r"was removed or moved away while in use.*batchrunner recover jobs.yaml"),
    "moved": (move, r"was moved to \S*/elsewhere.db while in use.*mv -i \S*/elsewhere.db "),
    "replaced": (replace_as_an_editor_does, r"was replaced by another file while in use.*recover"),
    "begun anew": (move_and_begin_anew, r"was replaced by another file.*mv -i \S*/elsewhere.db "),
    "its folder moved": (move_its_folder, r"was moved to \S*/archive/ledger.db while in use"),
    "its folder removed": (remove_its_folder, "was removed or moved away while in use"),
    "a folder in its place": (put_a_folder_there, "was replaced by another file while in use"),
}


@pytest.mark.parametrize(("lose", "said"), LOSSES.values(), ids=LOSSES)
def test_a_file_that_is_lost_is_reported_in_words_and_never_made_again(
    store: Store, path: Path, lose: Callable[[Path], None], said: str
) -> None:
    enlist(store, "alice")
    lose(path)
    before = sorted(path.parent.rglob("*")) if path.parent.exists() else None
    for touch in (
        lambda: store.read(list_batches),
        lambda: store.write(claim_jobs, "alice", FIRST, 100, NOW),
        store.check_file,
    ):
        with pytest.raises(StoreError, match=said) as caught:
            touch()
        assert NEVER_PAY in caught.value.message
        assert not caught.value.passing
    assert (sorted(path.parent.rglob("*")) if path.parent.exists() else None) == before


def test_a_claim_whose_file_is_lost_while_it_is_written_is_not_sent(
    store: Store, path: Path
) -> None:
    enlist(store, "alice")

    def claim(*args: object) -> object:
        claimed = claim_jobs(*args)  # type: ignore[arg-type]
        assert claimed
        path.unlink()
        return claimed

    with pytest.raises(StoreError, match="was removed or moved away"):
        store.write(claim, "alice", FIRST, 100, NOW)


def test_a_link_that_leads_elsewhere_now_is_reported(tmp_path: Path, path: Path) -> None:
    link = tmp_path / "current.db"
    link.symlink_to(path)
    other = tmp_path / "other.db"
    shutil.copyfile(path, other)
    with closing(Store.open(str(link))) as store:
        begin(store, 1)
        link.unlink()
        link.symlink_to(other)
        with pytest.raises(StoreError, match="was replaced by another file"):
            store.read(list_batches)


def test_a_connection_that_is_opened_again_makes_no_new_file(path: Path) -> None:
    with closing(Store.open(str(path))) as store:
        store.close()  # the pool connects again at the next call
        path.unlink()
        with pytest.raises(StoreError, match="was removed or moved away"):
            store.read(list_batches)
    assert not path.exists()


def test_a_disk_that_does_not_answer_is_no_lost_file(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", fail)
        store.check_file()


# ---- the next start ----


@pytest.mark.parametrize(
    "leave",
    [remove, pytest.param(lambda path: path.write_bytes(b""), marks=pytest.mark.sweep)],
    ids=["gone", "empty"],
)
def test_no_new_database_takes_the_place_of_one_that_was_lost(
    path: Path, leave: Callable[[Path], object]
) -> None:
    with closing(open_store(str(path), say_nothing)) as store:
        begin(store, 1)
    leave(path)
    for must_exist in (True, False):
        with pytest.raises(StoreError, match=r"ledger.db-journal .*recover jobs.yaml.*rm /"):
            open_store(str(path), say_nothing, must_exist=must_exist)
    assert not path.exists() or not path.read_bytes()
    with closing(open_store(str(path), say_nothing, after_loss=True)) as store:
        assert store.read(list_batches) == []


def test_a_first_start_that_ended_before_it_wrote_anything_is_simply_repeated(path: Path) -> None:
    journal = path.with_name(f"{path.name}-journal")
    for place, at in ((path, 1_000), (journal, 1_001)):
        place.write_bytes(b"")
        os.utime(place, (at, at))
    with closing(open_store(str(path), say_nothing)) as store:
        assert store.read(list_batches) == []


def test_a_file_that_was_emptied_after_its_last_transaction_was_lost(path: Path) -> None:
    journal = path.with_name(f"{path.name}-journal")
    for place, at in ((path, 1_001), (journal, 1_000)):
        place.write_bytes(b"")
        os.utime(place, (at, at))
    assert lost_database(path) is not None


def test_the_command_that_begins_anew_works_where_it_is_pasted(path: Path) -> None:
    with closing(open_store(str(path), say_nothing)) as store:
        begin(store, 1)
    path.unlink()
    with pytest.raises(StoreError) as caught:
        open_store(str(path), say_nothing)
    command = caught.value.next.rpartition("begin with an empty one: ")[2]
    subprocess.run(command, shell=True, check=True)
    assert lost_database(path) is None


# ---- names ----


def test_a_file_with_two_names_is_refused_with_the_command_that_leaves_one(path: Path) -> None:
    with closing(Store.open(str(path))) as store:
        begin(store, 2)
    other = path.with_name("backup.db")
    os.link(path, other)
    for name in (path, other):
        with pytest.raises(StoreError, match=r"hard link") as caught:
            Store.open(str(name))
        # The name with the journal is the one that was worked with.
        assert caught.value.next.endswith(f"rm {other}")
        assert caught.value.command == f"rm {other}"
    subprocess.run(caught.value.next.rpartition("other: ")[2], shell=True, check=True)
    with closing(Store.open(str(path))) as store:
        assert len(store.read(list_batches)) == 1


def test_a_second_name_in_another_folder_is_refused_too(path: Path, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    os.link(path, tmp_path / "far" / "copy.db")
    with pytest.raises(StoreError, match=r"another name .*find .* -samefile "):
        Store.open(str(path))


def test_a_link_to_nothing_yet_makes_a_file_for_its_owner_only(tmp_path: Path) -> None:
    link, target = tmp_path / "ledger.db", tmp_path / "real.db"
    link.symlink_to("real.db")
    before = os.umask(0)
    try:
        Store.open(str(link)).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert link.is_symlink()


@pytest.mark.parametrize("name", ["a b.db", "50%.db", "what?.db", "a#b.db", "ü.db", "a\nb.db"])
def test_any_name_opens_the_file_of_this_name(
    tmp_path: Path, migrated_file: Path, name: str
) -> None:
    shutil.copyfile(migrated_file, tmp_path / name)
    with closing(Store.open(str(tmp_path / name))) as store:
        begin(store, 1)
    assert sorted(each.name for each in tmp_path.iterdir()) == [name, f"{name}-journal"]


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/null")])
def test_what_is_no_file_is_no_database(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "ledger.db")
    with pytest.raises(StoreError, match=r"is a device, a pipe or a socket"):
        Store.open(str(tmp_path / "ledger.db"))


# ---- damage ----


def killed(path: Path) -> None:
    """Leave an owner with runs in flight, as a runner that was killed does."""
    with closing(Store.open(str(path))) as store:
        batch = begin(store, 200, concurrency=100)
        start(store, batch)


def overwrite_pages(path: Path) -> None:
    with path.open("r+b") as content:
        content.seek(4096 * 3)
        content.write(b"\xa5" * 4096 * 6)


def cut_in_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def drop_a_table(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as program:
        program.execute("DROP TABLE results")


def write_bytes_that_are_no_text(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as program:
        program.execute("UPDATE attempts SET opened_at = CAST(x'ff6b6579ff' AS TEXT) WHERE id = 7")


def contradict(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as program:
        program.execute("UPDATE jobs SET state = 'available', attempt = 9 WHERE id < 5")


def spoil_the_first_page(path: Path) -> None:
    with path.open("r+b") as content:
        content.write(b"\0" * 64)


DAMAGES = {
    "overwritten pages": overwrite_pages,
    "cut off": cut_in_half,
    "a table is gone": drop_a_table,
    "text that is none": write_bytes_that_are_no_text,
    "rows contradict each other": contradict,
    "the first bytes": spoil_the_first_page,
}


@pytest.mark.parametrize("spoil", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_found_at_the_start_after_an_unclean_end(
    path: Path, spoil: Callable[[Path], None]
) -> None:
    killed(path)
    spoil(path)
    with pytest.raises(Damaged, match=r"is damaged: .*backup.*batchrunner recover") as caught:
        open_store(str(path), say_nothing)
    assert NEVER_PAY in caught.value.message
    assert "key" not in caught.value.message.replace("keep", "")


def test_an_unclean_end_without_damage_starts_as_ever(path: Path) -> None:
    killed(path)
    open_store(str(path), say_nothing).close()


def test_wrong_numbers_after_an_unclean_end_are_named_with_what_puts_them_right(
    path: Path,
) -> None:
    killed(path)
    with closing(Store.open(str(path))) as store:
        store.write(add_numbers, FIRST, NOBODY, Numbers({(Number.STEPS, ""): -7}))
    with pytest.raises(StoreError, match="numbers of 'prices'") as caught:
        open_store(str(path), say_nothing)
    assert caught.value.command == f"batchrunner doctor --recount --db {path}"
    assert "damaged" not in caught.value.message


def test_a_clean_end_is_not_checked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Store.open(str(path))) as store:
        start(store, begin(store, 2))
        store.write(end_owner, "alice", NOW)
        assert store.read(quick_damage, 5.0) is None
    contradict(path)
    open_store(str(path), say_nothing).close()  # doctor finds it


def test_a_large_file_is_checked_for_so_long_only(path: Path) -> None:
    killed(path)
    with closing(Store.open(str(path))) as store:
        contradict(path)
        assert store.read(quick_damage, -1.0) is None
        assert store.read(quick_damage, 60.0) is not None
        assert store.read(list_batches)  # nothing interrupts the next call


def empty_it(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("spoil", [overwrite_pages, cut_in_half, drop_a_table, empty_it])
def test_damage_in_the_middle_of_a_run_is_reported_as_such(
    path: Path, spoil: Callable[[Path], None]
) -> None:
    with closing(Store.open(str(path))) as store:
        batch = begin(store, 200, concurrency=100)
        attempts = start(store, batch)
        with closing(sqlite3.connect(path)) as program:
            program.execute("PRAGMA user_version = 1")  # what was cached is read again
        spoil(path)

        def work() -> None:
            store.write(register_owner, owner("bob"), NOW)
            apply_poll(store, "alice", [success(each) for each in attempts], [], NOW)
            store.write(load_jobs, job_file(300), NOW)
            list(finished_jobs(store, batch.id))

        with pytest.raises(Damaged, match=NEVER_PAY):
            work()


def test_text_that_cannot_be_decoded_is_damage_and_is_not_shown(store: Store, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as program:
        program.execute("UPDATE batches SET name = CAST(x'ff7365637265746b6579ff' AS TEXT)")
    with pytest.raises(Damaged, match="is not UTF-8") as caught:
        store.read(list_batches)
    shown = str(caught.value)
    assert "secretkey" not in shown
    assert HEAD not in shown
