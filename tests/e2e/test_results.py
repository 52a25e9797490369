"""Results: into files and pipes, whole or not at all."""

from __future__ import annotations

import csv
import json
import os
import resource
import subprocess
from pathlib import Path
from typing import Any

import pytest

from batchrunner.cli.exit_codes import READER_GONE
from tests.e2e.programs import (
    PROCESS_SECONDS,
    PROGRAM,
    batchrunner,
    environment,
    pages,
    served,
    status_of,
    write_jobs,
)


def test_results_go_to_standard_output_in_either_format(finished: Path) -> None:
    lines = batchrunner("export", cwd=finished).out.splitlines()
    assert [json.loads(line)["state"] for line in lines] == ["succeeded"] * 12
    table = batchrunner("export", "example", "--format", "csv", cwd=finished).out
    assert len(list(csv.DictReader(table.splitlines()))) == 12
    assert table == (finished / "results.csv").read_text()


@pytest.mark.sweep
def test_a_reader_that_has_seen_enough_is_no_mistake(finished: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        export = subprocess.run(
            [*PROGRAM, "export"],
            cwd=finished,
            env={k: v for k, v in environment().items() if k != "PYTHONUNBUFFERED"},
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PROCESS_SECONDS,
        )
    finally:
        os.close(writer)
    assert export.stderr == ""
    assert export.returncode == READER_GONE


def test_a_folder_that_is_missing_is_reported_before_anything_is_run(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, pages(1))
    for outputs in (["-o", "gone/x.csv"], ["-o", "x.csv", "-o", "."], ["-o", "results"]):
        ended = batchrunner("run", jobs, "--sandbox", *outputs, cwd=tmp_path)
        assert ended.code == 2, outputs
        assert "tip:" in ended.err
    assert list(tmp_path.iterdir()) == [jobs]


@pytest.mark.sweep
def test_a_full_disk_costs_the_export_and_nothing_else(tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, pages(1))
    (tmp_path / "full.csv").symlink_to("/dev/full")
    with served(tmp_path) as remote:
        here: Any = {"cwd": tmp_path, "env": remote.env}
        ended = batchrunner("run", jobs, "-o", "full.csv", **here)
        assert ended.code == 3
        assert "full.csv: No space left on device" in ended.err
        assert status_of(tmp_path)["jobs"]["succeeded"] == 1
        assert batchrunner("run", jobs, "-o", "good.csv", **here).code == 0
        assert remote.created() == 1
    assert "http://shop.test/products/1" in (tmp_path / "good.csv").read_text()
    assert (tmp_path / "full.csv").is_symlink()


def test_a_file_is_replaced_only_by_one_that_is_complete(finished: Path) -> None:
    before = (finished / "results.csv").read_text()
    names = {path.name for path in finished.iterdir()}
    most = len(before) // 2

    def small_files_only() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    export = subprocess.run(
        [*PROGRAM, "export", "-o", "results.csv"],
        cwd=finished,
        env=environment(),
        preexec_fn=small_files_only,
        capture_output=True,
        text=True,
        timeout=PROCESS_SECONDS,
    )
    assert export.returncode == 3
    assert f"{finished}: File too large" in export.stderr
    assert (finished / "results.csv").read_text() == before
    assert {path.name for path in finished.iterdir()} == names
