from __future__ import annotations

import csv
import io
import json
import math
import re
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchrunner.model import FailureCategory, FinishedJob, JobState
from batchrunner.outputs import (
    FORMATS,
    ExportTable,
    Jobs,
    Written,
    format_of,
    formats_help,
    suffixes_help,
    unguard,
)
from batchrunner.outputs.all_columns import MAX_COLUMNS
from batchrunner.outputs.columns import FIELDS
from batchrunner.outputs.csv import _Rows, write_csv
from batchrunner.outputs.json_values import MAX_DEPTH, _strict, strict_line
from batchrunner.outputs.sheet import Sheet

AT = datetime(2026, 9, 2, 21, 0, 1, 250_000, tzinfo=UTC)


def job(position: int = 1, result: str | None = None, **fields: Any) -> FinishedJob:
    given: dict[str, Any] = {
        "key": f"job-{position}",
        "url": f"https://shop.example/{position}",
        "goal": "Get the price",
        "state": JobState.SUCCEEDED,
        "attempts": 1,
    }
    return FinishedJob(position=position, result=result, **{**given, **fields})


def results(*texts: str | None) -> list[FinishedJob]:
    return [job(position, text) for position, text in enumerate(texts, 1)]


def written(format: str, jobs: Jobs) -> tuple[str, Written]:
    file = io.BytesIO()
    counts = FORMATS[format].write(ExportTable(jobs=jobs), file)
    return file.getvalue().decode(), counts


def export(format: str, jobs: list[FinishedJob]) -> str:
    return written(format, lambda: jobs)[0]


def table(jobs: list[FinishedJob]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(export("csv", jobs), newline=""), strict=True))


def columns(jobs: list[FinishedJob]) -> list[str]:
    header = next(csv.reader(io.StringIO(export("csv", jobs), newline="")))
    return header[len(FIELDS) + 1 :]


def cell(result: str, column: str = "result") -> str:
    return table(results(result))[0][column]


def objects(jobs: list[FinishedJob]) -> list[dict[str, Any]]:
    text = export("jsonl", jobs)
    assert text.isascii()
    assert text.count("\n") == len(jobs)
    return [loads_strictly(line) for line in text.splitlines()]


def loads_strictly(line: str) -> Any:
    """Parse JSON as the strictest parsers do: no NaN, no infinity, no half characters."""

    def finite(text: str) -> float:
        value = float(text)
        assert math.isfinite(value), text
        return value

    def refuse(text: str) -> None:
        raise AssertionError(text)

    def check_and_count(text: str) -> int:
        finite(text)
        return int(text)

    value = json.loads(line, parse_float=finite, parse_int=check_and_count, parse_constant=refuse)
    json.dumps(value, ensure_ascii=False).encode()
    return value


# ---- formats ----


@pytest.mark.parametrize(
    ("suffix", "format"),
    [
        (".csv", "csv"),
        (".CSV", "csv"),
        (".jsonl", "jsonl"),
        (".ndjson", "jsonl"),
        (".json", None),
        ("", None),
    ],
)
def test_the_suffix_chooses_the_format(suffix: str, format: str | None) -> None:
    assert format_of(suffix) == format


@pytest.mark.parametrize("format", ["jsonl"])
def test_an_export_takes_jobs_one_by_one(format: str) -> None:
    given: list[int] = []

    class File(io.BytesIO):
        def write(self, data: Any) -> int:
            if bytes(data).startswith((b"job-1", b'{"id":"job-1"')):
                assert given[-1] == 1
            return super().write(data)

    def jobs() -> Iterator[FinishedJob]:
        for position in range(1, 4):
            given.append(position)
            yield job(position, "{}")

    assert FORMATS[format].write(ExportTable(jobs=jobs), File()).jobs == 3


def test_a_help_text_names_each_format_and_one_suffix_of_each() -> None:
    assert suffixes_help().startswith(".csv, .tsv, ")
    assert suffixes_help().endswith(" or .md")
    assert formats_help().count(" is ") == len(FORMATS)


def test_golden_csv() -> None:
    jobs = [
        job(
            1,
            '{"status": "success", "price": 1299.10, "offer": {"currency": "EUR", "left": null},'
            ' "tags": ["new", "caf\\u00e9"], "stock": true}',
            run_id="run-1",
            steps=12,
            cost="0.192",
            started_at=AT,
            finished_at=AT + timedelta(minutes=1),
        ),
        job(2, '{"price": -5, "title": "=HYPERLINK(\\"http://evil.example\\")", "size.cm": "3,5"}'),
        job(3, '["a", 1.10]'),
        job(4, '{"broken', goal="Two\nlines"),
        job(
            5,
            state=JobState.FAILED,
            attempts=3,
            category=FailureCategory.BLOCKED,
            code="CAPTCHA",
            message="@captcha, twice",
        ),
    ]
    text, counts = written("csv", lambda: jobs)
    assert text == (
        "id,url,goal,state,category,code,message,attempts,steps,run_id,started_at,finished_at,"
        "changes,cost,verdict,verdict_rule,verdict_path,verdict_seen,result,result.status,result.price,result.offer.currency,result.offer.left,result.tags,"
        "result.stock,result.title,result.size\\.cm\n"
        "job-1,https://shop.example/1,Get the price,succeeded,,,,1,12,run-1,"
        "2026-09-02T21:00:01.250Z,2026-09-02T21:01:01.250Z,"
        ',0.192,,,,,,success,1299.10,EUR,,"[""new"", ""café""]",true,,\n'
        "job-2,https://shop.example/2,Get the price,succeeded,,,,1,,,,,"
        ',,,,,,,,-5,,,,,"\'=HYPERLINK(""http://evil.example"")","3,5"\n'
        "job-3,https://shop.example/3,Get the price,succeeded,,,,1,,,,,"
        ',,,,,,"[""a"", 1.10]",,,,,,,,\n'
        'job-4,https://shop.example/4,"Two\nlines",succeeded,,,,1,,,,,'
        ',,,,,,"{""broken",,,,,,,,\n'
        'job-5,https://shop.example/5,Get the price,failed,blocked,CAPTCHA,"@captcha, twice",3,'
        ",,,,,,,,,,,,,,,,,,\n"
    )
    assert counts == Written(jobs=5, rows=5, guarded=1)


def test_golden_jsonl() -> None:
    assert export(
        "jsonl", [job(1, '{"price": 1.10, "price": 2}', started_at=AT), job(2, "{x")]
    ) == (
        '{"id":"job-1","url":"https://shop.example/1","goal":"Get the price","state":"succeeded",'
        '"category":null,"code":null,"message":null,"attempts":1,"steps":null,"run_id":null,'
        '"started_at":"2026-09-02T21:00:01.250Z","finished_at":null,"changes":null,"cost":null,'
        '"verdict":null,"verdict_rule":null,"verdict_path":null,"verdict_seen":null,'
        '"result":{"price": 1.10, "price": 2}}\n'
        '{"id":"job-2","url":"https://shop.example/2","goal":"Get the price","state":"succeeded",'
        '"category":null,"code":null,"message":null,"attempts":1,"steps":null,"run_id":null,'
        '"started_at":null,"finished_at":null,"changes":null,"cost":null,'
        '"verdict":null,"verdict_rule":null,"verdict_path":null,"verdict_seen":null,'
        '"result":null,"result_unreadable":"{x"}\n'
    )


def test_paths_of_artifacts_have_a_column_where_there_are_any() -> None:
    plain = job(1, '{"a": 1}')
    captured = job(2, '{"a": 2}', artifacts=("/c/lamp/1-step-001.jpg", '/c/"odd".mp4'))
    assert "artifacts" not in columns([plain])
    rows = table([plain, captured])
    assert [*rows[0]][len(FIELDS) :] == ["result", "artifacts", "result.a"]
    assert [row["artifacts"] for row in rows] == ["", json.dumps(list(captured.artifacts))]
    assert "artifacts" not in objects([plain])[0]
    assert objects([captured])[0]["artifacts"] == list(captured.artifacts)


def test_excel_gets_a_byte_order_mark_and_its_line_ends() -> None:
    jobs = results('{"a": "x\\ny"}')
    plain, excel = export("csv", jobs), export("excel", jobs)
    assert excel.startswith("\ufeffid,url,")
    assert excel.endswith('"x\ny"\r\n')
    assert excel.removeprefix("\ufeff").replace("\r\n", "\n") == plain


def test_excel_where_the_decimal_sign_is_a_comma_gets_numbers_it_can_read() -> None:
    result = '{"p": 12.50, "n": -3.5e2, "t": "v1.5; x", "l": [1.5], "f": "=1+1"}'
    text = export("excel-comma", [job(result=result, cost="0.144", steps=9)])
    (row,) = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=";")
    assert text.endswith("\r\n")
    assert (row["cost"], row["steps"], row["result.p"], row["result.n"]) == (
        "0,144",
        "9",
        "12,50",
        "-3,5e2",
    )
    assert (row["result.t"], row["result.l"], row["result.f"]) == ("v1.5; x", "[1.5]", "'=1+1")


def test_instants_are_shown_in_utc() -> None:
    local = AT.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert table([job(started_at=local)])[0]["started_at"] == "2026-09-02T21:00:01.250Z"
    assert table([job(started_at=AT.replace(microsecond=0))])[0]["started_at"].endswith(":01.000Z")


# ---- CSV ----


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ('{"x": 1.10}', "1.10"),
        ('{"x": -5}', "-5"),
        ('{"x": 18446744073709551617}', "18446744073709551617"),
        ('{"x": %s}' % ("7" * 5_000), "7" * 5_000),
        ('{"x": 1e400}', "1e400"),
        ('{"x": NaN}', "NaN"),
        ('{"x": -Infinity}', "-Infinity"),
        ('{"x": true}', "true"),
        ('{"x": null}', ""),
        ('{"x": ""}', ""),
        ('{"x": {}}', "{}"),
        ('{"x": []}', "[]"),
        ('{"x": [1.10, NaN, 1e400, true, null, {"a": "\\u00e9"}]}', None),
        ('{"x": "\\ud83d"}', "\ufffd"),
        ('{"x": "\\ud83d\\ude00"}', "\U0001f600"),
        ('{"x": "a\\u0000b"}', "a␀b"),
        ('{"x": "a\\r\\nb\\rc"}', "a\r\nb\rc"),
        ('{"x": 1, "x": 2}', "2"),
    ],
)
def test_values_in_cells(result: str, text: str | None) -> None:
    shown = '[1.10, null, "1e400", true, null, {"a": "é"}]' if text is None else text
    assert cell(result, "result.x") == shown


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ("null", ""),
        ("true", "true"),
        ("1.10", "1.10"),
        ('"text"', "text"),
        ("[1, {}]", "[1, {}]"),
        ("{}", "{}"),
        ("", ""),
        ("<html>", "<html>"),
        ('{"a": 1} trailing', '{"a": 1} trailing'),
        ("[" * 2_000 + "]" * 2_000, "[" * 2_000 + "]" * 2_000),
    ],
)
def test_what_is_no_object_stands_in_the_result_column(result: str, text: str) -> None:
    assert cell(result) == text


def test_columns_come_in_order_of_first_appearance() -> None:
    jobs = results('{"b": 1, "a": {"z": 1}}', None, '{"c": 1, "b": 2}', '{"a": {"y": 1, "z": 2}}')
    assert columns(jobs) == ["result.b", "result.a.z", "result.c", "result.a.y"]


def test_paths_never_share_a_column() -> None:
    paths = ['{"a.b": 1}', '{"a": {"b": 2}}', '{"a\\\\.b": 3}', '{"a\\\\": {"b": 4}}']
    keys = ['{"": 5}', '{"": {"": 6}}', '{".": 7}', '{"\\ud800": 8}', '{"\\ufffd": 9}']
    odd = ['{"\\u0000": 10}', '{"\\u2400": 11}', '{"\\n": 12}', '{"\\\\u000a": 13}']
    jobs = results(*paths, *keys, *odd)
    assert len(columns(jobs)) == len(jobs)
    for number, row in enumerate(table(jobs), 1):
        assert [text for name, text in row.items() if name.startswith("result") and text] == [
            str(number)
        ]


def test_a_header_stays_on_its_line() -> None:
    assert columns(results('{"a\\nb": 1, "": 2, "c.d": 3}')) == [
        "result.a\\u000ab",
        "result.",
        "result.c\\.d",
    ]


def test_too_many_columns_leave_the_whole_result_in_one() -> None:
    wide = json.dumps({f"k{number}": number for number in range(MAX_COLUMNS + 1)})
    jobs = results('{"first": 1}', wide, '{"k0": 5}')
    assert len(columns(jobs)) == MAX_COLUMNS
    first, second, third = table(jobs)
    assert (first["result.first"], first["result"]) == ("1", "")
    assert (second["result.k0"], second["result"]) == ("0", wide)
    assert (third["result.k0"], third["result"]) == ("5", "")


def test_a_whole_result_in_one_cell_is_guarded_once() -> None:
    wide = {f"k{number}": number for number in range(MAX_COLUMNS + 10)}
    text = json.dumps({**wide, "last": "a;=1+1"})
    assert written("csv", lambda: results(text))[1].guarded == 1


def test_a_result_that_grows_between_the_passes_is_not_lost() -> None:
    # A column of artifacts stands between others: then CSV, too, takes two passes over the jobs.
    before = [job(1, '{"a": 1}', artifacts=("a.png",))]
    after = [job(1, '{"a": 1, "b": 2}', artifacts=("a.png",))]
    passes = iter([before, before, after])
    text, _ = written("csv", lambda: next(passes))
    assert text.endswith(',"{""a"": 1, ""b"": 2}","[""a.png""]",1\n')


def test_csv_takes_one_pass_and_its_rows_wait_in_a_file() -> None:
    passes = iter([(job(at, json.dumps({f"f{at % 40}": "x" * 2000})) for at in range(2000))])
    tracemalloc.start()
    rows = FORMATS["csv"].write(ExportTable(jobs=lambda: next(passes)), Sink()).rows
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (rows, peak < 3_500_000) == (2000, True), f"{peak} bytes for 4 MB of results"


class Sink(io.BytesIO):
    """Keeps nothing."""

    def write(self, data: Any) -> int:
        return len(data)


@given(st.lists(st.dictionaries(st.sampled_from("abcdef"), st.integers(), max_size=3), max_size=9))
def test_csv_in_one_pass_has_the_bytes_of_two_passes(found: list[dict[str, int]]) -> None:
    jobs = [job(at, json.dumps(each)) for at, each in enumerate(found)]
    table = ExportTable(jobs=lambda: jobs)
    once, twice = io.BytesIO(), io.BytesIO()
    write_csv(table, once)
    rows = _Rows(table.view, ",", "\n", ".")
    sheet = Sheet(table)
    twice.write(rows.header(sheet.names).encode())
    for row in sheet.rows():
        twice.write("".join(rows.parts(row.cells, ())).encode())
    assert once.getvalue() == twice.getvalue()


def test_cells_are_quoted_as_the_csv_module_does() -> None:
    texts = ["", "plain", 'say "hi"', "a,b", "a\nb", "a\rb", "a\r\nb", " space ", "é", '"', '",\n']
    jobs = results(*(json.dumps({"x": text}) for text in texts))
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator="\r\n").writerows(
        csv.reader(io.StringIO(export("csv", jobs), newline=""))
    )
    assert export("excel", jobs).removeprefix("\ufeff") == file.getvalue()


#: JSON, and what is nearly JSON.
nearly_json = st.one_of(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=8,
    ).map(json.dumps),
    st.text(
        st.sampled_from('[]{}",:\\\n\r\t ueE0123456789abdDfNaIinty.-+\x01é\ud800'), max_size=24
    ),
    st.sampled_from(
        ["1" * 400, f"[{'7' * 309}, 1]", "1e999", '"\\ud800"', '"\\ud83d\\ude00"', "-0"]
    ),
)


@given(nearly_json)
def test_the_quick_reader_of_results_never_differs_from_the_other_one(text: str) -> None:
    quick = strict_line(text)
    if quick is not None:
        assert quick == "".join(_strict(text))


def test_most_results_are_read_by_the_quick_reader() -> None:
    assert strict_line('{"a": [1, 2.50, null],\n "b": "M\\u00fcller"}') is not None


# ---- the guard ----

formulas = st.text(alphabet=st.sampled_from("'=+-@\t\r\n\0＝＋－＠5.e a;\"|("))


def test_a_name_of_a_column_is_guarded_too() -> None:
    header = export("csv", results('{"a;=1+1": 1}')).splitlines()[0]
    assert header.endswith("result.a;'=1+1")


# ---- whatever comes ----

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(alphabet=st.characters(codec=None) | st.sampled_from("\ud83d\ude00\\\"\n\u2028=-'")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from("a.\\"), inner),
    max_leaves=10,
)
odd_texts = st.text(alphabet=st.sampled_from('[]{}":,\\ud83c\n\r 01-+.eENaInfty\u00e9\ud800'))
odd_numbers = st.from_regex(r"-?(0|[1-9][0-9]{0,400})(\.[0-9]{1,300})?([eE][+-]?[0-9]{1,4})?\Z")
odd_strings = st.lists(
    st.sampled_from(["\\ud83d", "\\ude00", "\\uD83D", "\\\\", "ud83d", "\\u00e9", "é", "\\n", "x"])
).map(lambda parts: f'{{"x": "{"".join(parts)}"}}')
any_result = (
    st.builds(json.dumps, anything, indent=st.none() | st.just(1), ensure_ascii=st.booleans())
    | odd_texts
    | odd_numbers
    | odd_strings
    | odd_numbers.map(lambda number: f'{{"x": [{number}]}}')
    | st.text()
)


def as_exported(value: Any) -> Any:
    """Return what JSONL shows of a value that Python reads from JSON."""
    if isinstance(value, dict):
        return {whole(key): as_exported(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_exported(item) for item in value]
    return whole(value) if isinstance(value, str) else value


def whole(text: str) -> str:
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


@given(st.lists(any_result | st.none(), max_size=4))
def test_every_line_is_strict_json(texts: list[str | None]) -> None:
    for line, text in zip(objects(results(*texts)), texts, strict=True):
        assert list(line)[: len(FIELDS) + 1] == [*FIELDS, "result"]
        if "result_unreadable" in line:
            assert (line["result"], line["result_unreadable"]) == (None, whole(text or ""))
            with pytest.raises(json.JSONDecodeError):
                json.loads(text or "", parse_int=str)


@given(anything, st.booleans())
def test_jsonl_reads_back_as_the_value_that_was_sent(value: Any, pretty: bool) -> None:
    text = json.dumps(value, indent=1 if pretty else None)
    read = json.loads(text, parse_constant=lambda _: None, parse_float=lambda number: float(number))
    # A float that Python wrote is finite or a constant; an integer may be too large for a float.
    (line,) = objects(results(text))
    assert line["result"] == as_exported(read)


@pytest.mark.parametrize(
    ("result", "shown"),
    [
        ("1e400", '"1e400"'),
        ("-1E+0400", '"-1E+0400"'),
        ("9" * 250 + "e99", f'"{"9" * 250}e99"'),
        ("1" * 5_000, f'"{"1" * 5_000}"'),
        ("1e-400", "1e-400"),
        ("0." + "1" * 400, "0." + "1" * 400),
        ("18446744073709551617", "18446744073709551617"),
        ("[NaN, -Infinity, Infinity]", "[null, null, null]"),
        ('"NaN \\ud83d\\ude00"', '"NaN \\ud83d\\ude00"'),
        ('"\\\\ud83d\\ude00"', '"\\\\ud83d\\ufffd"'),
        ('"\\ud83dx"', '"\\ufffdx"'),
        ('"\\ud83d\\ud83d\\ude00"', '"\\ufffd\\ud83d\\ude00"'),
        ('{"\\uDE00": 1}', '{"\\ufffd": 1}'),
        ('"é\u2028\U0001f600"', '"\\u00e9\\u2028\\ud83d\\ude00"'),
        ('{\r\n  "a": "\\n"\r\n}', '{    "a": "\\n"  }'),
        ("[" * MAX_DEPTH + "]" * MAX_DEPTH, "[" * MAX_DEPTH + "]" * MAX_DEPTH),
        (json.dumps(["[{" * 100] * 3), json.dumps(["[{" * 100] * 3)),
    ],
)
def test_results_become_strict_and_change_no_more_than_they_must(result: str, shown: str) -> None:
    assert export("jsonl", results(result)).endswith(f'"result":{shown}}}\n')


@pytest.mark.parametrize(
    "result",
    [
        "",
        "undefined",
        '{"a": 1,}',
        "{1e400: 2}",
        '"raw \n newline"',
        "01e400",
        '\ufeff{"a": 1}',
        "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1),
        "[" * 100_000,
        '{"a":' * 2_000 + "1" + "}" * 2_000,
        '[{"' + "\\" * 9,
    ],
)
def test_what_cannot_be_read_is_kept_as_text(result: str) -> None:
    (line,) = objects(results(result))
    assert (line["result"], line["result_unreadable"]) == (None, result)
    assert cell(result) == result


@example(position=1, url="=1", goal="-1", message="'@", results_=['{"x": "=1"}'])
@given(
    st.integers(min_value=1),
    st.text(),
    st.text() | formulas,
    st.text() | formulas,
    st.lists(any_result | st.none(), max_size=4),
)
def test_csv_reads_back_whatever_comes(
    position: int, url: str, goal: str, message: str, results_: list[str | None]
) -> None:
    jobs = [job(position, text, url=url, goal=goal, message=message) for text in results_]
    text, counts = written("csv", lambda: jobs)
    header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert len(set(header)) == len(header)
    assert [len(row) for row in rows] == [len(header)] * len(jobs)
    for row in rows:
        shown = [unguard(cell) for cell in row[1:3]] + [unguard(row[6])]
        assert shown == [
            url.replace("\0", "␀"),
            goal.replace("\0", "␀"),
            message.replace("\0", "␀"),
        ]
    assert counts.guarded == sum(unguard(cell) != cell for row in rows for cell in row)


def path_of(column: str) -> tuple[str, ...]:
    """Return the keys that a column's name stands for."""
    parts = re.findall(r"\.((?:[^\\.]|\\.)*)", column.removeprefix("result"))
    escape = re.compile(r"\\(?:u([0-9a-f]{4})|([.\\]))")
    return tuple(
        escape.sub(lambda part: chr(int(part[1], 16)) if part[1] else part[2], part)
        for part in parts
    )


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    else:
        yield path


@given(st.dictionaries(st.text(), anything, min_size=1))
def test_column_names_can_be_taken_apart_again(value: dict[str, Any]) -> None:
    text, counts = written("csv", lambda: results(json.dumps(value)))
    names = next(csv.reader(io.StringIO(text, newline="")))[len(FIELDS) + 1 :]
    own = {name: old for old, name in counts.renamed}
    paths = [path_of(own.get(unguard(name), unguard(name))) for name in names]
    assert paths == list(leaves(value))
