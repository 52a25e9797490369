"""`batchrunner doctor` says what would disturb a run, and touches nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import chdir, closing, contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner, Result

from batchrunner.cli import cli
from batchrunner.selftest.sandbox_process import sandbox_process as served_apart
from tests.e2e.programs import (
    CANARY,
    batchrunner,
    environment,
    pages,
    served,
    started,
    wait_until,
    write_jobs,
)
from tests.e2e.test_terminal import on_a_terminal, unsafe


def doctor(
    folder: Path, *args: str | Path, env: Mapping[str, str] | None = None, given: str | None = None
) -> tuple[Result, dict[str, Any]]:
    """Let it look at a folder, in this process; return how it ended, and its checks by name."""
    shown = dict.fromkeys(os.environ.keys() - environment().keys()) | dict(env or {})
    with chdir(folder):
        runner = CliRunner(env=shown)
        ended = runner.invoke(cli, ["doctor", "--json", *map(str, args)], input=given)
    assert ended.stderr == ""
    said = json.loads(ended.stdout)
    assert said["fit"] == (ended.exit_code == 0)
    return ended, {check["check"]: check for check in said["checks"]}


def bad(checks: dict[str, Any]) -> set[str]:
    return {name for name, check in checks.items() if check["mark"] == "bad"}


def whole(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        path.name: (path.read_bytes(), path.stat().st_mode)
        for path in folder.iterdir()
        if path.is_file()
    }


# ---- the database ----


def test_a_good_database_is_ready_and_left_as_it_is(finished: Path) -> None:
    before = whole(finished)
    ended, checks = doctor(finished)
    assert ended.exit_code == 0
    assert bad(checks) == set()
    assert checks["books"]["found"] == "the records agree"
    assert checks["integrity"]["mark"] == checks["mode"]["mark"] == "ok"
    assert "truncate" in checks["journal_mode"]["found"]
    assert "FULL" in checks["journal_mode"]["found"]
    assert whole(finished) == before


def test_without_a_database_it_makes_none(tmp_path: Path) -> None:
    ended, checks = doctor(tmp_path)
    assert ended.exit_code == 0
    assert "the first run makes it" in checks["file"]["found"]
    assert list(tmp_path.iterdir()) == []


def test_another_programs_file_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("Dear diary")
    with closing(sqlite3.connect(tmp_path / "stranger", isolation_level=None)) as stranger:
        stranger.execute("PRAGMA journal_mode = WAL")
        stranger.execute("CREATE TABLE birds (name)")
    before = whole(tmp_path)
    for name, words in (("text", "not an SQLite file"), ("stranger", "another program's")):
        ended, checks = doctor(tmp_path, "--db", name)
        assert (ended.exit_code, bad(checks)) == (3, {"file"})
        assert words in checks["file"]["found"]
    assert whole(tmp_path) == before


def test_a_database_that_was_switched_to_wal_is_bad_until_a_command_switches_it_back(
    finished: Path,
) -> None:
    with closing(sqlite3.connect(finished / "batchrunner.db")) as other:
        other.execute("PRAGMA journal_mode = WAL")
    ended, checks = doctor(finished)
    assert (ended.exit_code, bad(checks)) == (3, {"journal_mode"})
    assert "switched the database to WAL" in checks["journal_mode"]["found"]
    assert checks["journal_mode"]["fix"] == "batchrunner status --db batchrunner.db"
    assert batchrunner("status", "--db", "batchrunner.db", cwd=finished).code == 0
    assert doctor(finished)[0].exit_code == 0


@pytest.mark.parametrize("first", [0, 1, 5])
def test_a_damaged_database_is_bad_whatever_pages_are_overwritten(
    finished: Path, first: int
) -> None:
    with (finished / "batchrunner.db").open("r+b") as file:
        file.seek(first * 4096)
        file.write(b"\x5a" * 4096 * 10)
    ended, checks = doctor(finished)
    assert ended.exit_code == 3
    # What is met first depends on what was stored in those pages.
    assert bad(checks) in ([{"file"}] if first == 0 else [{"integrity"}, {"reading"}])


def test_a_cut_off_database_is_bad(finished: Path) -> None:
    os.truncate(finished / "batchrunner.db", 4096 * 3)
    ended, checks = doctor(finished)
    assert (ended.exit_code, bad(checks)) == (3, {"reading"})
    assert "batchrunner.db is damaged: its pages" in checks["reading"]["found"]


def test_books_that_do_not_add_up_are_bad(finished: Path) -> None:
    with closing(sqlite3.connect(finished / "batchrunner.db", isolation_level=None)) as other:
        other.execute(
            "DELETE FROM results WHERE attempt_id = (SELECT min(attempt_id) FROM results)"
        )
    ended, checks = doctor(finished)
    assert (ended.exit_code, bad(checks)) == (3, {"books"})
    assert "do not agree (1): a success has its result on disk" in checks["books"]["found"]
    assert checks["books"]["fix"] == "cp -p batchrunner.db batchrunner.db.kept"


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        ("UPDATE batches SET settings = 'x'", "settings of row 1 in batches"),
        ("UPDATE jobs SET columns = 'x' WHERE id = 2", "columns of row 2 in jobs"),
        ("UPDATE batches SET sources = 'x'", "sources of row 1 in batches"),
    ],
)
def test_a_cell_that_cannot_be_read_is_named_by_doctor_and_by_who_meets_it(
    finished: Path, statement: str, place: str
) -> None:
    with closing(sqlite3.connect(finished / "batchrunner.db", isolation_level=None)) as other:
        other.execute(statement)
    ended, checks = doctor(finished)
    assert (ended.exit_code, bad(checks)) == (3, {"cells"})
    assert place in checks["cells"]["found"]
    with chdir(finished):
        said = CliRunner().invoke(cli, ["export"])
    assert said.exit_code == 3
    assert place in said.output
    assert "batchrunner doctor" in said.output


def test_a_link_that_leads_to_itself_is_bad(tmp_path: Path) -> None:
    (tmp_path / "batchrunner.db").symlink_to("batchrunner.db")
    ended, checks = doctor(tmp_path)
    assert (ended.exit_code, bad(checks)) == (3, {"file"})
    assert "a link that leads to itself" in checks["file"]["found"]


def test_a_database_of_a_newer_version_is_bad(finished: Path) -> None:
    with closing(sqlite3.connect(finished / "batchrunner.db", isolation_level=None)) as newer:
        newer.execute("UPDATE alembic_version SET version_num = '9999'")
    ended, checks = doctor(finished)
    assert (ended.exit_code, bad(checks)) == (3, {"schema"})
    assert checks["schema"]["fix"] == "pip install -U batchrunner"


def test_a_file_that_others_may_read_is_a_warning_that_its_command_mends(finished: Path) -> None:
    (finished / "batchrunner.db").chmod(0o644)
    ended, checks = doctor(finished)
    assert (ended.exit_code, checks["mode"]["mark"]) == (0, "warning")
    assert checks["mode"]["fix"] == "chmod 600 batchrunner.db"


def test_a_folder_in_which_no_file_can_be_made_is_bad(tmp_path: Path) -> None:
    ended, checks = doctor(tmp_path, "--db", "/proc/none.db")
    assert (ended.exit_code, "file" in bad(checks)) == (3, True)
    assert "no file can be made in /proc" in checks["file"]["found"]
    ended, checks = doctor(tmp_path, "--db", "none/none.db")
    assert (ended.exit_code, "file" in bad(checks)) == (3, True)
    assert str(tmp_path / "none") in checks["file"]["fix"]
    ended, checks = doctor(tmp_path, "--db", tmp_path)
    assert (ended.exit_code, "file" in bad(checks)) == (3, True)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_read_only_folder_is_bad(finished: Path) -> None:
    finished.chmod(0o500)
    try:
        ended, checks = doctor(finished)
    finally:
        finished.chmod(0o700)
    assert (ended.exit_code, bad(checks)) == (3, {"file"})


def test_a_journal_that_a_crash_left_is_undone_and_one_that_stands_alone_is_bad(
    finished: Path,
) -> None:
    half = sqlite3.connect(finished / "batchrunner.db", isolation_level=None)
    half.execute("PRAGMA cache_size = 1")
    half.execute("BEGIN IMMEDIATE")
    half.execute("UPDATE jobs SET goal = goal || hex(zeroblob(4000))")
    crashed = finished.parent / "crashed"
    shutil.copytree(finished, crashed)
    half.close()
    assert (crashed / "batchrunner.db-journal").stat().st_size > 0
    ended, checks = doctor(crashed)
    assert (ended.exit_code, checks["journal"]["mark"]) == (0, "ok")
    shutil.copy(finished / "batchrunner.db", finished / "batchrunner.db-journal")
    (finished / "batchrunner.db").unlink()
    ended, checks = doctor(finished)
    assert (ended.exit_code, bad(checks)) == (3, {"journal"})


# ---- the API ----


@contextmanager
def answering(status: int, body: str, date: str | None = None) -> Iterator[str]:
    """Give the address of a server that answers everything with this."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(status)
            if date:
                self.send_header("Date", date)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answering)
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.sweep
def test_the_api_is_asked_once_for_nothing_that_costs(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(f"{CANARY}\n")
    with served_apart(tmp_path) as remote:
        ways: list[tuple[list[str | Path], dict[str, str], str | None, str]] = [
            ([], remote.env, None, "from TINYFISH_API_KEY"),
            (["--api-url", remote.url, "--api-key-file", key], {}, None, "from the key file"),
            (["--api-key-file", "-"], {"TINYFISH_BASE_URL": remote.url}, CANARY, "standard input"),
        ]
        for args, env, given, words in ways:
            ended, checks = doctor(tmp_path, *args, env=env, given=given)
            assert ended.exit_code == 0
            assert words in checks["key"]["found"]
            assert remote.url in checks["api"]["found"]
            assert checks["api_clock"]["found"] == "its clock and this machine's agree"
            assert CANARY not in ended.output
        assert remote.created() == 0
    assert CANARY not in "".join([*remote.program.out, *remote.program.err])


REFUSAL = f'{{"error": {{"code": "INVALID_API_KEY", "message": "no such key: {CANARY}"}}}}'


def test_a_wrong_key_is_bad_and_shown_nowhere_even_if_the_api_repeats_it(tmp_path: Path) -> None:
    with answering(401, REFUSAL) as url:
        env = {"TINYFISH_API_KEY": CANARY, "TINYFISH_BASE_URL": url}
        ended, checks = doctor(tmp_path, env=env)
        shown = batchrunner("doctor", cwd=tmp_path, env=env)
    assert (ended.exit_code, bad(checks)) == (3, {"key"})
    assert "refuses the key from TINYFISH_API_KEY (HTTP 401)" in checks["key"]["found"]
    assert CANARY not in ended.output + shown.said
    assert shown.out.splitlines()[-1].startswith("✘ not ready to run: 1 bad")


def test_where_no_api_answers_that_is_bad(tmp_path: Path) -> None:
    key = {"TINYFISH_API_KEY": CANARY}
    ended, checks = doctor(tmp_path, "--api-url", "http://127.0.0.1:9", env=key)
    assert (ended.exit_code, bad(checks)) == (3, {"api"})
    assert "cannot be reached" in checks["api"]["found"]
    with answering(200, "<html>log in</html>") as url:
        ended, checks = doctor(tmp_path, "--api-url", url, env=key)
    assert (ended.exit_code, bad(checks)) == (3, {"api"})
    ended, checks = doctor(tmp_path, "--api-url", f"ftp://{CANARY}@host", env=key)
    assert (ended.exit_code, bad(checks)) == (3, {"address"})
    assert CANARY not in ended.output


def test_a_clock_that_is_far_from_the_apis_is_a_warning(tmp_path: Path) -> None:
    empty = '{"data": [], "pagination": {"total": 0, "next_cursor": null, "has_more": false}}'
    with answering(200, empty, "Wed, 02 Sep 2020 21:00:07 GMT") as url:
        env = {"TINYFISH_API_KEY": CANARY, "TINYFISH_BASE_URL": url}
        ended, checks = doctor(tmp_path, env=env)
    assert (ended.exit_code, checks["api_clock"]["mark"]) == (0, "warning")
    assert "behind this machine's" in checks["api_clock"]["found"]


@pytest.mark.parametrize("content", [None, "", f"{CANARY} two"])
def test_a_key_that_is_none_is_bad_and_not_shown(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / CANARY).write_text(content)
    ended, checks = doctor(tmp_path, "--api-key-file", CANARY)
    assert (ended.exit_code, bad(checks)) == (3, {"key"})
    assert CANARY not in ended.output


# ---- who works ----


@pytest.mark.sweep
def test_status_and_doctor_name_who_works_and_who_has_died(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, pages(4), concurrency=2)
    with served(tmp_path, durations=(60, 60)) as remote:
        with started("run", jobs, cwd=tmp_path, env=remote.env) as runner:
            runner.says("started")
            pid = runner.process.pid

            def working() -> list[Any]:
                found = batchrunner("status", "jobs", "--json", cwd=tmp_path).json()["workers"]
                return [each for each in found if each["in_flight"] == 2]

            (worker,) = wait_until(working, "two runs are in flight")
            assert (worker["pid"], worker["alive"]) == (pid, True)
            assert 0 <= worker["silent_seconds"] < 60
            assert datetime.fromisoformat(worker["since"]).tzinfo == UTC
            line = batchrunner("status", cwd=tmp_path).out.splitlines()[2]
            assert line.startswith(f"  process {pid} on {worker['machine']} since ")
            assert ": 2 runs in flight, last sign of life " in line
            ended, checks = doctor(tmp_path)
            assert ended.exit_code == 0
            assert checks["workers"]["found"].startswith(f"at work: process {pid} on ")
            assert checks["open_work"]["found"] == "open jobs: jobs 4 of 4"
            runner.send(signal.SIGKILL)
            runner.process.wait()
        shown = batchrunner("status", cwd=tmp_path).out
        assert "has died: the next run of the batch takes over its 2 runs in flight" in shown
        ended, checks = doctor(tmp_path)
        assert (ended.exit_code, checks["dead_workers"]["mark"]) == (0, "warning")
        assert "at work: nobody" in checks["workers"]["found"]


# ---- on a terminal ----


@pytest.mark.sweep
def test_on_a_terminal_lines_are_wrapped_and_nothing_steers_it(finished: Path) -> None:
    hostile = "evil\x1b]0;pwned\x07.db"
    (finished / "batchrunner.db").rename(finished / hostile)
    with closing(sqlite3.connect(finished / hostile)) as other:
        other.execute("PRAGMA journal_mode = WAL")
    env = {"TERM": "xterm-256color", "COLUMNS": "80", "BATCHRUNNER_DB": hostile}
    code, written = on_a_terminal("doctor", cwd=finished, env=env)
    assert code == 3
    assert unsafe(written) == []
    lines = written.replace("\r", "").splitlines()
    assert len(lines) > 12
    plain = batchrunner("doctor", cwd=finished, env=env).out
    assert "\x1b" not in plain
    assert len(plain.splitlines()) < len(lines), "what is read by programs is not wrapped"
