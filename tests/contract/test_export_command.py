"""`batchrunner export` as a user gives it, in this process."""

from __future__ import annotations

import csv
import json
import shlex
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import chdir, closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from batchrunner import outputs
from batchrunner.app import data_frames
from batchrunner.app.batch_handle import BatchHandle
from batchrunner.app.database_address import DatabaseAddress
from batchrunner.cli import cli
from batchrunner.errors import UsageError
from batchrunner.inputs.yaml import parse
from batchrunner.store.database import Database
from batchrunner.store.schema import exports
from batchrunner.store.store import Store
from tests.contract.test_exports import finished
from tests.quick_migrations import quick_migrations

Run = Callable[..., Result]


@pytest.fixture
def batch(tmp_path: Path) -> Iterator[BatchHandle]:
    """Give a batch of four jobs with a carried column: two good, one failed, one open."""
    with quick_migrations():
        store = Store(Database.open(str(tmp_path / "batchrunner.db")))
    yield BatchHandle(
        store, finished(store), DatabaseAddress(address=str(tmp_path / "batchrunner.db"))
    )
    store.close()


@pytest.fixture
def export(batch: BatchHandle, tmp_path: Path) -> Iterator[Run]:
    def run(line: str = "") -> Result:
        ended = CliRunner().invoke(cli, ["export", *shlex.split(line)])
        assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
        return ended

    with chdir(tmp_path):
        yield run


def test_several_files_are_written_at_once_each_in_its_format(export: Run, tmp_path: Path) -> None:
    ended = export("-o a.csv -o b.jsonl -o c.tsv -o d.sqlite -o e.md")
    assert ended.exit_code == 0, ended.output
    with (tmp_path / "a.csv").open(newline="") as file:
        assert [row["customer"] for row in csv.DictReader(file)] == ["c1", "c2", "c3"]
    with closing(sqlite3.connect(tmp_path / "d.sqlite")) as database:
        assert database.execute("SELECT count(*) FROM results").fetchone() == (3,)
        assert database.execute("SELECT count(*) FROM attempts").fetchone() == (3,)


def test_standard_output_has_the_data_and_nothing_else(export: Run) -> None:
    ended = export("--columns id,price=result.price --only succeeded --format csv")
    assert ended.stdout == "id,price\njob-1,0\njob-2,1\n"
    assert ended.stderr == ""
    assert [json.loads(line)["id"] for line in export("--join").stdout.splitlines()][-1] == "job-4"


def test_nothing_is_written_where_one_of_several_files_is_not_the_batchs(
    export: Run, tmp_path: Path
) -> None:
    (tmp_path / "mine.csv").write_text("mine\n")
    ended = export("-o new.csv -o mine.csv --into sqlite:shop.db:prices")
    assert ended.exit_code == 2
    assert "mine.csv is there already, and this batch did not write it" in ended.stderr
    assert "--overwrite" in ended.stderr
    assert {path.name for path in tmp_path.iterdir() if not path.name.startswith("batchr")} == {
        "mine.csv"
    }
    assert export("-o new.csv -o mine.csv --overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--columns id,custmer", "did you mean|write customer"),
        ("--only faild", "did you mean `failed`"),
        ("--only running", "add --join"),
        ("--key sku", "--into sqlite:prices.db:prices"),
        ("--into prices.db", "sqlite:prices.db:prices"),
        ("--follow -o a.csv", "name a file that ends in .jsonl"),
        ("--follow -o a.jsonl --only failed", "leave out the options"),
        ("--follow -o a.jsonl -o b.jsonl", "one -o"),
        ("-o again.yaml", "--only failed"),
        ("-o again.yaml --only failed --columns id", "leave --columns"),
        ("-o batchrunner.db", "is in use"),
        ("-o gone/a.csv", "mkdir -p gone"),
        ("-o a.xyz", "end it in"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_written(
    export: Run, tmp_path: Path, line: str, said: str
) -> None:
    before = {path.name for path in tmp_path.iterdir()}
    ended = export(line)
    assert ended.exit_code == 2
    assert any(part in ended.stderr for part in said.split("|")), ended.stderr
    assert "Traceback" not in ended.output
    assert {path.name for path in tmp_path.iterdir()} == before


def test_a_library_that_is_missing_is_named_before_anything_is_written(
    export: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = {name: _without_library(format) for name, format in outputs.FORMATS.items()}
    monkeypatch.setattr("batchrunner.app.output_targets.FORMATS", without)
    ended = export("-o a.csv -o b.parquet")
    assert ended.exit_code == 2
    assert "pip install 'batchrunner[all]'" in ended.stderr
    assert not (tmp_path / "a.csv").exists()


def _without_library(format: Any) -> Any:
    from dataclasses import replace

    return replace(format, requires=("no_such_module",)) if format.name == "parquet" else format


def test_failed_jobs_become_a_job_file_that_holds_no_other_job(export: Run, tmp_path: Path) -> None:
    ended = export("--only failed -o again.yaml")
    assert "fix it, then batchrunner run again.yaml" in ended.stderr
    again = parse((tmp_path / "again.yaml").read_bytes(), file="again.yaml", name="again")
    assert [spec.key for spec in again.specs] == ["job-3"]
    assert export("--only failed -o again.yaml").exit_code == 0
    (tmp_path / "again.yaml").write_text((tmp_path / "again.yaml").read_text() + "# mine\n")
    refused = export("--only failed -o again.yaml")
    assert refused.exit_code == 2, "what the user fixed was lost"


def test_rows_go_into_a_table_by_the_users_key(export: Run, tmp_path: Path) -> None:
    line = "--into sqlite:shop.db:prices --key customer --columns customer,price=result.price"
    assert "new table, 3 rows inserted, 0 updated" in export(line).stderr
    assert "0 rows inserted, 3 updated" in export(line).stderr
    with closing(sqlite3.connect(tmp_path / "shop.db")) as database:
        found = database.execute("SELECT * FROM prices ORDER BY customer").fetchall()
    assert found == [("c1", 0), ("c2", 1), ("c3", None)]


def test_a_followed_file_takes_what_was_exported_before(batch: BatchHandle, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    batch.export(path)
    seen = next(iter(batch.follow(path)))
    assert (seen.known, seen.written, seen.is_finished) == (3, 0, False)


# ---- Python ----


def test_frames_have_nullable_numbers_and_times(batch: BatchHandle) -> None:
    pandas = pytest.importorskip("pandas")
    frame = batch.to_pandas(join=True)
    assert frame["result.price"].tolist()[:2] == [0, 1]
    assert frame["result.price"].isna().tolist() == [False, False, True, True]
    types = {name: str(frame[name].dtype) for name in ("attempts", "result.price", "customer")}
    assert types == {"attempts": "Int64", "result.price": "Int64", "customer": "string"}
    assert str(frame["started_at"].dtype).startswith("datetime64[us, UTC")
    assert pandas.isna(frame["steps"][3])
    exploded = batch.to_pandas(columns="id,price=result.price", only="succeeded")
    assert exploded.to_dict("list") == {"id": ["job-1", "job-2"], "price": [0, 1]}


def test_an_arrow_table_has_the_types_of_its_columns(batch: BatchHandle) -> None:
    arrow = pytest.importorskip("pyarrow")
    table = batch.to_arrow(only="succeeded")
    assert table.num_rows == 2
    assert table.schema.field("result.price").type == arrow.int64()
    assert table.schema.field("started_at").type == arrow.timestamp("us", tz="UTC")
    assert batch.to_arrow(only="cancelled").num_rows == 0


def test_a_missing_library_is_one_sentence(
    batch: BatchHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(data_frames, "import_module", missing)
    for name, method in (
        ("pandas", batch.to_pandas),
        ("polars", batch.to_polars),
        ("pyarrow", batch.to_arrow),
    ):
        with pytest.raises(UsageError, match=f"needs {name}, which is not installed") as refused:
            method()
        assert refused.value.next == f"pip install {name}"


def test_an_export_from_python_is_as_careful_as_the_command(
    batch: BatchHandle, tmp_path: Path
) -> None:
    path = tmp_path / "results.csv"
    assert batch.export(path).jobs == batch.export(path).jobs == 3
    path.write_text("mine\n")
    with pytest.raises(UsageError, match="changed since this batch wrote it"):
        batch.export(path)
    assert batch.export(path, overwrite=True, only="failed").jobs == 1
    with pytest.raises(TypeError):
        batch.export(path, explod="x")  # type: ignore[call-arg]
    assert batch.export_into(f"sqlite:{tmp_path / 'shop.db'}:prices").inserted == 3


def test_exports_are_remembered_once_for_each_file(batch: BatchHandle, tmp_path: Path) -> None:
    for _ in range(3):
        batch.export(tmp_path / "results.csv")
    rows = batch._store.read(lambda tx: tx.execute(exports.select()).all())
    assert [(row.path, row.jobs, row.format) for row in rows] == [("results.csv", 3, "csv")]
