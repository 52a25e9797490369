"""An exception that nobody expected: its code, its two lines, and its report without any value."""

from __future__ import annotations

import stat
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchrunner import __main__, crash_report
from batchrunner.crash_report import describe, report_crash

SECRET = "sk-tinyfish-0123456789"
ARGV = ["batchrunner", "run", "jobs.yaml", "--api-url", f"https://me:{SECRET}@h", f"--db={SECRET}"]


@pytest.fixture(autouse=True)
def program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Keep what the program sets for its whole life to the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BATCHRUNNER_DB", raising=False)
    for owner, name in ((threading, "excepthook"), (sys, "unraisablehook")):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    for name in ("_end_on_signals", "guard_standard_streams", "finish_messages"):
        monkeypatch.setattr(f"batchrunner.cli.program.{name}", lambda: None)
    monkeypatch.setattr("logging.basicConfig", lambda **_: None)
    with warnings.catch_warnings():
        yield


def boom(*_: object, **__: object) -> int:
    result = SECRET
    raise ValueError(f"the result was {result}")


def grouped(*_: object, **__: object) -> int:
    try:
        boom()
    except ValueError as error:
        raise BaseExceptionGroup("a task", [ExceptionGroup("another", [error])]) from error
    return 0


def deep(*_: object, **__: object) -> int:
    return deep()


def no_memory(*_: object, **__: object) -> int:
    raise MemoryError


def run_main(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["batchrunner", *argv])
        with pytest.raises(SystemExit) as ended:
            __main__.main()
    said = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, said.out + said.err


@pytest.mark.parametrize(
    ("crash", "kind"),
    [
        (boom, "ValueError"),
        (grouped, "ValueError"),
        (deep, "RecursionError"),
        (no_memory, "MemoryError"),
    ],
)
def test_an_unexpected_exception_is_code_70_two_lines_and_a_report(
    crash: object,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr("batchrunner.app.status.status_of", crash, raising=False)
    monkeypatch.setattr("batchrunner.cli.cli.main", crash)
    code, said = run_main(capsys, "status", "--db", "gone/x.db", SECRET)
    assert code == 70
    assert len(said.splitlines()) == 2
    assert said.startswith(f"error: something unexpected happened in batchrunner ({kind})\n")
    path = Path(said.split("the report ")[1].split(" has no key")[0])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    path.unlink()
    assert "tests/unit/test_crash_report.py:" in text
    assert "command: status --db" in text
    assert "python: 3." in text
    assert len(text) < 10_000
    assert SECRET not in text + said.replace(str(path), "")
    assert "Traceback" not in said


def test_the_report_is_beside_the_database_and_else_among_temporary_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = ValueError(SECRET)
    assert report_crash(error, ["batchrunner"], {"BATCHRUNNER_DB": f"{tmp_path}/x.db"}) == 70
    (report,) = tmp_path.glob("batchrunner-report-*.txt")
    assert str(report) in capsys.readouterr().err
    assert report_crash(error, ["batchrunner", "--db", "/nonexistent/x.db"], {}) == 70
    elsewhere = Path(capsys.readouterr().err.split("the report ")[1].split(" has no key")[0])
    elsewhere.unlink()
    assert elsewhere.parent != tmp_path


def test_no_report_can_be_written_and_the_code_stays(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(crash_report, "_folders", lambda *_: iter(["/nonexistent"]))
    monkeypatch.setattr(sys, "stderr", None)
    assert report_crash(ValueError(), ["batchrunner"], {}) == 70


def test_a_broken_installation_is_reported_as_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "batchrunner.cli.program", None)  # cannot be imported
    code, said = run_main(capsys, "status")
    assert code == 70
    assert "(ModuleNotFoundError)" in said


def test_ctrl_c_during_the_start_is_a_code_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("batchrunner.cli.program.run_program", interrupted)
    assert run_main(capsys, "status") == (130, "")


def test_a_thread_that_crashes_is_reported_and_the_program_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def command(*_: object, **__: object) -> int:
        thread = threading.Thread(target=boom)
        thread.start()
        thread.join()
        return 0

    monkeypatch.setattr("batchrunner.cli.cli.main", command)
    code, said = run_main(capsys, "status")
    assert code == 0
    assert "(ValueError)" in said
    assert "Traceback" not in said
    (report,) = tmp_path.glob("batchrunner-report-*.txt")
    assert SECRET not in report.read_text()


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (None, 0), (6, 6), ("no", 1)])
def test_the_exit_code_of_a_command_stays(
    code: object,
    expected: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def command(*_: object, **__: object) -> int:
        raise SystemExit(code)

    monkeypatch.setattr("batchrunner.cli.cli.main", command)
    assert run_main(capsys, "run") == (expected, "")


def test_names_of_programs_are_told_and_what_a_user_wrote_is_not() -> None:
    errors = [ImportError("no module named x"), OSError(28, SECRET, SECRET), KeyError(SECRET)]
    text = "\n".join(line for error in errors for line in describe(error, ARGV))
    assert "no module named x" in text
    assert "OSError: 28" in text
    assert "command: run --api-url --db" in text
    assert SECRET not in text
