"""Rows of tables → job specs: which column is what, what is carried, and what is refused."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrunner.inputs.job_specs import Defaults, job_digest
from batchrunner.inputs.mapping.batch_jobs import BatchJobs
from batchrunner.inputs.mapping.choices import ColumnChoices
from batchrunner.inputs.mapping.said import MatrixColumn, TableRequest, said_of
from batchrunner.inputs.mapping.table_jobs import Refuse
from batchrunner.inputs.tables import Row, Table, open_table
from batchrunner.model import JobFile, JobSpec, Settings
from batchrunner.model.problems import JobFileErrors, Problem

EMPTY = JobFile(name="pairs", settings=Settings(), specs=())


def load(
    *texts: str,
    file: str = "pairs.csv",
    matrix: tuple[MatrixColumn, ...] = (),
    defaults: dict[str, Any] | None = None,
    refuse: Refuse | None = None,
    **choices: Any,
) -> JobFile:
    """Load texts as the tables of one batch."""
    chosen = ColumnChoices(**choices)
    request = TableRequest(
        path=file,
        style="option",
        said=said_of(chosen),
        to_options=chosen.to_options,
        matrix=matrix,
        defaults=Defaults(defaults or {}, {}),
    )
    jobs = BatchJobs(refuse)
    for number, text in enumerate(texts):
        name = file if not number else f"{number}-{file}"
        jobs.add_table(open_table(io.BytesIO(text.encode()), file=name), request)
    return jobs.result(EMPTY, file=file)


def specs(*texts: str, **choices: Any) -> list[JobSpec]:
    return list(load(*texts, **choices).specs)


def problems(*texts: str, **choices: Any) -> Sequence[Problem]:
    with pytest.raises(JobFileErrors) as caught:
        load(*texts, **choices)
    return caught.value.problems


PLAIN = "url,goal\nhttps://a.example/1,Read it\n"


# ---- which column is what ----


def test_columns_named_url_goal_and_id_need_no_option_and_no_note() -> None:
    file = load("id,url,goal\nx 1,https://a.example/1,Read it\n")
    (spec,) = file.specs
    assert spec == JobSpec(
        key="x 1", url="https://a.example/1", goal="Read it", line=2, source="pairs.csv"
    )
    assert (file.notes, file.warnings, file.columns) == ((), (), ())


def test_a_row_has_the_key_of_the_same_job_in_a_job_file() -> None:
    (spec,) = specs("url,goal\nhttps://a.example/ü,Größe\n", defaults={"browser_profile": "lite"})
    assert spec.key == job_digest("https://a.example/ü", "Größe", {"browser_profile": "lite"})


@pytest.mark.parametrize(
    "header", ["URL", "Url", "Link", "links", "Website", "Product URL", "HREF"]
)
def test_a_usual_header_is_taken_and_said(header: str) -> None:
    file = load(f"{header},goal\nhttps://a.example/1,Read it\n")
    assert file.notes == (f"pairs.csv: the url is column `{header}`",)


def test_a_usual_header_over_something_else_is_not_taken() -> None:
    found = problems("page,goal,where\n3,Read it,https://a.example/1\n")
    assert "no column is named `url`" in found[0].message
    assert found[0].tip == "add --url-column where"


def test_two_columns_that_may_be_the_url_are_not_guessed() -> None:
    row = "https://a.example/1,https://b.example/1,Read it\n"
    (found,) = problems(f"Link,Website,goal\n{row}")
    assert found.message == "several columns may be the url: `Link`, `Website`"
    assert found.tip == "say which: --url-column Link or --url-column Website"
    (spec,) = specs(f"Link,url,goal\n{row}")
    assert spec.url == "https://b.example/1"


def test_what_is_missing_is_proposed_from_what_the_columns_hold() -> None:
    text = "Where,What I want\nhttps://a.example/1,Read the price of it\n"
    url, goal = problems(text)
    assert url.tip == "add --url-column Where"
    assert goal.tip == "add --goal-column 'What I want'"
    assert (url.line, url.source_line) == (1, "Where,What I want")
    (spec,) = specs(text, url_column="Where", goal_column="What I want")
    assert spec.goal == "Read the price of it"


def test_a_column_that_does_not_exist_is_named_with_the_one_that_is_meant() -> None:
    (found,) = problems(PLAIN, url_column="Url")
    assert found.tip == "write --url-column url"


def test_a_choice_of_the_user_counts_more_than_a_name() -> None:
    text = "url,goal,sku\nhttps://a.example/1,Read it,7\n"
    (spec,) = specs(text, url="https://b.example/{sku}", goal="Find {sku}")
    assert (spec.url, spec.goal) == ("https://b.example/7", "Find 7")
    assert spec.columns == {"url": "https://a.example/1", "goal": "Read it", "sku": "7"}


def test_the_goal_of_the_defaults_is_a_template_and_fills_empty_cells() -> None:
    text = "url,goal,sku\nhttps://a.example/1,,7\nhttps://a.example/2,Read it,8\n"
    assert [spec.goal for spec in specs(text, defaults={"goal": "Find {sku}"})] == [
        "Find 7",
        "Read it",
    ]


def test_a_column_named_task_is_carried_where_a_goal_is_given_for_all() -> None:
    text = "url,Task\nhttps://a.example/1,T-7\n"
    (spec,) = specs(text, defaults={"goal": "Read it"})
    assert (spec.goal, spec.columns) == ("Read it", {"Task": "T-7"})


def test_double_braces_around_a_column_are_text_and_warned_of() -> None:
    file = load("url,sku\nhttps://a.example/1,7\n", goal="Find {{sku}}")
    assert [spec.goal for spec in file.specs] == ["Find {sku}"]
    assert "the cell of the column is `{sku}`" in file.warnings[0]


_ROWS = "".join(f"https://a.example/{n},s{n},c{n % 2},Read it\n" for n in range(40))
WRONG = {
    "url": ({"url_column": "sku"}, "no cell of column `sku` looks like a url", "--url-column link"),
    "id": (
        {"url_column": "link", "id_column": "cat"},
        "column `cat` has the same cells in many rows",
        "--id-column sku or --id-column link",
    ),
}


@pytest.mark.parametrize("role", WRONG)
def test_a_wrong_column_is_one_problem_with_the_column_that_fits(role: str) -> None:
    choices, message, instead = WRONG[role]
    (found,) = problems(f"link,sku,cat,goal\n{_ROWS}", **choices)
    assert message in found.message
    assert found.tip is not None
    assert found.tip.startswith(f"did you mean {instead}?")
    assert "`link`, `sku`, `cat`, `goal`" in found.tip


def test_a_column_with_some_wrong_cells_is_told_cell_by_cell() -> None:
    rows = "".join(f"https://a.example/{n},s{n},Read it\n" for n in range(9))
    (found,) = problems(f"link,sku,goal\n{rows}b c,s9,Read it\n", url_column="link")
    assert found.line == 11
    clashes = problems(f"link,sku,goal\n{rows}https://b.example,s1,Read it\n", id_column="sku")
    assert [each.line for each in clashes] == [11]
    assert len(specs(f"link,sku,goal\n{rows}{rows}", id_column="sku")) == 9


# ---- cells ----


def test_other_columns_are_carried_in_their_order_with_their_text_unchanged() -> None:
    text = 'sku,url,zip,goal,"What, else"\n00123, https://a.example/1 ,1-2, Read it ,"a\nb"\n'
    file = load(text)
    (spec,) = file.specs
    assert (spec.url, spec.goal) == ("https://a.example/1", "Read it")
    assert list(spec.columns.items()) == [("sku", "00123"), ("zip", "1-2"), ("What, else", "a\nb")]
    assert file.columns == ("sku", "zip", "What, else")


def test_a_column_under_another_name_is_carried_beside_its_url() -> None:
    (spec,) = specs("Link,goal\n https://a.example/1,Read it\n")
    assert spec.columns == {"Link": " https://a.example/1"}


def test_values_of_json_are_carried_as_values() -> None:
    text = '{"url":"https://a.example/1","goal":"G","n":1,"x":[1.5,null],"b":true}\n{"url":"https://a.example/2","goal":"G","n":12345678901234567890}\n'
    first, second = specs(text, file="pairs.jsonl")
    assert first.columns == {"n": 1, "x": [1.5, None], "b": True}
    assert second.columns == {"n": 12345678901234567890, "x": None, "b": None}


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n\x1a\x85\u2028\u2029"))


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=4))
def test_any_cell_comes_back_as_it_is(rows: list[tuple[str, str]]) -> None:
    stream = io.StringIO()
    writer = csv.writer(stream, quoting=csv.QUOTE_ALL)
    writer.writerow(["n", "a", "b", "url"])
    for number, (a, b) in enumerate(rows):
        writer.writerow([number, a, b, f"https://a.example/{number}"])
    found = specs(stream.getvalue(), goal="Read {n}")
    assert [spec.columns for spec in found] == [
        {"n": str(number), "a": a, "b": b} for number, (a, b) in enumerate(rows)
    ]


# ---- what is refused ----


def test_an_error_of_a_spreadsheet_in_a_column_that_is_only_carried_is_carried() -> None:
    text = "Link,goal,stock\nhttps://a.example/1,Read it,#N/A\nhttps://a.example/2,Read it,#REF!\n"
    file = load(text)
    assert [spec.columns["stock"] for spec in file.specs] == ["#N/A", "#REF!"]
    assert [each for each in file.warnings if "#N/A" in each and ":2:" in each]
    (problem,) = problems(text.replace("Read it,#N/A", "#N/A,5"))
    assert (problem.line, problem.place) == (2, "column `goal`")


def test_errors_in_carried_cells_are_one_warning_of_a_kind_with_their_count() -> None:
    prices = ["#REF!", "#REF!", *range(7)]
    rows = "".join(f"https://a.example/1,Read {n},#N/A,{each}\n" for n, each in enumerate(prices))
    warnings = load(f"url,goal,stock,price\n{rows}").warnings
    assert [each.partition(": ")[2].partition(": exports")[0] for each in warnings] == [
        "the cell has the error #N/A of a spreadsheet (and 8 more cells)",
        "the cell has the error #REF! of a spreadsheet (and 1 more cell)",
    ]


def test_all_problems_are_reported_at_once_with_line_column_and_fix() -> None:
    text = (
        "sku,Link,goal\n1,a.example/1,Read it\n2,https://a.example/2,\n"
        "3,https://a.example/3,Say ${NAME}\n4,https://a.example/4,#N/A\n"
    )
    found = problems(text)
    assert [(each.line, each.place) for each in found] == [
        (2, "column `Link`"),
        (3, "column `goal`"),
        (4, "column `goal`"),
        (5, "column `goal`"),
    ]
    assert "if no cell of the column has one, give --url 'https://{Link}'" in (found[0].tip or "")
    assert "batchrunner vault --help" in (found[2].tip or "")


def test_many_problems_of_one_kind_are_counted_and_hide_no_other_kind() -> None:
    rows = "".join(f"a.example/{number},Read it\n" for number in range(200))
    with pytest.raises(JobFileErrors) as caught:
        load(f"url,goal\n{rows}https://a.example/1,\n")
    assert len(caught.value.problems) == 11
    assert caught.value.problems[-1].line == 202
    assert str(caught.value) == "201 problems in pairs.csv"


def test_an_empty_cell_that_a_url_names_is_refused_and_in_a_goal_it_is_warned_of() -> None:
    (found,) = problems("sku,goal\nA,G\n ,G\n", url="https://a.example/{sku}-x")
    assert found.message == "the cell is empty, and the url names it"
    text = "url,a,b\nhttps://a.example/1,x,y\nhttps://a.example/2,x,\n"
    file = load(text, goal="Read {a} {b}")
    assert file.warnings == ("pairs.csv:3: column `b` is empty, and the goal names it",)
    (found,) = problems("url,a,b\nhttps://a.example/1,,\n", goal="Read {a} {b}")
    assert found.message == "all cells that the goal names are empty"


def test_a_table_without_rows_loads_nothing_and_says_so() -> None:
    (found,) = problems("url,goal\n")
    assert "no rows" in found.message


def test_an_id_that_is_taken_is_refused_with_its_line() -> None:
    text = (
        "id,url,goal\n7,https://a.example/1,G\n8,https://a.example/2,G\n7,https://a.example/3,G\n"
    )
    (found,) = problems(text)
    assert found.line == 4
    assert found.source_line == "7,https://a.example/3,G"
    assert found.message == "id `7` is already the job on line 2, which is another one"
    ids = [spec.key for spec in specs(text, id="{id}-{url}")]
    assert len(set(ids)) == 3


def test_rows_that_repeat_others_are_one_job_and_named_by_their_lines() -> None:
    row = "https://a.example/1,G\n"
    file = load(f"url,goal\n{row}{row}https://a.example/2,G\n{row}", f"url,goal\n{row}")
    assert len(file.specs) == len(list(file.specs)) == 2
    assert file.duplicates == 3
    assert "line 3 repeats line 2, line 5 repeats line 2" in file.warnings[0]
    assert "line 2 repeats pairs.csv line 2" in file.warnings[0]


def test_rows_for_the_same_page_are_loaded_and_warned_of() -> None:
    file = load("url,goal\nhttps://a.example/1,G\nhttps://a.example/1?utm_source=x,G\n")
    assert len(file.specs) == 2
    (warning,) = file.warnings
    assert "line 3 repeats line 2: the same page and goal" in warning
    assert load("url,goal\nhttps://a.example/1,G\nhttps://a.example/1,H\n").warnings == ()


def test_rows_with_problems_can_be_left_out_with_their_reasons() -> None:
    left: list[tuple[int, list[str], list[str]]] = []

    def refuse(table: Table, row: Row, reasons: list[str]) -> None:
        left.append((row.line, list(row.cells), reasons))

    text = (
        "id,url,goal\n1,https://a.example/1,G\n2,a.example/2,\n1,https://a.example/3,G\n"
        "4,https://a.example/4,G,x\n"
    )
    assert [spec.key for spec in load(text, refuse=refuse).specs] == ["1"]
    assert [line for line, _, _ in left] == [3, 5, 4]
    assert left[0][1] == ["2", "a.example/2", ""]
    assert [len(reasons) for _, _, reasons in left] == [2, 1, 1]


# ---- options ----


def options(header: str, *cells: str, **more: Any) -> Any:
    (spec,) = specs(
        f"url,goal,{header}\nhttps://a.example/1,G,{','.join(cells)}\n", to_options=True, **more
    )
    return spec.options


@pytest.mark.parametrize(
    ("header", "cell", "expected"),
    [
        ("browser_profile", "stealth", {"browser_profile": "stealth"}),
        ("Browser Profile", "stealth", {"browser_profile": "stealth"}),
        ("use_vault", "TRUE", {"use_vault": True}),
        ("proxy country", "DE", {"proxy_config": {"enabled": True, "country_code": "DE"}}),
        (
            "proxy_config.country_code",
            "DE",
            {"proxy_config": {"enabled": True, "country_code": "DE"}},
        ),
        ("max_steps", "20", {"agent_config": {"max_steps": 20}}),
        ("agent_config", '"{""max_steps"": 20}"', {"agent_config": {"max_steps": 20}}),
        ("browser_profile", "", {}),
        ("browser_profile", "null", {}),
    ],
)
def test_columns_named_like_keys_of_a_job_are_these(header: str, cell: str, expected: Any) -> None:
    assert options(header, cell) == expected


def test_options_of_a_row_replace_the_defaults_and_members_join_them() -> None:
    defaults = {"browser_profile": "lite", "agent_config": {"mode": "strict"}}
    found = options("browser_profile,max_steps", "stealth", "9", defaults=defaults)
    assert found == {
        "browser_profile": "stealth",
        "agent_config": {"mode": "strict", "max_steps": 9},
    }


def test_an_option_is_checked_as_in_a_job_file_at_its_cell() -> None:
    text = "url,goal,browser_profile,proxy country\nhttps://a.example/1,G,stelth,de\n"
    profile, country = problems(text, to_options=True)
    assert (profile.line, profile.place) == (2, "column `browser_profile`")
    assert profile.tip == "did you mean `stealth`?"
    assert country.place == "column `proxy country`"


def test_without_the_switch_such_columns_are_carried_and_warned_of() -> None:
    file = load("url,goal,browser_profile\nhttps://a.example/1,G,stealth\n")
    (spec,) = file.specs
    assert (spec.options, spec.columns) == ({}, {"browser_profile": "stealth"})
    assert "--columns-to-options" in file.warnings[0]


def test_a_json_array_is_another_form_of_a_job_file_and_its_options_count() -> None:
    text = '[{"url": "https://a.example/1", "goal": "G", "use_vault": true, "sku": 7}]'
    (spec,) = specs(text, file="pairs.json")
    assert (spec.options, spec.columns["sku"]) == ({"use_vault": True}, 7)
    (spec,) = specs(text, file="pairs.json", to_options=False)
    assert (spec.options, spec.columns["use_vault"]) == ({}, True)


def test_a_column_that_is_nearly_an_option_is_asked_about() -> None:
    file = load("url,goal,browser_profle\nhttps://a.example/1,G,stealth\n")
    assert "did you mean `browser_profile`?" in file.warnings[0]


# ---- matrix ----


def test_a_matrix_combines_each_row_with_each_value() -> None:
    matrix = (MatrixColumn("lang", ("de", "fr")), MatrixColumn("goal", ("Read {lang}", "Buy")))
    file = load("url\nhttps://a.example/1\nhttps://a.example/2\n", matrix=matrix)
    found = [(spec.url[-1], spec.columns["lang"], spec.goal) for spec in file.specs]
    assert (
        found[:4]
        == [
            ("1", "de", "Read {lang}"),
            ("1", "de", "Buy"),
            ("1", "fr", "Read {lang}"),
            ("1", "fr", "Buy"),
        ]
        or len(found) < 8
    )
    assert file.columns == ("lang",)


def test_a_name_of_the_matrix_that_is_a_column_is_refused() -> None:
    matrix = (MatrixColumn("goal", ("G",)),)
    found = problems(PLAIN, matrix=matrix)
    assert "`goal` is a column of the table, and a name of the matrix" in found[0].message


# ---- the long way and the short way ----


def test_specs_are_read_many_times_and_by_several_loops_at_once() -> None:
    rows = "".join(f"https://a.example/{number},G\n" for number in range(1203))
    file = load(f"url,goal\n{rows}")
    assert len(file.specs) == 1203
    pairs = zip(file.specs, file.specs, strict=True)
    assert all(first == second for first, second in pairs)
    assert list(file.specs)[1202].line == 1204
    assert replace(file, name="x").specs is file.specs


# ---- exports as input ----


def test_an_export_is_input_again_and_its_own_keys_are_no_ids() -> None:
    (first, own) = specs("id,url,goal\n,https://a.example/1,Read it\nb,https://a.example/2,Go\n")
    header = "id,url,goal,state,category,attempts,run_id"
    text = "".join(
        f"{each.key},{each.url},{each.goal},failed,blocked,1,r\n" for each in (first, own)
    )
    file = load(f"{header}\n{text}")
    assert [each.key for each in file.specs] == [first.key, "b"]
    assert "is an export: ids of 32 hex digits" in file.notes[0]


def test_an_id_of_32_hex_digits_in_another_table_is_refused() -> None:
    (found,) = problems(f"id,url,goal\n{'0a' * 16},https://a.example/1,Read it\n")
    assert "32 hex digits" in found.message
