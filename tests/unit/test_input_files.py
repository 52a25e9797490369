"""Files that have no end, or that nobody fills, are refused at once and are not read whole."""

from __future__ import annotations

import io
import os
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from batchrunner.app.api_key import api_key
from batchrunner.app.input_file import read_input_file
from batchrunner.app.load import read_job_file
from batchrunner.errors import BatchrunnerError, CannotContinue, UsageError
from batchrunner.inputs.source import MAX_BYTES


def named_pipe(path: Path) -> None:
    os.mkfifo(path)


def socket_file(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def link_to_zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


SPECIAL: dict[str, tuple[Callable[[Path], None], str]] = {
    "zeros": (link_to_zeros, "is a device"),
    "nothing": (lambda path: path.symlink_to("/dev/null"), "is a device"),
    "named pipe": (named_pipe, "is a named pipe"),
    "socket": (socket_file, "is a socket"),
    "folder": (Path.mkdir, "is a folder"),
}


@pytest.mark.parametrize(("make", "kind"), SPECIAL.values(), ids=SPECIAL)
def test_what_is_no_file_is_refused_as_a_job_file_and_as_a_key_file(
    tmp_path: Path, make: Callable[[Path], None], kind: str
) -> None:
    path = tmp_path / "f"
    make(path)
    with pytest.raises(UsageError, match=kind):
        read_job_file(path)
    with pytest.raises(CannotContinue, match=kind):
        api_key(str(path))


def test_a_file_that_is_too_large_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "jobs.yaml"
    path.touch()
    os.truncate(path, 100 * 1024**3)  # without a block on the disk
    with pytest.raises(UsageError, match="nothing but NUL bytes"):
        read_job_file(path)
    assert len(read_input_file(path)) == MAX_BYTES + 1
    with pytest.raises(CannotContinue, match="has more than 4096 bytes"):
        api_key(str(path))


def test_a_job_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "jobs.yaml"
    path.write_bytes(b"- url: https://shop.example/1\n" + b"# more\n" * (MAX_BYTES // 7))
    with pytest.raises(UsageError, match="larger than 64 MB"):
        read_job_file(path)


def test_standard_input_without_an_end_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/zero", "rb") as zeros:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(zeros))
        with pytest.raises(BatchrunnerError, match="has more than 4096 bytes"):
            api_key("-")


def test_a_pipe_of_the_shell_is_read(tmp_path: Path) -> None:
    # As `batchrunner run <(make-jobs) --api-key-file <(pass show key)`.
    reading, writing = os.pipe()

    def write() -> None:
        with open(writing, "wb") as file:
            file.write(b"- {url: 'https://shop.example/1', ")
            file.flush()
            file.write(b"goal: Read}\n")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert len(read_job_file(Path(f"/dev/fd/{reading}")).specs) == 1
    finally:
        writer.join()
        os.close(reading)


def test_a_key_in_a_pipe_of_the_shell_is_read() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"sk-a-key\n")
    os.close(writing)
    try:
        assert api_key(f"/dev/fd/{reading}") == "sk-a-key"
    finally:
        os.close(reading)


def test_a_name_with_its_accents_apart_is_a_name_as_any_other(tmp_path: Path) -> None:
    path = tmp_path / "pru\u0308fung.yaml"
    path.write_text("- {url: 'https://shop.example/1', goal: Read}")
    assert read_job_file(path).name == "pr\u00fcfung"


def test_a_misspelt_variable_of_the_key_is_named_and_its_value_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TINYFISH_API_KEY", raising=False)
    monkeypatch.setenv("TINYFISH_APIKEY", "sk-secret")
    with pytest.raises(CannotContinue, match="TINYFISH_APIKEY is set: did you mean") as caught:
        api_key(None)
    assert "sk-secret" not in str(caught.value)
