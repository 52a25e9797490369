from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchrunner.app.atomic_file import replace_when_complete


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def failing(error: BaseException) -> Iterator[str]:
    yield "half\n"
    raise error


def test_a_new_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    assert replace_when_complete(path, ["a\n", "é\r\n"]) == 2
    assert path.read_bytes() == "a\né\r\n".encode()
    assert mode_of(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_replaced_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old, and longer")
    path.chmod(0o640)
    replace_when_complete(path, ["new"])
    assert path.read_text() == "new"
    assert mode_of(path) == 0o640


def test_no_lines_make_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    assert replace_when_complete(path, []) == 0
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    "error", [ValueError("bad row"), OSError(errno.EIO, "database"), KeyboardInterrupt()]
)
def test_a_failure_half_way_leaves_the_old_file(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")
    with pytest.raises(type(error)) as caught:
        replace_when_complete(path, failing(error))
    assert caught.value is error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_file_is_whole_until_the_new_one_is(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")

    def lines() -> Iterator[str]:
        for _ in range(3):
            yield "x" * 100_000
            assert path.read_text() == "old"

    replace_when_complete(path, lines())
    assert path.stat().st_size == 300_000


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real = tmp_path / "elsewhere" / "real.csv"
    real.parent.mkdir()
    real.write_text("old")
    link = tmp_path / "out.csv"
    link.symlink_to(real)
    replace_when_complete(link, ["new"])
    assert link.is_symlink()
    assert real.read_text() == "new"


def test_a_link_to_nothing_yet_makes_what_it_names(tmp_path: Path) -> None:
    link = tmp_path / "out.csv"
    link.symlink_to("real.csv")
    replace_when_complete(link, ["new"])
    assert link.is_symlink()
    assert (tmp_path / "real.csv").read_text() == "new"


def test_a_missing_folder_is_named_by_the_path_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "out.csv"
    with pytest.raises(FileNotFoundError) as caught:
        replace_when_complete(path, ["x"])
    assert caught.value.filename == str(path)


def test_a_folder_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError) as caught:
        replace_when_complete(tmp_path, ["x"])
    assert caught.value.filename == str(tmp_path)


@pytest.mark.parametrize("line", ["x", "x" * 1_000_000])
def test_a_full_disk_is_said_with_the_file_name(line: str) -> None:
    with pytest.raises(OSError, match="/dev/full") as caught:
        replace_when_complete(Path("/dev/full"), [line])
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
        replace_when_complete(path, ["x" * 50_000] * 2)
    except OSError as error:
        return 0 if (error.errno, error.filename) == (errno.EFBIG, str(path)) else 1
    return 2


def test_a_pipe_is_written_to_as_it_is(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=replace_when_complete, args=(pipe, ["a\n", "b\n"]))
    writer.start()
    assert pipe.read_text() == "a\nb\n"
    writer.join()
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_device_stays_a_device() -> None:
    assert replace_when_complete(Path(os.devnull), ["x"]) == 1
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
