"""What stands on a terminal, and what goes where there is none."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from batchrunner.cli import COMMANDS
from tests.e2e.programs import (
    PROCESS_SECONDS,
    PROGRAM,
    batchrunner,
    environment,
    served,
    write_jobs,
)

#: What may move the cursor or set a colour: the display's own sequences, and no others.
OURS = re.compile(r"\x1b\[(?:[0-9;]*m|\?25[lh]|[12]?K|[0-9]*[AG]|[0-9;]*H)")
#: Sets the window's title, rings the bell, clears the screen.
HOSTILE = "\x1b]0;pwned\x07\x1b[2J"
#: Turns the text around.
MISLEADING = "\u202egnp.exe"


def on_a_terminal(*args: str | Path, cwd: Path, env: Mapping[str, str]) -> tuple[int, str]:
    """Run a command on a terminal of its own; return its exit code and all that it wrote."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, *map(str, args)],
        cwd=cwd,
        env=environment(**env),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    written = b""
    try:
        while chunk := _read(ours):
            written += chunk
        return process.wait(PROCESS_SECONDS), written.decode()
    finally:
        process.kill()
        process.wait(PROCESS_SECONDS)
        os.close(ours)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # how a terminal says that nobody writes any more
        return b""


def unsafe(written: str) -> list[str]:
    """Find what steers or misleads a terminal and is not the display's own."""
    return re.findall(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u2028\u202a-\u202e]", OURS.sub("", written))


@pytest.mark.sweep
def test_nothing_in_a_job_steers_the_terminal(tmp_path: Path) -> None:
    urls = ["http://faults.test/agent_failure", "http://shop.test/products/1"]
    with served(tmp_path) as remote:
        for term in ("xterm-256color", "dumb"):
            jobs = write_jobs(tmp_path, urls, goal=f"Read {MISLEADING}", name=term)
            env = {**remote.env, "TERM": term}
            code, written = on_a_terminal("run", jobs, cwd=tmp_path, env=env)
            assert code == 1, written
            assert ("\x1b[" in written) == (term != "dumb")
            assert unsafe(written) == []


@pytest.mark.sweep
def test_a_report_of_mistakes_shows_hostile_text_written_out(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, ["http://shop.test/"], goal=f"{HOSTILE} {MISLEADING}", name="bad")
    hostile = tmp_path / "hostile.yaml"
    hostile.write_text(f"- url: http://shop.test/\n  {HOSTILE}: {MISLEADING}\n")
    for file in (jobs, hostile):
        code, written = on_a_terminal("load", file, cwd=tmp_path, env={})
        assert code == 2, written
        assert unsafe(written) == []


@pytest.mark.sweep
def test_a_live_display_leaves_the_screen_as_it_was(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, ["http://shop.test/products/1"])
    with served(tmp_path) as remote:
        env = {**remote.env, "TERM": "xterm-256color"}
        code, written = on_a_terminal("run", jobs, cwd=tmp_path, env=env)
    assert code == 0
    assert written.count("\x1b[?25l") == written.count("\x1b[?25h") == 1
    assert "1/1" in written
    last = r"\njobs: 1/1 done: 1 succeeded, \d+ steps\r\naudited: no difference [^\n]+\r\n\Z"
    assert re.search(last, written)


@pytest.mark.sweep
def test_without_a_terminal_there_are_plain_lines(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, ["http://shop.test/products/1"])
    with served(tmp_path) as remote:
        env = {**remote.env, "FORCE_COLOR": "", "TERM": "xterm-256color"}
        loud = batchrunner("run", jobs, cwd=tmp_path, env=env)
        quiet_jobs = write_jobs(tmp_path, ["http://shop.test/products/2"], name="quiet")
        quiet = batchrunner("run", quiet_jobs, "-q", cwd=tmp_path, env=env)
    assert "\x1b" not in loud.said
    assert "started 1 run\n" in loud.err
    assert "started" not in quiet.err
    summary, audited = quiet.err.splitlines()[-2:]
    assert summary.startswith("quiet: 1/1 done")
    assert audited.startswith("audited: no difference")


def test_every_command_explains_itself(tmp_path: Path) -> None:
    version = batchrunner("--version", cwd=tmp_path)
    assert re.fullmatch(r"batchrunner, version \d+\.\d+\.\d+\n", version.out)
    assert "Exit codes" in batchrunner("-h", cwd=tmp_path).out
    for name in COMMANDS:
        shown = batchrunner(name, "-h", cwd=tmp_path)
        assert shown.code == 0
        assert shown.out.startswith(f"Usage: batchrunner {name}")
        assert "batchrunner " + name in shown.out.partition("Example")[2]
    typo = batchrunner("statsu", cwd=tmp_path)
    assert typo.code == 2
    assert "Did you mean 'status'?" in typo.err
