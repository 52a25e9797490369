"""A standard output that is closed or full: a sentence and a code."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.e2e.programs import PROCESS_SECONDS, PROGRAM, Ended, environment


def redirected(how: str, *args: str | Path, cwd: Path) -> Ended:
    """Run a command whose standard streams a shell has redirected."""
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {how}', "sh", *PROGRAM, *map(str, args)],
        cwd=cwd,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PROCESS_SECONDS,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("how", "why"),
    [
        (">/dev/full", "No space left on device"),
        pytest.param(">&-", "it is closed", marks=pytest.mark.sweep),
    ],
)
def test_a_lost_standard_output_is_one_sentence_and_a_code(
    finished: Path, how: str, why: str
) -> None:
    for args in (["export", "--format", "csv"], ["--help"]):
        ended = redirected(how, *args, cwd=finished)
        assert ended.code == 3, args
        first, tip = ended.err.splitlines()
        assert first == f"error: standard output cannot be written: {why}"
        assert tip.startswith("  tip: ")


@pytest.mark.sweep
def test_a_refusal_without_a_standard_error_keeps_its_code(tmp_path: Path) -> None:
    assert redirected("2>&-", "status", "--db", "gone.db", cwd=tmp_path).code == 3
