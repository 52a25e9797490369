"""What the program will not do, and how it says so."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.programs import batchrunner, pages, served, write_jobs

#: Every command with silly arguments; {name} stands for a file of the test.
SILLY = """
run
run {jobs} --concurrency 0 --sandbox
run {jobs} --sandbox --api-url http://127.0.0.1:1
run {jobs} --sandbox --db {folder}
run {jobs} --sandbox --db postgresql://nobody@127.0.0.1:1/none
run {jobs} --api-url http://api.example.com --api-key-file {key}
run {jobs} --api-key-file {folder}
run /proc/self/mem --sandbox
run {jobs} --sandbox --db=
load {jobs} --db /proc/none.db
load {jobs} --db {text}
load {jobs} --db {stranger}
status --db {missing}
export -o results.pdf
retry --category nonsense
init {jobs}
init none/none.yaml
sandbox --durations x
sandbox --rate none=0.1
sandbox --ledger {text}
sandbox --ledger none/none.jsonl
\udcff
--nonsense
""".strip().splitlines()


@pytest.fixture
def around(tmp_path: Path) -> dict[str, Path]:
    """Files to be silly with."""
    write_jobs(tmp_path, ["https://example.com/"])
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("Dear diary,\n today I was no database")
    (tmp_path / "key").write_text("key")
    stranger = sqlite3.connect(tmp_path / "stranger")
    stranger.execute("CREATE TABLE birds (name)")
    stranger.close()
    names = {"jobs": "jobs.yaml"}
    every = ("jobs", "folder", "text", "key", "stranger", "missing")
    return {name: tmp_path / names.get(name, name) for name in every}


@pytest.mark.sweep
def test_silly_arguments_get_a_sentence_and_a_code_and_change_nothing(
    tmp_path: Path, around: dict[str, Path]
) -> None:
    before = {path: path.read_bytes() for path in around.values() if path.is_file()}

    def problem(line: str) -> str | None:
        args = [word.format(**around) for word in line.split()]
        ended = batchrunner(*args, cwd=tmp_path)
        if ended.code not in (1, 2, 3) or not ended.err.strip() or ended.out:
            return f"{line}: {ended}"
        return None

    assert [found for line in SILLY if (found := problem(line))] == []
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize(
    ("content", "places"),
    [
        ("jobs:\n  - url: nonsense\n    goal: x\n  - gaol: y\n", ["bad.yaml:2:", "bad.yaml:4:"]),
        ("settings: {concurrency: 0}\njobs: [{url: https://example.com, goal: x}]\n", [":1:"]),
        ("jobs: [\n", ["bad.yaml:"]),
        ("\x00\x01", ["bad.yaml:1:1"]),
    ],
    ids=["jobs", "settings", "syntax", "binary"],
)
def test_a_bad_job_file_is_reported_by_place_and_nothing_is_loaded(
    tmp_path: Path, content: str, places: list[str]
) -> None:
    (tmp_path / "bad.yaml").write_text(content)
    ended = batchrunner("run", "bad.yaml", "--sandbox", cwd=tmp_path)
    assert ended.code == 2
    assert all(place in ended.err for place in places), ended.err
    assert "nothing was loaded" in ended.err
    assert [path.name for path in tmp_path.iterdir()] == ["bad.yaml"]


def test_pages_of_the_sandbox_are_not_paid_for(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, pages(1))
    env = {"TINYFISH_API_KEY": "key"}
    ended = batchrunner("run", jobs, cwd=tmp_path, env=env)
    assert ended.code == 2
    assert "exists only in the sandbox" in ended.err
    assert list(tmp_path.iterdir()) == [jobs]


def test_an_empty_file_loads_nothing(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("")
    ended = batchrunner("run", "bad.yaml", "--sandbox", cwd=tmp_path)
    assert (ended.code, "bad.yaml is empty" in ended.err) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.yaml"]


def test_a_table_is_loaded_and_stays_as_it_is(tmp_path: Path) -> None:
    rows = '\ufeffurl,goal,id\r\nhttp://shop.test/products/1,"Read it, please",a\r\n'
    rows += "http://shop.test/products/2,Read 'it',\r\n"
    (tmp_path / "my jobs.csv").write_text(rows, newline="")
    loaded = batchrunner("load", "my jobs.csv", cwd=tmp_path)
    assert (loaded.code, "2 jobs added" in loaded.err) == (0, True), loaded.err
    assert (tmp_path / "my jobs.csv").read_bytes() == rows.encode()


def test_a_job_file_that_is_missing_gets_a_way_to_begin(tmp_path: Path) -> None:
    ended = batchrunner("run", "jobs.yaml", "--sandbox", cwd=tmp_path)
    assert ended.code == 2
    assert "there is no file jobs.yaml; `batchrunner init` writes one" in ended.err


@pytest.mark.parametrize("db", [":memory:", "sqlite://", "folder", "host=localhost dbname=x"])
def test_a_start_that_fails_leaves_nothing_behind(tmp_path: Path, db: str) -> None:
    jobs = write_jobs(tmp_path, pages(1))
    (tmp_path / "folder").mkdir()
    ended = batchrunner("run", jobs, "--sandbox", "--db", db, cwd=tmp_path)
    assert ended.code in (2, 3), ended.said
    assert "Traceback" not in ended.said
    assert {path.name for path in tmp_path.rglob("*")} == {"folder", "jobs.yaml"}


@pytest.mark.sweep
def test_an_address_without_an_api_is_named_and_no_job_fails(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, pages(2))
    with served(tmp_path) as remote:
        elsewhere = {**remote.env, "TINYFISH_BASE_URL": f"{remote.url}/v2"}
        ended = batchrunner("run", jobs, cwd=tmp_path, env=elsewhere)
        assert ended.code == 3, ended.said
        assert "This address is not the API" in ended.err
        assert "TINYFISH_BASE_URL" in ended.err
        assert remote.created() == 0
        assert batchrunner("run", jobs, cwd=tmp_path, env=remote.env).code == 0


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with served(tmp_path) as remote:
        port = remote.url.rpartition(":")[2]
        ended = batchrunner("sandbox", "--port", port, cwd=tmp_path)
    assert ended.code == 3
    assert f"port {port} cannot be used: Address already in use" in ended.err
    assert "tip: --port 0 takes a free one" in ended.err


@pytest.mark.sweep
def test_a_database_that_another_program_locks_is_given_up_with_a_sentence(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db", isolation_level=None)) as other:
        other.execute("CREATE TABLE anything (column)")
        other.execute("BEGIN EXCLUSIVE")
        ended = batchrunner("status", "--db", "other.db", cwd=tmp_path)
    assert ended.code == 3
    assert "is locked by another program" in ended.err


def test_a_database_of_another_kind_is_left_as_it_is(finished: Path, tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, pages(1))
    shutil.copy(finished / "batchrunner.db", finished / "newer.db")
    newer = sqlite3.connect(finished / "newer.db")
    newer.execute("UPDATE alembic_version SET version_num = '9999'")
    newer.commit()
    newer.close()
    before = (finished / "newer.db").read_bytes()
    for command in (["status"], ["run", jobs, "--sandbox"]):
        ended = batchrunner(*command, "--db", "newer.db", cwd=finished)
        assert ended.code == 3
        assert "newer batchrunner" in ended.err
    assert (finished / "newer.db").read_bytes() == before


@pytest.mark.parametrize("output", ["own.csv", "jobs.yaml", "own.csv.sandbox.jsonl"])
def test_results_replace_neither_the_database_nor_the_job_file(tmp_path: Path, output: str) -> None:
    jobs = write_jobs(tmp_path, pages(1))
    before = jobs.read_bytes()
    command = ("run", jobs.name, "--sandbox", "--db", "own.csv", "-o", output)
    ended = batchrunner(*command, cwd=tmp_path)
    assert (ended.code, jobs.read_bytes()) == (2, before)
    assert f"{output} is in use, and results would replace it" in ended.err
