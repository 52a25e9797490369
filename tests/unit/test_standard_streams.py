"""Standard streams that are lost or stand still: what is written to them, and who learns of it."""

from __future__ import annotations

import fcntl
import io
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchrunner.app.binary_stdout import binary_stdout
from batchrunner.cli.exit_codes import READER_GONE, ShownError, exit_code_of_error
from batchrunner.cli.standard_streams import (
    ReaderGone,
    finish_messages,
    go_on_without_output,
    guard_standard_streams,
)
from batchrunner.errors import CannotContinue

#: The streams of a test, which Python would keep in sys.__stdout__ and sys.__stderr__.
MADE: list[io.TextIOWrapper] = []


def gone() -> io.TextIOWrapper:
    """A pipe whose reader has ended."""
    ours, theirs = os.pipe()
    os.close(ours)
    return _text(theirs)


def _text(descriptor: int) -> io.TextIOWrapper:
    stream = io.TextIOWrapper(io.BufferedWriter(io.FileIO(descriptor, "w")))
    MADE.append(stream)
    return stream


def full() -> io.TextIOWrapper:
    return _text(os.open("/dev/full", os.O_WRONLY))


LOST = pytest.mark.parametrize("lost", [gone, full, lambda: None], ids=["gone", "full", "closed"])


@pytest.fixture(autouse=True)
def streams(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put the streams back, and let those of the test go."""
    monkeypatch.setattr("batchrunner.cli.standard_streams._STYLED", {})
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, getattr(sys, name))
    yield
    while MADE:
        MADE.pop().close()


def guarded(monkeypatch: pytest.MonkeyPatch, **given: io.TextIOWrapper | None) -> None:
    for name, stream in given.items():
        monkeypatch.setattr(sys, name, stream)
    guard_standard_streams()


@LOST
def test_messages_that_nobody_can_read_are_dropped(
    lost: type[io.TextIOWrapper], monkeypatch: pytest.MonkeyPatch
) -> None:
    guarded(monkeypatch, stderr=lost())
    for _ in range(3):
        sys.stderr.write("a message\n")
    finish_messages()


def test_a_terminal_that_stands_still_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.pipe()
    fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, 4096)
    monkeypatch.setattr("batchrunner.cli.standard_streams.LAST_MESSAGES_SECONDS", 0.0)
    guarded(monkeypatch, stderr=_text(theirs))
    sys.stderr.buffer.raw.file.patience = 0.01  # type: ignore[attr-defined]
    for _ in range(100):
        sys.stderr.write("x" * 999 + "\n")  # 100 KB into 4 KB
    finish_messages()
    read = bytearray()
    while len(read) < 100_000:  # its reader goes on, and nothing is missing
        read += os.read(ours, 65536)
    os.close(ours)
    assert read == (b"x" * 999 + b"\n") * 100


def test_a_pipe_that_another_program_made_non_blocking_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    guarded(monkeypatch, stdout=_text(theirs))
    read = bytearray()

    def take() -> None:
        while len(read) < 300_000:
            read.extend(os.read(ours, 65536))

    reader = threading.Thread(target=take)
    reader.start()
    sys.stdout.write("x" * 300_000)
    sys.stdout.flush()
    reader.join(60)
    os.close(ours)
    assert len(read) == 300_000


@LOST
def test_output_that_is_lost_is_an_error_once(
    lost: type[io.TextIOWrapper], monkeypatch: pytest.MonkeyPatch
) -> None:
    guarded(monkeypatch, stdout=lost())
    with pytest.raises(CannotContinue, match="standard output cannot be written") as caught:
        sys.stdout.write("a line\n")
    sys.stdout.write("another\n")
    assert isinstance(caught.value, ReaderGone) is (lost is gone)


def test_a_reader_that_has_seen_enough_is_a_code_and_no_message() -> None:
    error = ReaderGone("no")
    shown = io.StringIO()
    ShownError(error).show(shown)
    assert (exit_code_of_error(error), shown.getvalue()) == (READER_GONE, "")


@LOST
def test_a_command_that_works_goes_on_without_output(
    lost: type[io.TextIOWrapper], monkeypatch: pytest.MonkeyPatch
) -> None:
    guarded(monkeypatch, stdout=lost())
    go_on_without_output()
    sys.stdout.write("a line\n")
    with pytest.raises(CannotContinue), binary_stdout() as file:
        file.write(b"a result")
    sys.stdout.write("a line\n")


def test_what_a_terminal_cannot_show_is_spelled_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with (tmp_path / "out").open("w", encoding="ascii", errors="strict") as out:
        guarded(monkeypatch, stdout=out)
        sys.stdout.write("1 · 日\n")
    assert (tmp_path / "out").read_text() == "1 \\xb7 \\u65e5\n"
