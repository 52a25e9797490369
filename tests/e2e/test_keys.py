"""The API key: where it may come from, and where it must never go."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchrunner.selftest.sandbox_process import sandbox_process as served_apart
from tests.e2e.programs import CANARY, batchrunner, pages, served, started, status_of, write_jobs


def test_without_a_key_both_ways_out_are_named_and_nothing_is_made(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, ["https://example.com/"])
    ended = batchrunner("run", jobs, cwd=tmp_path)
    assert ended.code == 3
    assert "there is no API key" in ended.err
    assert "--sandbox" in ended.err
    assert "TINYFISH_API_KEY" in ended.err
    assert list(tmp_path.iterdir()) == [jobs]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b" \n", "there is no API key"),
        (b"one\ntwo\n", "characters that no key has"),
        (b"one two", "characters that no key has"),
        (b"\xff\xfe\x00", "characters that no key has"),
        (None, "No such file"),
    ],
    ids=["blank", "two lines", "a space", "not text", "missing"],
)
def test_a_key_file_without_a_key_is_refused(
    tmp_path: Path, content: bytes | None, complaint: str
) -> None:
    jobs = write_jobs(tmp_path, ["https://example.com/"])
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    ended = batchrunner("run", jobs, "--api-key-file", "key", cwd=tmp_path)
    assert ended.code == 3
    assert complaint in ended.err
    assert "two" not in ended.err, "it shows what may be a key"
    assert not (tmp_path / "batchrunner.db").exists()


@pytest.mark.sweep
def test_a_key_comes_from_a_file_or_from_standard_input(tmp_path: Path) -> None:
    with served(tmp_path) as remote:
        env = {"TINYFISH_BASE_URL": remote.url}
        key = tmp_path / "key"
        key.write_text(f"{CANARY}\n")
        one = write_jobs(tmp_path, pages(1), name="one")
        from_file = batchrunner("run", one, "--api-key-file", key, cwd=tmp_path, env=env)
        two = write_jobs(tmp_path, pages(2)[1:], name="two")
        given = batchrunner(
            "run", two, "--api-key-file", "-", cwd=tmp_path, env=env, given=f"{CANARY}\n"
        )
        assert remote.created() == 2
    assert (from_file.code, given.code) == (0, 0)


@pytest.mark.parametrize("args", [["--api-key", CANARY], [f"--api-key={CANARY}"]])
def test_a_key_on_the_command_line_is_refused_and_not_repeated(
    tmp_path: Path, args: list[str]
) -> None:
    jobs = write_jobs(tmp_path, pages(1))
    ended = batchrunner("run", jobs, *args, cwd=tmp_path)
    assert ended.code == 2
    assert "--api-key-file" in ended.err
    assert CANARY not in ended.said


def test_the_key_is_in_no_file_no_output_and_no_command_line(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, [*pages(2), "http://faults.test/agent_failure"])
    with served_apart(tmp_path, rates={"dropped_after": 0.2}) as remote:
        with started("run", jobs, cwd=tmp_path, env=remote.env) as runner:
            runner.says("started")
            command = Path(f"/proc/{runner.process.pid}/cmdline").read_text()
            said = runner.end().said
        said += batchrunner("status", "--json", cwd=tmp_path, env=remote.env).said
        sandbox_said = "".join([*remote.program.out, *remote.program.err])
    assert CANARY not in command + said + sandbox_said
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"batchrunner.db", "jobs.results.csv", "served.jsonl"} <= {path.name for path in files}
    assert [path for path in files if CANARY.encode() in path.read_bytes()] == []


@pytest.mark.sweep  # a refusal has to last two minutes; tests/simulation/test_hiccups.py is quick
def test_a_key_without_the_right_stops_the_batch_and_uses_up_no_attempt(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, ["http://faults.test/gated"], max_attempts=1)
    with served(tmp_path) as remote:
        refused = batchrunner("run", jobs, cwd=tmp_path, env=remote.env)
        assert remote.created() == 0
    assert refused.code == 3
    assert "This feature is not enabled for this account" in refused.err
    retries = status_of(tmp_path)["retries"]
    assert {(each["category"], each["counted"]) for each in retries} == {("unauthorized", False)}
