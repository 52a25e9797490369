"""Artifacts of runs end up in a folder: once, whole, whatever dies, and hostile ones never."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest

from batchrunner.sandbox import SandboxRun
from batchrunner.sandbox.http.response_bodies import recording
from batchrunner.sandbox.media.jpeg import jpeg_of
from tests.e2e.programs import batchrunner, check_books, pages, served, started, wait_until

ALL = {"screenshots": True, "html": True, "recording": True}


def capturing(folder: Path, urls: Sequence[str], **capture: bool) -> Path:
    jobs = [{"id": f"job-{number}", "url": url} for number, url in enumerate(urls)]
    defaults = {"goal": "Read the page", "capture_config": capture or ALL}
    path = folder / "jobs.yaml"
    path.write_text(json.dumps({"defaults": defaults, "jobs": jobs}))
    return path


def stored(folder: Path) -> list[Path]:
    return [each for each in folder.rglob("*") if each.suffix in (".jpg", ".html", ".mp4")]


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def captured(runs: Sequence[SandboxRun]) -> Iterator[tuple[str, str, int, str]]:
    """Give run, kind, step and digest of all that the sandbox captured."""
    for run in runs:
        yield run.run_id, "video", 0, digest(recording(run))
        for place in range(run.steps):
            yield run.run_id, "screenshots", place + 1, digest(jpeg_of(run.html, place))
            yield run.run_id, "html", place + 1, digest(run.html.encode())


def listed(folder: Path, *more: str) -> list[dict[str, Any]]:
    lines = batchrunner("artifacts", "list", "--jsonl", *more, cwd=folder).out.splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.sweep
def test_artifacts_survive_a_kill_half_way_and_are_what_was_served(tmp_path: Path) -> None:
    jobs, folder = capturing(tmp_path, pages(12)), tmp_path / "captured"
    command = ("run", jobs, "--artifacts", folder, "-o", "results.jsonl")
    with served(tmp_path) as remote:
        with started(*command, cwd=tmp_path, env=remote.env) as runner:
            wait_until(lambda: len(stored(folder)) >= 20, "some artifacts are there")
            runner.send(SIGKILL)
        before = len(stored(folder))
        ended = batchrunner(*command, cwd=tmp_path, env=remote.env)
        runs = remote.runs()
    assert ended.code == 0, ended.err
    check_books(tmp_path, 12, runs)
    assert len(runs) == 12
    expected = sorted(captured(runs))
    assert 20 <= before < len(expected), "it was not killed half-way"
    kept = listed(tmp_path)
    assert {each["state"] for each in kept} == {"stored"}
    assert sorted((a["run_id"], a["kind"], a["step"], a["sha256"]) for a in kept) == expected
    assert all(digest(Path(each["path"]).read_bytes()) == each["sha256"] for each in kept)
    everything = [each for each in folder.rglob("*") if each.is_file()]
    assert sorted(map(str, everything)) == sorted(each["path"] for each in kept)
    rows = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert sorted(path for row in rows for path in row["artifacts"]) == sorted(map(str, everything))


@pytest.mark.sweep
def test_artifacts_can_be_fetched_later_by_job_and_kind(tmp_path: Path) -> None:
    jobs = capturing(tmp_path, pages(3))
    with served(tmp_path) as remote:
        here: Any = {"cwd": tmp_path, "env": remote.env}
        assert batchrunner("run", jobs, **here).code == 0
        assert listed(tmp_path) == []
        one = batchrunner(
            "artifacts", "fetch", "--job", "job-1", "--kind", "video", "-o", "one", **here
        )
        assert one.code == 0, one.err
        assert [each.name for each in stored(tmp_path / "one")] == ["1-video.mp4"]
        rest = batchrunner("artifacts", "fetch", "-o", "all", **here)
        runs = remote.runs()
    assert rest.code == 0, rest.err
    states = [(each["key"], each["state"]) for each in listed(tmp_path)]
    assert len(states) == len(list(captured(runs)))
    assert {state for _, state in states} == {"stored"}
    assert len(stored(tmp_path / "all")) == len(states) - 1, "what is stored is not fetched again"
    shown = json.loads(batchrunner("status", "jobs", "--json", cwd=tmp_path).out)["artifacts"]
    assert (shown["stored"], shown["wanted"], shown["unlisted_runs"]) == (len(states), 0, 0)


@pytest.mark.sweep
def test_hostile_artifacts_fail_no_job_and_are_reported_one_by_one(tmp_path: Path) -> None:
    threats = ("traversal", "mistyped", "bomb", "endless")
    jobs = capturing(tmp_path, [f"http://faults.test/artifact_{each}" for each in threats])
    folder = tmp_path / "captured"
    with served(tmp_path) as remote:
        ended = batchrunner("run", jobs, "--artifacts", folder, cwd=tmp_path, env=remote.env)
    assert ended.code == 0, ended.err
    kept = listed(tmp_path)
    steps = [each for each in kept if each["kind"] != "video"]
    refused = [each for each in steps if each["state"] == "refused"]
    shown = {each["key"]: each["why"] for each in refused}
    assert shown == {
        "job-0": "the id of its step is a path, or no id at all",
        "job-1": "it says to be image/svg+xml",
        "job-2": "it came packed, although nobody asked for that",
        "job-3": "its bytes are of another type",
    }
    assert not [each for each in folder.rglob("*.part")]
    assert {each.parent.name for each in stored(tmp_path)} == {"job-0"}, "a recording that is good"
    assert f"{len(kept) - 1} refused, 1 stored" in ended.err


@pytest.mark.sweep
def test_a_batch_that_captures_nothing_is_reported_so(tmp_path: Path) -> None:
    jobs = capturing(tmp_path, pages(1))
    jobs.write_text(json.dumps({"jobs": [{"url": pages(1)[0], "goal": "Read the page"}]}))
    with served(tmp_path) as remote:
        ended = batchrunner("run", jobs, "--artifacts", "captured", cwd=tmp_path, env=remote.env)
    assert ended.code == 0
    assert "no job asks for anything to be captured" in ended.err
    assert listed(tmp_path) == []


def test_a_folder_that_cannot_be_is_reported_before_anything_is_paid_for(tmp_path: Path) -> None:
    jobs = capturing(tmp_path, pages(1))
    (tmp_path / "file").write_text("")
    with served(tmp_path) as remote:
        here: Any = {"cwd": tmp_path, "env": remote.env}
        ended = batchrunner("run", jobs, "--artifacts", "file/captured", **here)
        assert remote.created() == 0
    assert ended.code == 2
    assert "file/captured" in ended.err
