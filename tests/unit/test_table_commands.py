"""Files and options of `load`: one value for all commands, the messages, and rows left out."""

from __future__ import annotations

import csv
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import batchrunner as br
from batchrunner.app.input_request import InputRequest, batch_name
from batchrunner.app.read_input import read_input
from batchrunner.cli import cli
from batchrunner.errors import InputError, UsageError
from batchrunner.inputs.mapping.choices import ColumnChoices
from batchrunner.model import JobFile
from tests.quick_migrations import quick_migrations

TABLE = (
    "sku,Link,product\nA-1,https://a.example/1,Lamp\nA-2,a.example/2,Vase\n"
    "A-3,https://a.example/3,Rug\n"
)
GOAL = ("--goal", "Read the price of {product}")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs.csv").write_text(TABLE)
    return tmp_path


def load(*arguments: str, stdin: str | None = None) -> Result:
    with quick_migrations():
        return CliRunner().invoke(cli, ["load", *arguments], input=stdin)


def rows() -> list[tuple[Any, ...]]:
    with sqlite3.connect("batchrunner.db") as database:
        return database.execute("SELECT url, goal, columns FROM jobs ORDER BY position").fetchall()


def read(*paths: str, **more: Any) -> JobFile:
    choices = {name: more.pop(name) for name in list(more) if name in ("url", "goal", "id")}
    given = ColumnChoices(**choices)
    return read_input(InputRequest(paths=tuple(map(Path, paths)), choices=given, **more))


def test_a_table_is_loaded_with_its_columns() -> None:
    Path("pairs.csv").write_text(TABLE.replace("A-2,a", "A-2,https://a"))
    done = load("pairs.csv", *GOAL, "--name", "prices")
    assert done.exit_code == 0, done.output
    assert "pairs.csv: the url is column `Link`" in done.stderr
    assert "batch 'prices': 3 jobs added" in done.stderr
    url, goal, columns = rows()[0]
    assert (url, goal) == ("https://a.example/1", "Read the price of Lamp")
    assert json.loads(columns) == {"sku": "A-1", "Link": url, "product": "Lamp"}


def test_a_problem_names_file_line_column_and_fix_and_loads_nothing() -> None:
    done = load("pairs.csv", *GOAL)
    assert done.exit_code == 2
    assert "--> pairs.csv:3:5 (column `Link`)" in done.output
    assert "= tip: write https://a.example/2; if no cell of the column has one, give" in done.output
    assert not Path("batchrunner.db").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("pairs.csv",), "add for example --goal 'Read the price of {sku}'"),
        (("pairs.csv", "--goal", "Read {prodct}"), "write `{product}`"),
        (("pairs.csv", "--goal-column", "Product"), "write --goal-column product"),
        (("pairs.csv", "--url", "x", "--url-column", "y"), "contradict each other"),
        (("none.csv",), "there is no file none.csv"),
        (("pars.csv",), "there is no file pars.csv; did you mean pairs.csv?"),
        (("pairs.csv", "none.csv"), "there is no file none.csv"),
    ],
)
def test_a_wrong_choice_is_answered_with_the_right_one(
    arguments: tuple[str, ...], message: str
) -> None:
    done = load(*arguments)
    assert done.exit_code == 2
    assert message in done.output
    assert "Traceback" not in done.output


def test_several_files_are_one_batch_named_after_the_first() -> None:
    Path("a.csv").write_text("url,x\nhttps://a.example/1,1\n")
    Path("b.jsonl").write_text('{"url": "https://b.example/1", "y": 2}\n')
    Path("c.yaml").write_text(
        "settings: {concurrency: 3}\njobs: [{url: 'https://c.example', goal: G}]"
    )
    file = read("a.csv", "b.jsonl", "c.yaml", goal="Read it")
    found = [(spec.url, spec.source, dict(spec.columns)) for spec in file.specs]
    assert found == [
        ("https://a.example/1", "a.csv", {"x": "1"}),
        ("https://b.example/1", "b.jsonl", {"y": 2}),
        ("https://c.example", "c.yaml", {}),
    ]
    assert (file.columns, file.settings.concurrency) == (("x", "y"), 3)
    assert [Path(source.path).name for source in file.sources] == ["a.csv", "b.jsonl", "c.yaml"]
    assert read("a.csv", "b.jsonl", goal="Read it").name == "a"


def test_job_files_with_other_settings_are_not_one_batch() -> None:
    Path("a.yaml").write_text(
        "settings: {concurrency: 3}\njobs: [{url: 'https://c.example', goal: G}]"
    )
    Path("b.yaml").write_text(
        "settings: {concurrency: 4}\njobs: [{url: 'https://d.example', goal: G}]"
    )
    with pytest.raises(UsageError, match=r"b\.yaml has other `settings`"):
        read("a.yaml", "b.yaml")


def test_standard_input_is_a_table() -> None:
    done = load("-", *GOAL, stdin=TABLE.replace("A-2,a", "A-2,https://a"))
    assert done.exit_code == 0, done.output
    assert "batch 'stdin': 3 jobs added" in done.stderr


def test_options_for_tables_are_refused_where_there_is_none() -> None:
    Path("jobs.yaml").write_text("- {url: 'https://a.example', goal: G}")
    done = load("jobs.yaml", *GOAL)
    assert done.exit_code == 2
    assert "jobs.yaml is a job file" in done.output


@pytest.mark.parametrize(
    ("path", "name"),
    [("a/pairs.csv", "pairs"), ("pairs.csv.gz", "pairs"), ("-", "stdin"), ("v1.2.yaml", "v1.2")],
)
def test_a_batch_is_named_after_its_file(path: str, name: str) -> None:
    assert batch_name(Path(path)) == name


def test_a_name_that_a_batch_cannot_have_is_answered_with_one_that_it_can() -> None:
    Path("pairs.csv").rename("pairs (1).csv")
    with pytest.raises(UsageError) as caught:
        read("pairs (1).csv", goal="G", skip_invalid=Path("bad.csv"))
    assert "--name 'pairs 1'" in caught.value.next


def test_a_request_is_given_to_a_shell_as_it_was_given_here() -> None:
    request = InputRequest(
        paths=(Path("my pairs.csv"),),
        name="a b",
        choices=ColumnChoices(goal="Read {x}", url_column="l", to_options=True),
        skip_invalid=Path("bad.csv"),
    )
    assert request.command_line() == (
        "'my pairs.csv' --name 'a b' --url-column l --goal 'Read {x}' --skip-invalid bad.csv "
        "--columns-to-options"
    )


# ---- rows that are left out ----


def test_rows_with_problems_are_written_as_they_were_with_a_reason() -> None:
    done = load("pairs.csv", *GOAL, "--skip-invalid", "bad.csv")
    assert done.exit_code == 0, done.output
    assert "1 row with problems left out, and written to bad.csv" in done.stderr
    with open("bad.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    reason = row.pop("reason")
    assert row == {"sku": "A-2", "Link": "a.example/2", "product": "Vase"}
    assert "has no https:// in front" in reason
    assert len(rows()) == 2
    again = load("pairs.csv", *GOAL, "--skip-invalid", "bad.csv")
    assert again.exit_code == 0, again.output


def test_rows_are_never_written_over_a_file_of_the_user_or_an_input() -> None:
    Path("mine.csv").write_text("mine")
    done = load("pairs.csv", *GOAL, "--skip-invalid", "mine.csv")
    assert done.exit_code == 2
    assert Path("mine.csv").read_text() == "mine"
    assert not Path("batchrunner.db").exists()
    Path("link.csv").hardlink_to("pairs.csv")
    for target in ("pairs.csv", "link.csv"):
        done = load("pairs.csv", *GOAL, "--skip-invalid", target, "--overwrite")
        assert done.exit_code == 2
        assert Path("pairs.csv").read_text() == TABLE
    assert load("pairs.csv", *GOAL, "--skip-invalid", "mine.csv", "--overwrite").exit_code == 0
    assert "reason" in Path("mine.csv").read_text()


def test_a_table_of_which_only_rows_are_wrong_may_be_loaded_without_them() -> None:
    done = load("pairs.csv", *GOAL)
    assert done.exit_code == 2
    assert "  tip: add --skip-invalid left-out.csv to load the other rows" in done.stderr
    assert load("pairs.csv", *GOAL, "--skip-invalid", "left-out.csv").exit_code == 0
    with pytest.raises(InputError, match=r"add skip_invalid='left-out\.csv' to load"):
        read("pairs.csv", url="{Link}", goal="G", style="python")
    Path("left-out.csv").write_text("mine")
    asked = {"skip_invalid": Path("left-out.csv"), "style": "python"}
    with pytest.raises(UsageError) as refused:
        read("pairs.csv", url="{Link}", goal="G", **asked)
    assert "overwrite=True" in str(refused.value.next)


@pytest.mark.parametrize("wrong", ["header", "all rows"])
def test_rows_cannot_be_left_out_where_nothing_would_be_loaded(wrong: str) -> None:
    Path("pairs.csv").write_text(TABLE if wrong == "header" else "Link\na.example/1\n")
    done = load("pairs.csv", *(() if wrong == "header" else ("--goal", "G")))
    assert done.exit_code == 2
    assert "--skip-invalid" not in done.stderr


def test_where_no_row_is_left_nothing_is_loaded() -> None:
    Path("pairs.csv").write_text("Link\na.example/1\n")
    done = load("pairs.csv", "--url-column", "Link", "--goal", "G", "--skip-invalid", "bad.jsonl")
    assert done.exit_code == 2
    assert json.loads(Path("bad.jsonl").read_text())["Link"] == "a.example/1"
    assert not Path("batchrunner.db").exists()


# ---- job files ----


def job_file(jobs: str, before: str = "") -> JobFile:
    Path("sub").mkdir(exist_ok=True)
    Path("sub/t.csv").write_text(
        "link,product\nhttps://a.example/1,Lamp\nhttps://a.example/2,Rug\n"
    )
    Path("sub/jobs.yaml").write_text(f"{before}jobs: {jobs}\n")
    return read("sub/jobs.yaml")


def test_a_job_file_names_a_table_beside_it() -> None:
    file = job_file(
        "{from: t.csv, url: '{link}', goal: 'Read {product}', browser_profile: stealth}",
        "settings: {concurrency: 4}\ndefaults: {use_vault: true}\n",
    )
    assert [(spec.url, spec.goal) for spec in file.specs] == [
        ("https://a.example/1", "Read Lamp"),
        ("https://a.example/2", "Read Rug"),
    ]
    spec = next(iter(file.specs))
    assert spec.options == {"use_vault": True, "browser_profile": "stealth"}
    assert (file.name, file.settings.concurrency) == ("jobs", 4)
    assert file.columns == ("link", "product")


def test_a_job_file_combines_jobs_tables_and_matrices_in_its_order() -> None:
    file = job_file(
        "\n"
        "- {url: 'https://b.example', goal: 'Return {\"price\": number}'}\n"
        "- {from: t.csv, goal: 'In {lang}', matrix: {lang: [de, fr]}}\n"
        "- matrix: {url: ['https://c.example', 'https://d.example'], goal: [Read, Buy]}\n"
        "- {url: 'https://e.example', goal: '{product}'}\n"
    )
    assert [(spec.url[8], spec.goal) for spec in file.specs] == [
        ("b", 'Return {"price": number}'),
        *[("a", f"In {lang}") for _ in range(2) for lang in ("de", "fr")],
        *[(host, goal) for host in "cd" for goal in ("Read", "Buy")],
        ("e", "{product}"),
    ]


@pytest.mark.parametrize(
    ("jobs", "line", "message"),
    [
        ("{from: t.csv, goal: 'Read {prodct}'}", 1, "there is no column `prodct`"),
        ("{from: none.csv, goal: G}", 1, "there is no file sub/none.csv"),
        ("{from: t.csv, gaol: G}", 1, "unknown key `gaol`"),
        ("\n- {from: t.csv, goal: G, browser_profile: fast}", 2, "`browser_profile`"),
        ("{matrix: {url: []}, goal: G}", 1, "a list of values"),
        ("{from: jobs.yaml, goal: G}", 1, "is a job file, not a table"),
        ("{from: t.csv, goal: 'Say ${NAME}'}", 1, "variable `${NAME}` left in it"),
    ],
)
def test_a_problem_is_at_its_place_in_the_job_file(jobs: str, line: int, message: str) -> None:
    with pytest.raises(InputError) as caught:
        job_file(jobs)
    found = caught.value.problems[0]
    assert (found.file, found.line) == ("sub/jobs.yaml", line)
    assert message in found.message


def test_a_wrong_key_hides_no_other_problem() -> None:
    with pytest.raises(InputError) as caught:
        job_file("{from: [t.csv, no.csv], url: '{lnk}', goal: G, sheets: 3}")
    said = [problem.message for problem in caught.value.problems]
    assert len(said) == 3
    assert "a path starts at the folder of the job file" in str(caught.value)


def test_problems_of_the_rows_are_at_their_place_in_the_table() -> None:
    with pytest.raises(InputError) as caught:
        job_file("{from: t.csv, url: '{product}', goal: G}")
    assert caught.value.problems[0].file == "sub/t.csv"


# ---- Python ----


def test_python_loads_tables_as_the_command_does(folder: Path) -> None:
    with quick_migrations(), br.open("py.db") as db:
        loaded = db.load(
            "pairs.csv", url="{Link}", goal="Read {product}", skip_invalid="bad.csv", name="x"
        )
        assert loaded.name == "x"
        assert loaded.loaded is not None
        assert loaded.loaded.added == 2
        rows = [{"link": "https://a.example/1", "n": 1.5}, {"link": "https://a.example/2"}]
        other = db.load(rows=rows, url="{link}", goal="Read it", name="r")
        assert other.loaded is not None
        assert other.loaded.added == 2
        with pytest.raises(InputError, match=r"goal='Read the price of \{sku\}"):
            db.load("pairs.csv", url="{Link}")
        with pytest.raises(TypeError, match="did you mean `url`"):
            db.load("pairs.csv", urll="{Link}")  # type: ignore[call-arg]
        with pytest.raises(UsageError, match="goal cannot be"):
            db.load("pairs.csv", goal=3)  # type: ignore[arg-type]


def test_a_row_that_cannot_be_split_is_reported_where_no_column_is_the_url() -> None:
    Path("notes.csv").write_text('what\nx\n"\nde "y"\n')
    done = load("notes.csv", "--goal", "Read the price", "--delimiter", "tab")
    assert done.exit_code == 2, done.output
    assert "no column is named `url`" in done.output
    assert "1 problem in notes.csv; nothing was loaded" in done.output


@pytest.mark.parametrize(
    ("encoding", "content", "tip"),
    [
        ("utf-16", TABLE.encode(), "leave out --encoding"),
        ("utf-32", TABLE.encode(), "leave out --encoding"),
        ("utf-16", TABLE.encode("utf-16-le"), "use --encoding utf-16-le"),
        ("punycode", TABLE.encode(), "save it as UTF-8"),
    ],
)
def test_an_encoding_that_a_file_cannot_have_is_refused(
    encoding: str, content: bytes, tip: str
) -> None:
    Path("pairs.csv").write_bytes(content)
    done = load("pairs.csv", *GOAL, "--encoding", encoding)
    assert done.exit_code == 2, done.output
    assert f"tip: {tip}" in done.output


@pytest.mark.parametrize("row", ["https://a.example/1", None, ["https://a.example/1"], 7])
def test_a_row_from_python_that_is_no_mapping_is_named(folder: Path, row: Any) -> None:
    with quick_migrations(), br.open("py.db") as db:
        rows = [{"link": "https://a.example/0"}, row]
        with pytest.raises(UsageError, match=r"row 2 is .*, not a mapping of columns to values"):
            db.load(rows=rows, url="{link}", goal="Read it", name="r")


# ---- schemas, settings and defaults beside tables ----

SCHEMA = {"type": "object", "properties": {"price": {"type": "number"}}, "required": ["price"]}


def test_a_table_gets_the_schema_of_a_file_for_all_its_rows() -> None:
    Path("pairs.csv").write_text(TABLE.replace("A-2,a", "A-2,https://a"))
    Path("schema.json").write_text(json.dumps(SCHEMA))
    for given in (
        read("pairs.csv", goal=GOAL[1], output_schema=Path("schema.json")),
        read("pairs.csv", "pairs.csv", goal=GOAL[1], output_schema=Path("schema.json")),
    ):
        assert [spec.options for spec in given.specs] == [{"output_schema": SCHEMA}] * 3
    done = load("pairs.csv", *GOAL, "--output-schema", "schema.json")
    assert done.exit_code == 0, done.output


def test_a_wrong_schema_is_reported_where_it_is_wrong_and_a_job_file_has_its_own() -> None:
    Path("schema.json").write_text('{"type": "object",\n "properties": {"a": {"type": "numbr"}}}')
    Path("jobs.yaml").write_text("- {url: https://a.example, goal: Read it}\n")
    done = load("pairs.csv", *GOAL, "--output-schema", "schema.json")
    assert done.exit_code == 2
    assert "schema.json:2:31" in done.stderr
    assert "did you mean `number`?" in done.stderr
    own = load("jobs.yaml", "--output-schema", "schema.json")
    assert own.exit_code == 2
    assert "`defaults: {output_schema: {from: schema.json}}`" in own.stderr


def test_settings_and_defaults_go_with_rows_and_templates() -> None:
    rows = [{"link": "https://a.example/1", "product": "Lamp"}]
    with quick_migrations(), br.open("prices.db") as db:
        batch = db.load(
            rows=rows,
            name="prices",
            url_column="link",
            settings={"concurrency": 7, "budget": "$3"},
            defaults={"goal": "Read {product}", "output_schema": SCHEMA},
        )
        assert batch.loaded is not None
        assert batch.loaded.added == 1
    with sqlite3.connect("prices.db") as database:
        goal, options = database.execute("SELECT goal, options FROM jobs").fetchone()
        (settings,) = database.execute("SELECT settings FROM batches").fetchone()
    assert goal == "Read Lamp"
    assert json.loads(settings)["concurrency"] == 7
    assert json.loads(options) == {"output_schema": SCHEMA}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"settings": {"concurrencyy": 7}}, "concurrencyy"),
        ({"defaults": {"goal": "Read {produkt}"}}, "there is no column `produkt`"),
        ({"defaults": {"goal": "x", "output_schema": {"type": "objekt"}}}, "objekt"),
    ],
)
def test_mistakes_in_settings_and_defaults_beside_templates_are_named(
    more: dict[str, Any], said: str
) -> None:
    rows = [{"link": "https://a.example/1", "product": "Lamp"}]
    with quick_migrations(), br.open("prices.db") as db, pytest.raises(InputError, match=said):
        db.load(rows=rows, name="prices", url_column="link", **more)
