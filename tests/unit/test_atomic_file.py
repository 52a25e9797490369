from __future__ import annotations

import errno
import io
import os
import signal
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from batchrunner.app.atomic_file import replace_when_complete
from batchrunner.app.binary_stdout import binary_stdout
from batchrunner.app.clock import now


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def writer(*parts: bytes) -> Callable[[IO[bytes]], int]:
    """Return a function that writes *parts*, and returns how many there were."""

    def write(file: IO[bytes]) -> int:
        file.writelines(parts)
        return len(parts)

    return write


def test_a_new_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    assert replace_when_complete(path, writer(b"a\n", b"\xff\r\n")) == 2
    assert path.read_bytes() == b"a\n\xff\r\n"
    assert mode_of(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_replaced_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old, and longer")
    path.chmod(0o640)
    replace_when_complete(path, writer(b"new"))
    assert path.read_text() == "new"
    assert mode_of(path) == 0o640


def test_no_bytes_make_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    assert replace_when_complete(path, writer()) == 0
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    "error", [ValueError("bad row"), OSError(errno.EIO, "database"), KeyboardInterrupt()]
)
def test_a_failure_half_way_leaves_the_old_file(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")

    def fail(file: IO[bytes]) -> None:
        file.write(b"half\n")
        raise error

    with pytest.raises(type(error)) as caught:
        replace_when_complete(path, fail)
    assert caught.value is error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_file_is_whole_until_the_new_one_is(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")

    def write(file: IO[bytes]) -> None:
        for _ in range(3):
            file.write(b"x" * 100_000)
            assert path.read_text() == "old"

    replace_when_complete(path, write)
    assert path.stat().st_size == 300_000


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real = tmp_path / "elsewhere" / "real.csv"
    real.parent.mkdir()
    real.write_text("old")
    link = tmp_path / "out.csv"
    link.symlink_to(real)
    replace_when_complete(link, writer(b"new"))
    assert link.is_symlink()
    assert real.read_text() == "new"


def test_a_link_to_nothing_yet_makes_what_it_names(tmp_path: Path) -> None:
    link = tmp_path / "out.csv"
    link.symlink_to("real.csv")
    replace_when_complete(link, writer(b"new"))
    assert link.is_symlink()
    assert (tmp_path / "real.csv").read_text() == "new"


def test_a_missing_folder_is_named_by_the_path_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "out.csv"
    with pytest.raises(FileNotFoundError) as caught:
        replace_when_complete(path, writer(b"x"))
    assert caught.value.filename == str(path)


def test_a_folder_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError) as caught:
        replace_when_complete(tmp_path, writer(b"x"))
    assert caught.value.filename == str(tmp_path)


@pytest.mark.parametrize("data", [b"x", b"x" * 1_000_000])
def test_a_full_disk_is_said_with_the_file_name(data: bytes) -> None:
    with pytest.raises(OSError, match="/dev/full") as caught:
        replace_when_complete(Path("/dev/full"), writer(data))
    assert caught.value.errno == errno.ENOSPC


def test_a_file_that_may_not_grow_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")
    child = os.fork()
    if child == 0:
        os._exit(_write_within_a_limit(path))
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def _write_within_a_limit(path: Path) -> int:
    import resource
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
    try:
        replace_when_complete(path, writer(b"x" * 50_000, b"x" * 50_000))
    except OSError as error:
        return 0 if (error.errno, error.filename) == (errno.EFBIG, str(path)) else 1
    return 2


def test_a_pipe_is_written_to_as_it_is(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    thread = threading.Thread(target=replace_when_complete, args=(pipe, writer(b"a\n", b"b\n")))
    thread.start()
    assert pipe.read_text() == "a\nb\n"
    thread.join()
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_device_stays_a_device() -> None:
    assert replace_when_complete(Path(os.devnull), writer(b"x")) == 1
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_bytes_reach_a_standard_output_that_takes_only_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stdout", shown)
    with binary_stdout() as file:
        file.write("é".encode()[:1])
        file.write("é".encode()[1:])
    assert shown.getvalue() == "é"


# ---- what a killed export left ----


def killed_while_writing(path: Path) -> Path:
    """Let a process die while it writes *path*; return what it left."""
    before = set(path.parent.iterdir())
    if (child := os.fork()) == 0:
        replace_when_complete(path, lambda file: os.kill(os.getpid(), signal.SIGKILL))
        os._exit(0)
    os.waitpid(child, 0)
    (left,) = set(path.parent.iterdir()) - before
    return left


@pytest.mark.parametrize("name", ["out.csv", "x" * 250 + ".csv", "ü b.jsonl"])
def test_the_next_export_of_a_file_removes_what_a_killed_one_left(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    for _ in range(2):
        killed_while_writing(path)
    replace_when_complete(path, writer(b"whole"))
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_what_belongs_to_others_or_is_written_just_now_stays(tmp_path: Path) -> None:
    path, other = tmp_path / "out.csv", tmp_path / "other.csv"
    left = killed_while_writing(other)
    theirs = [tmp_path / ".batchrunner-notes", tmp_path / f"{left.name}x", tmp_path / ".out.csv"]
    for each in theirs:
        each.write_text("mine")
    link = tmp_path / f"{left.name[:-8]}deadbeef"
    link.symlink_to(theirs[0])

    def meanwhile(file: IO[bytes]) -> None:
        (written,) = set(tmp_path.iterdir()) - {left, *theirs, link}
        replace_when_complete(path, writer(b"quicker"))
        assert written.exists()
        file.write(b"whole")

    replace_when_complete(path, meanwhile)
    assert set(tmp_path.iterdir()) == {path, left, *theirs, link}
    assert path.read_bytes() == b"whole"


def test_what_an_earlier_version_left_is_removed_after_a_day(tmp_path: Path) -> None:
    old, fresh = tmp_path / ".batchrunner-abcd_123", tmp_path / ".batchrunner-efgh5678"
    for each in (old, fresh):
        each.touch()
    os.utime(old, times=(now().timestamp() - 90_000,) * 2)
    replace_when_complete(tmp_path / "out.csv", writer(b"whole"))
    assert {each.name for each in tmp_path.iterdir()} == {"out.csv", fresh.name}


def test_a_file_that_another_process_took_for_a_leftover_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, taken = os.open, []

    def removed_before_it_is_locked(path: Path, *args: int) -> int:
        descriptor = real(path, *args)
        if not taken and Path(path).name.startswith(".batchrunner-"):
            taken.append(path)
            os.unlink(path)
        return descriptor

    monkeypatch.setattr(os, "open", removed_before_it_is_locked)
    replace_when_complete(tmp_path / "out.csv", writer(b"whole"))
    assert taken
    assert (tmp_path / "out.csv").read_bytes() == b"whole"
