"""The commands of the page on backups, in the middle of a batch."""

from __future__ import annotations

import re
import shutil
import sqlite3
import stat
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from batchrunner.app.open_database import CHECK_SECONDS
from batchrunner.store.attempts import apply_poll, runs_in_flight
from batchrunner.store.health import consistency_errors, integrity_errors
from batchrunner.store.reports import batch_counts
from batchrunner.store.store import Store
from tests.fakes import NOW, begin, start, success

PAGE = Path(__file__).parents[2] / "docs" / "backup.md"


def shell_blocks() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.DOTALL)


def test_the_commands_copy_and_restore_a_database_in_the_middle_of_a_batch(
    tmp_path: Path,
) -> None:
    if shutil.which("sqlite3") is None:
        pytest.skip("there is no sqlite3 program")
    *copying, restoring = shell_blocks()
    path = tmp_path / "batchrunner.db"
    with closing(Store.open(str(path))) as store:
        batch = begin(store, 40, concurrency=20)
        attempts = start(store, batch)
        for block in copying:
            subprocess.run(["sh", "-ec", block], cwd=tmp_path, check=True)
        apply_poll(store, "alice", [success(each) for each in attempts], [], NOW)
        assert not store.read(runs_in_flight, "alice", batch.id)
    copies = [tmp_path / "backup.db", tmp_path / "vacuumed.db"]
    assert [stat.S_IMODE(copy.stat().st_mode) for copy in copies] == [0o600, 0o600]
    for copy in copies:
        with closing(Store.open(str(copy))) as store:
            assert len(store.read(runs_in_flight, "alice", batch.id)) == 20
            assert store.read(batch_counts, batch.id).total == 40
    subprocess.run(["sh", "-ec", restoring], cwd=tmp_path, check=True)
    with closing(Store.open(str(path))) as store:
        assert len(store.read(runs_in_flight, "alice", batch.id)) == 20
        assert not store.read(integrity_errors, thorough=True)
        assert not store.read(consistency_errors)


def test_a_copy_waits_for_a_runner_that_writes(tmp_path: Path) -> None:
    if shutil.which("sqlite3") is None:
        pytest.skip("there is no sqlite3 program")
    path = tmp_path / "batchrunner.db"
    with closing(Store.open(str(path))) as store:
        begin(store, 3)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        copying = subprocess.Popen(["sh", "-ec", shell_blocks()[0]], cwd=tmp_path)
        with pytest.raises(subprocess.TimeoutExpired):
            copying.wait(timeout=0.5)
        writer.execute("COMMIT")
        assert copying.wait(timeout=60) == 0
    assert subprocess.run(["sh", "-ec", shell_blocks()[2]], cwd=tmp_path).returncode == 0


def test_the_check_of_a_copy_refuses_an_empty_file(tmp_path: Path) -> None:
    if shutil.which("sqlite3") is None:
        pytest.skip("there is no sqlite3 program")
    (tmp_path / "backup.db").touch()
    assert subprocess.run(["sh", "-ec", shell_blocks()[2]], cwd=tmp_path).returncode != 0


def test_the_numbers_are_those_of_the_code() -> None:
    assert f"after {CHECK_SECONDS:g} seconds" in PAGE.read_text(encoding="utf-8")
