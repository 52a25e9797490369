"""Messy tables as programs and people make them: loaded right, or reported with a way out."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.tables import load

U = "https://shop.example/1"
V = "https://shop.example/2"


@dataclass(frozen=True, kw_only=True)
class Right:
    """A table that is loaded: its columns and cells, and what is said of it."""

    data: bytes | str
    columns: list[str] = field(default_factory=lambda: ["url", "goal"])
    rows: list[list[Any]] = field(default_factory=lambda: [[U, "Read"]])
    lines: list[int] | None = None
    says: str = ""  #: part of a warning; none is expected without it
    file: str = "t.csv"
    kind: str = "csv"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Wrong:
    """A table with a mistake: where it is, what is said, and the fix."""

    data: bytes | str
    at: tuple[int, int]
    says: str
    fix: str = ""
    rows: list[list[Any]] | None = None  #: what is loaded beside it, if the others are skipped
    file: str = "t.csv"
    options: dict[str, Any] = field(default_factory=dict)


RIGHT: dict[str, Right] = {
    # ---- delimiters ----
    "comma": Right(data=f"url,goal\n{U},Read\n"),
    "semicolons of a German Excel, decimal comma": Right(
        data=f"url;goal;price\r\n{U};Read;1,99\r\n{V};Read;2,50\r\n",
        columns=["url", "goal", "price"],
        rows=[[U, "Read", "1,99"], [V, "Read", "2,50"]],
    ),
    "tabs copied from a sheet into a .txt": Right(data=f"url\tgoal\n{U}\tRead\n", file="t.txt"),
    "tabs under the name .csv": Right(
        data=f"url\tgoal\n{U}\tRead, please\n", rows=[[U, "Read, please"]]
    ),
    "pipes of a database": Right(
        data=f"url|goal\n{U}|Read, then; stop\n", rows=[[U, "Read, then; stop"]]
    ),
    "commas in unquoted cells of a tab table": Right(
        data=f"url\tgoal\n{U}\tRead a, b\n{V}\tRead c, d\n",
        rows=[[U, "Read a, b"], [V, "Read c, d"]],
    ),
    "more commas in cells than delimiters": Right(
        data=f'url;goal\n{U};"a, b, c; d"\n{V};"e, f, g; h"\n',
        rows=[[U, "a, b, c; d"], [V, "e, f, g; h"]],
    ),
    "commas in the header of a semicolon table": Right(
        data=f"url;goal, in words\n{U};Read\n", columns=["url", "goal, in words"]
    ),
    "urls with semicolons, commas and pipes": Right(
        data=f'url,goal\n{U}?a=1;b=2|c,Read\n"{V}?a,b",Read\n',
        rows=[[f"{U}?a=1;b=2|c", "Read"], [f"{V}?a,b", "Read"]],
    ),
    "line `sep=;` of Excel": Right(data=f"sep=;\r\nurl;goal\r\n{U};Read\r\n", lines=[3]),
    'line `"sep=,"` in quotes': Right(data=f'"sep=,"\nurl,goal\n{U},Read\n', lines=[3]),
    "line `SEP=|`": Right(data=f"SEP=|\nurl|goal\n{U}|Read\n"),
    "unit separator, given": Right(data=f"url^goal\n{U}^Read\n", options={"delimiter": "^"}),
    "tab, given by name": Right(data=f"url\tgoal\n{U}\tRead\n", options={"delimiter": "tab"}),
    "header only": Right(data="url,goal\n", rows=[]),
    "header only, without a line end": Right(data="url;goal", rows=[]),
    "one column": Right(data=f"url\n{U}\n{V}\n", columns=["url"], rows=[[U], [V]]),
    "one column of goals with commas": Right(
        data="goal\nRead, please\nRead\n", columns=["goal"], rows=[["Read, please"], ["Read"]]
    ),
    "one quoted column": Right(data=f'"url"\n"{U}"\n', columns=["url"], rows=[[U]]),
    # ---- quotes ----
    "line breaks and quotes inside cells": Right(
        data=f'url,goal\n{U},"Read\nthe ""price"", please"\n{V},Read\n',
        rows=[[U, 'Read\nthe "price", please'], [V, "Read"]],
        lines=[2, 4],
    ),
    "CRLF inside a cell, LF outside": Right(
        data=f'url,goal\n{U},"Read\r\nprice"\n', rows=[[U, "Read\r\nprice"]]
    ),
    "a quote inside an unquoted cell": Right(
        data=f'url,goal\n{U},Read the 5" one\n', rows=[[U, 'Read the 5" one']]
    ),
    "blanks before quotes": Right(
        data=f'url, goal\n{U}, "Read, please"\n',
        rows=[[U, "Read, please"]],
        says="blanks behind `,` do not count",
    ),
    "all cells quoted, empty ones too": Right(
        data=f'"url","goal","note"\n"{U}","Read",""\n',
        columns=["url", "goal", "note"],
        rows=[[U, "Read", ""]],
    ),
    # ---- shapes ----
    "trailing delimiters everywhere": Right(data=f"url,goal,,\n{U},Read,,\n"),
    "trailing delimiters in rows only": Right(data=f"url,goal\n{U},Read,,\n"),
    "blank lines and rows of delimiters": Right(
        data=f"\n\nurl,goal\n\n{U},Read\n  \n,,\n,\n", lines=[5]
    ),
    "rows that lack their last cells": Right(
        data=f"url,goal,note\n{U},Read\n{V},Read,x\n",
        columns=["url", "goal", "note"],
        rows=[[U, "Read", ""], [V, "Read", "x"]],
        says="t.csv:2:1: 1 row has fewer cells than the header; the missing ones are empty",
    ),
    "blanks around names": Right(data=f" url , goal \n{U},Read\n"),
    "a line break in a name": Right(
        data=f'url,"the\ngoal"\n{U},Read\n', columns=["url", "the goal"], lines=[3]
    ),
    "an index without a name, as pandas writes it": Right(
        data=f",url,goal\n0,{U},Read\n",
        columns=["column 1", "url", "goal"],
        rows=[["0", U, "Read"]],
        says="a column without a name is loaded as `column 1`",
    ),
    "two columns of one name": Right(
        data=f"url,goal,tag,tag\n{U},Read,a,b\n",
        columns=["url", "goal", "tag", "tag 4"],
        rows=[[U, "Read", "a", "b"]],
        says="t.csv:1:14: a second column `tag` is loaded as `tag 4`",
    ),
    "lines that look like comments are rows": Right(
        data=f"id,url,goal\n#1,{U},Read\n#2,{V},Read\n",
        columns=["id", "url", "goal"],
        rows=[["#1", U, "Read"], ["#2", V, "Read"]],
    ),
    "text that looks like numbers, dates and truths": Right(
        data="url,zip,card,size,day,flag,sum\nu,00123,4111111111111111,1-2,01/02/2024,TRUE,1.10\n",
        columns=["url", "zip", "card", "size", "day", "flag", "sum"],
        rows=[["u", "00123", "4111111111111111", "1-2", "01/02/2024", "TRUE", "1.10"]],
    ),
    "blanks inside and around cells stay": Right(
        data=f"url,goal\n{U},  Read  it \n", rows=[[U, "  Read  it "]]
    ),
    "an id that a spreadsheet shortened": Right(
        data="id,url\n4.11111E+15,u\n",
        columns=["id", "url"],
        rows=[["4.11111E+15", "u"]],
        says="t.csv:2:1: 4.11111E+15 looks like a number that a spreadsheet shortened",
    ),
    "the last byte of a DOS file": Right(data=f"url,goal\r\n{U},Read\r\n\x1a"),
    "invisible characters in names": Right(data=f"\ufeff\ufeffurl\u200b,\u00a0goal\n{U},Read\n"),
    "a header that begins like SYLK": Right(
        data=f"ID;Price;url\nB;1;{U}\n",
        columns=["ID", "Price", "url"],
        rows=[["B", "1", U]],
    ),
    "a header that begins like ORC": Right(
        data=f"ORCID,url\n1,{U}\n", columns=["ORCID", "url"], rows=[["1", U]]
    ),
    "a name that other files have in the same place": Right(
        data=f"product,DUCK\na,{U}\n", columns=["product", "DUCK"], rows=[["a", U]]
    ),
    "NULL of MySQL, apostrophes, percent signs": Right(
        data=f"url,goal,%\n{U},it's 5%,\\N\n",
        columns=["url", "goal", "%"],
        rows=[[U, "it's 5%", "\\N"]],
    ),
    # ---- bytes ----
    "UTF-8 with a mark": Right(
        data=b"\xef\xbb\xbf" + f"url,goal\n{U},für\n".encode(), rows=[[U, "für"]]
    ),
    "UTF-16 with a mark, as Excel's Unicode text": Right(
        data=f"url\tgoal\r\n{U}\tfür\r\n".encode("utf-16"), rows=[[U, "für"]]
    ),
    "UTF-16 big-endian with a mark": Right(
        data=b"\xfe\xff" + f"url\tgoal\r\n{U}\tRead\r\n".encode("utf-16-be")
    ),
    "UTF-32 with a mark": Right(data=f"url,goal\n{U},Read\n".encode("utf-32")),
    "UTF-16 without a mark, named": Right(
        data=f"url,goal\n{U},Read\n".encode("utf-16-le"), options={"encoding": "utf-16-le"}
    ),
    "Latin letters of Windows, named": Right(
        data=f"url,goal\n{U},für 5 €\n".encode("cp1252"),
        rows=[[U, "für 5 €"]],
        options={"encoding": "cp1252"},
    ),
    "CR alone, as old Mac programs": Right(
        data=f"url,goal\r{U},Read\r{V},Read\r", rows=[[U, "Read"], [V, "Read"]], lines=[2, 3]
    ),
    "mixed line ends": Right(
        data=f"url,goal\r\n{U},Read\n{V},Read\r", rows=[[U, "Read"], [V, "Read"]], lines=[2, 3]
    ),
    "no line end behind the last row": Right(data=f"url,goal\n{U},Read"),
    "line separators of Unicode are text": Right(
        data=f"url,goal\n{U},a\u2028b\x85c\n", rows=[[U, "a\u2028b\x85c"]]
    ),
    "gzip": Right(data=gzip.compress(f"url,goal\n{U},Read\n".encode()), file="t.csv.gz"),
    "gzip under another name": Right(data=gzip.compress(f"url,goal\n{U},Read\n".encode())),
    "two gzip files, one behind the other": Right(
        data=gzip.compress(b"url,goal\n") + gzip.compress(f"{U},Read\n".encode())
    ),
    # ---- other formats under any name ----
    "CSV under the name .yaml": Right(data=f"url,goal\n{U},Read\n", file="jobs.yaml"),
    "CSV under the name .json": Right(data=f"url,goal\n{U},Read\n", file="jobs.json"),
    "a list of urls": Right(
        data=f"# mine\n{U}\n\n  {V}  \n# end\n",
        file="urls.txt",
        kind="urls",
        columns=["url"],
        rows=[[U], [V]],
        lines=[2, 4],
    ),
    "a list of urls under the name .csv": Right(
        data=f"{U}\n{V}\n", kind="urls", columns=["url"], rows=[[U], [V]]
    ),
    "a list of domains": Right(
        data="shop.example\nwww.shop.example/a\n",
        kind="urls",
        columns=["url"],
        rows=[["shop.example"], ["www.shop.example/a"]],
    ),
    "JSONL": Right(
        data=f'{{"url":"{U}","goal":"Read"}}\n\n{{"goal":"Read","url":"{V}","n":1.10}}\n',
        file="t.jsonl",
        kind="jsonl",
        columns=["url", "goal", "n"],
        rows=[[U, "Read", None], [V, "Read", "1.10"]],
        lines=[1, 3],
    ),
    "JSONL under the name .csv, with a mark": Right(
        data="\ufeff" + f'{{"url":"{U}"}}\r\n{{"url":"{V}"}}\r\n',
        kind="jsonl",
        columns=["url"],
        rows=[[U], [V]],
    ),
    "numbers with all their digits": Right(
        data='{"a":12345678901234567890123,"b":1e400}\n{"a":-0.10}\n',
        kind="jsonl",
        columns=["a", "b"],
        rows=[["12345678901234567890123", "1e400"], ["-0.10", None]],
    ),
    "nested values, null and NaN": Right(
        data='{"a":{"b":[1,null]},"c":null}\n{"a":[],"c":NaN}\n',
        kind="jsonl",
        columns=["a", "c"],
        rows=[[{"b": ["1", None]}, None], [[], None]],
    ),
    "one JSON array": Right(
        data=f'[\n {{"url": "{U}", "sku": "01"}},\n {{"url": "{V}"}}\n]\n',
        file="t.json",
        kind="json",
        columns=["url", "sku"],
        rows=[[U, "01"], [V, None]],
        lines=[2, 3],
    ),
    "an answer of an API with its rows inside": Right(
        data=f'{{"total": 1, "data": {{"rows": [{{"url": "{U}"}}]}}}}',
        file="t.json",
        kind="json",
        columns=["url"],
        rows=[[U]],
    ),
    "an array of urls": Right(
        data=f'["{U}", "{V}"]', file="t.json", kind="json", columns=["url"], rows=[[U], [V]]
    ),
    "objects over several lines, as jq writes them": Right(
        data=f'{{\n "url": "{U}",\n "n": 1\n}}\n{{\n "url": "{V}"\n}}\n',
        file="t.json",
        kind="json",
        columns=["url", "n"],
        rows=[[U, "1"], [V, None]],
        lines=[1, 5],
    ),
    "one JSON object": Right(
        data=f'{{"url": "{U}", "sku": "1"}}', kind="json", columns=["url", "sku"], rows=[[U, "1"]]
    ),
    "jobs in a JSON array whose keys become columns": Right(
        data=f'[{{"url": "{U}", "goal": "Read"}}]',
        file="t.json",
        kind="json",
        options={"is_table": True},
    ),
    "a job file": Right(
        data=f"- url: {U}\n  goal: Read\n", file="jobs.txt", kind="yaml", columns=[], rows=[]
    ),
    "a job file with sections, under the name .csv": Right(
        data=f"# mine\njobs:\n- url: {U}\n", kind="yaml", columns=[], rows=[]
    ),
    "a job file written as JSON": Right(
        data=f'[{{"url": "{U}", "goal": "Read"}}]',
        file="jobs.json",
        kind="yaml",
        columns=[],
        rows=[],
    ),
    "a job file that is not complete": Right(
        data="- url: [", file="jobs.yaml", kind="yaml", columns=[], rows=[]
    ),
}

WRONG: dict[str, Wrong] = {
    "too many cells": Wrong(
        data=f"url,goal\n{U},Read, please\n{V},Read\n",
        at=(2, 29),
        says="the row has 3 cells, and the header 2",
        fix="put a cell that contains `,` in quotes",
        rows=[[V, "Read"]],
    ),
    "a quote that is never closed": Wrong(
        data=f'url,goal\n{V},Read\n{U},"Read\n{V},Read\n',
        at=(3, 24),
        says="this quote is never closed",
        fix="close it",
    ),
    "a quote that closes lines later": Wrong(
        data=f'url,goal\n{U},"Read\n{V},"Read"\n{V},Read\n',
        at=(2, 24),
        says="this quote closes only in line 3",
        fix='write each " twice',
        rows=[[V, "Read"]],
    ),
    "text behind a closing quote": Wrong(
        data=f'url,goal\n{U},"5" screen"\n',
        at=(2, 24),
        says="text follows the closing quote",
        fix='write each " twice',
        rows=[],
    ),
    "quotes escaped by backslashes": Wrong(
        data=f'url,goal\n{U},"a \\"b\\" c"\n',
        at=(2, 24),
        says="text follows the closing quote",
        fix='sed \'s/\\\\"/""/g\' t.csv > fixed.csv',
        rows=[],
    ),
    "lines above the header": Wrong(
        data=f"Report of shop.example\nMade on 2024-01-02\n\nurl,goal\n{U},Read\n{V},Read\n",
        at=(4, 1),
        says="the header seems to be in line 4",
        fix="tail -n +4 t.csv > table.csv",
    ),
    "a comment above the header": Wrong(
        data=f"# pairs of May\nurl,goal\n{U},Read\n{V},Read\n",
        at=(2, 1),
        says="the header seems to be in line 2",
        fix="tail -n +2 t.csv",
    ),
    "no header": Wrong(
        data=f"{U},Read\n{V},Read\n",
        at=(1, 1),
        says="the first row has a url: the table has no header",
        fix="sed '1i url,goal' t.csv > with-header.csv",
    ),
    "no header, other delimiter, gzip": Wrong(
        data=gzip.compress(f"7;Read the price;{U}\n8;Read;{V}\n".encode()),
        at=(1, 18),
        says="the table has no header",
        fix="gunzip -c t.csv | sed '1i column1;goal;url' > with-header.csv",
    ),
    "row names of R": Wrong(
        data=f'"url","goal"\n"1","{U}","Read"\n"2","{V}","Read"\n',
        at=(1, 1),
        says="the header has 2 columns, and most rows have 3 cells",
        fix="row.names = FALSE",
    ),
    "one column whose urls all have a comma": Wrong(
        data="url\nhttps://a.example/p,1\nhttps://a.example/p,2\n",
        at=(1, 1),
        says="the header has 1 column, and most rows have 2 cells",
        fix="--delimiter tab",
    ),
    "cells between carets": Wrong(
        data=f"url^goal\n{U}^Read it\n{V}^Read\n",
        at=(1, 1),
        says="the cells seem to be separated by '^'",
        fix="--delimiter '^'",
    ),
    "cells between control characters, as Hive writes them": Wrong(
        data=f"url\x01goal\n{U}\x01Read\n",
        at=(1, 1),
        says="the cells seem to be separated by '\\x01'",
        fix="--delimiter $'\\x01'",
    ),
    "columns aligned by blanks": Wrong(
        data=f"url                        goal\n{U}    Read it\n{V}    Read\n",
        at=(1, 1),
        says="the columns seem to be aligned by blanks",
        fix="write one of , ; | or a tab",
    ),
    "single quotes": Wrong(
        data=f"'url','goal'\n'{U}','Read, please'\n",
        at=(1, 1),
        says="the names are in other quotes than those of CSV",
        fix='write "',
    ),
    "a header in the middle": Wrong(
        data=f"url,goal\n{U},Read\nurl,goal\n{V},Read\n",
        at=(3, 1),
        says="the row repeats the header",
        fix="delete it",
        rows=[[U, "Read"], [V, "Read"]],
    ),
    "a url with words behind it": Wrong(
        data=f"{U} the first\n{V} the second\n", at=(1, 1), says="the table has no header"
    ),
    "JSONL: commas of an array": Wrong(
        data=f'{{"url":"{U}"}},\n{{"url":"{V}"}}\n',
        file="t.jsonl",
        at=(1, 33),
        says="a comma follows the object",
        fix="JSONL has none",
        rows=[[V]],
    ),
    "two columns `url`": Wrong(
        data=f"url,goal,url\n{U},Read,{V}\n",
        at=(1, 10),
        says="a second column is named `url`",
        fix="rename",
    ),
    "an error of a spreadsheet in a cell": Wrong(
        data=f"url,goal\n{U},#N/A\n{V},Read\n",
        at=(2, 24),
        says="the cell has the error #N/A",
        fix="fix its formula",
        rows=[[V, "Read"]],
    ),
    "NUL bytes": Wrong(
        data=f"url,goal\n{V},Read\n{U},Re\0ad\n",
        at=(3, 26),
        says="the line has NUL characters",
        fix="tr -d '\\000' < t.csv > clean.csv",
    ),
    "Latin letters of Windows": Wrong(
        data=f"url,goal\n{U},Lies für Straße\n".encode("cp1252"),
        at=(2, 30),
        says="the byte \\xfc is not valid UTF-8",
        fix="--encoding cp1252 if it reads: https://shop.example/1,Lies für Straße",
    ),
    "Cyrillic of Windows": Wrong(
        data=f"url,goal\n{U},Прочитай цену товара\n".encode("cp1251"),
        at=(2, 24),
        says="not valid UTF-8",
        fix="--encoding cp1251 if it reads: https://shop.example/1,Прочитай цену",
    ),
    "Japanese of Windows": Wrong(
        data=f"url,goal\n{U},価格を読んでください\n".encode("cp932"),
        at=(2, 24),
        says="not valid UTF-8",
        fix="--encoding cp932 if it reads",
    ),
    "Chinese": Wrong(
        data=f"url,goal\n{U},读取商品的价格和名称\n".encode("gb18030"),
        at=(2, 24),
        says="not valid UTF-8",
        fix="--encoding gb18030 if it reads: https://shop.example/1,读取",
    ),
    "Polish of Windows": Wrong(
        data=f"url,goal\n{U},Przeczytaj cenę źródła\n".encode("cp1250"),
        at=(2, 38),
        says="not valid UTF-8",
        fix="--encoding cp1250 if it reads",
    ),
    "letters of DOS": Wrong(
        data=f"url,goal\n{U},Lies für Größe\n".encode("cp850"),
        at=(2, 30),
        says="not valid UTF-8",
        fix="--encoding cp850 if it reads",
    ),
    "letters of an old Mac": Wrong(
        data=f"url,goal\r{U},Lies für Größe\r".encode("mac_roman"),
        at=(2, 30),
        says="not valid UTF-8",
        fix="--encoding mac_roman if it reads",
    ),
    "a table that is half UTF-8, half Windows": Wrong(
        data=f"url,goal\n{U},für\n".encode() + f"{V},für\n".encode("cp1252"),
        at=(3, 25),
        says="the byte \\xfc is not valid UTF-8",
    ),
    "a UTF-8 character cut at the end": Wrong(
        data=f"url,goal\n{U},f\xfc".encode()[:-1], at=(2, 25), says="not valid UTF-8"
    ),
    "JSONL: a missing comma": Wrong(
        data=f'{{"url":"{V}"}}\n{{"url":"{U}" "goal":1}}\n',
        at=(2, 33),
        says="this is not JSON: expecting ',' delimiter",
        rows=[[V]],
    ),
    "JSONL: a list": Wrong(
        data=f'{{"url":"{V}"}}\n[1]\n',
        at=(2, 1),
        says="this is a list, not an object",
        fix='{"url": "…"',
        rows=[[V]],
    ),
    "JSONL: a key twice": Wrong(
        data=f'{{"url":"{V}"}}\n{{"url":"a","url":"b"}}\n',
        at=(2, 1),
        says="the key `url` is given twice",
        rows=[[V]],
    ),
    "JSONL: dicts of Python": Wrong(
        data=f"{{'url': '{U}'}}\n{{'url': '{V}'}}\n",
        file="t.jsonl",
        at=(1, 2),
        says="this is not JSON",
        fix="JSON has double quotes only",
        rows=[],
    ),
    "JSONL: half a character": Wrong(
        data=f'{{"url":"{V}"}}\n{{"url":"\\ud800"}}\n',
        at=(2, 9),
        says="unpaired surrogate",
        rows=[[V]],
    ),
    "JSON: columns instead of rows": Wrong(
        data='{"url": {"0": "a"}, "goal": {"0": "b"}}',
        at=(1, 1),
        says="the object has columns, not rows",
        fix="orient='records'",
    ),
    "JSON: several lists": Wrong(
        data='{"a": [{"x": 1}], "b": [{"y": 1}]}',
        file="x y.json",
        at=(1, 1),
        says="several lists of rows: `a`, `b`",
        fix="jq -c '.a[]' 'x y.json' > table.jsonl",
    ),
    "JSON: lists of lists": Wrong(
        data='[["url"], ["a"]]',
        at=(1, 1),
        says="a list of lists",
        fix="jq -r '.[] | @csv' t.csv > table.csv",
    ),
    "JSON: a comma at the end": Wrong(
        data=f'[{{"url": "{U}", "sku": 1}},\n]',
        at=(1, 45),
        says="a comma ends the list",
        fix="remove the comma",
    ),
    "JSON: cut": Wrong(
        data=f'[{{"url": "{U}", "sku": 1}}', at=(1, 45), says="a comma or `]` is missing"
    ),
}


@pytest.mark.parametrize("case", RIGHT.values(), ids=RIGHT)
def test_a_messy_table_is_loaded_as_it_was_meant(case: Right) -> None:
    loaded = load(case.data, case.file, **case.options)
    assert (loaded.refusal, loaded.problems) == (None, ())
    assert (loaded.kind, loaded.columns, loaded.rows) == (case.kind, case.columns, case.rows)
    assert case.lines is None or loaded.lines == case.lines
    assert len(loaded.warnings) == (1 if case.says else 0), loaded.warnings
    assert all(case.says in warning for warning in loaded.warnings)


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_a_mistake_in_a_table_is_reported_where_it_is_with_the_fix(case: Wrong) -> None:
    loaded = load(case.data, case.file, **case.options)
    assert loaded.refusal is None
    problem = loaded.problems[0]
    assert (problem.line, problem.column) == case.at, problem
    assert case.says in problem.message
    assert case.fix in (problem.tip or "")
    assert case.rows is None or loaded.rows == case.rows
