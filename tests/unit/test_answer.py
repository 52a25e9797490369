"""The one reading of an answer: what is opened and unwrapped, and what stays text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrunner.judge.answer import MAX_NESTING, MAX_WORDS_BESIDE, read_answer
from batchrunner.text import json_size

ROW = {"name": "Lamp", "price": 12.5}
TEXT = json.dumps(ROW)

ROW_IN_WORDS = {
    "plain": TEXT,
    "padded": f"\ufeff \n{TEXT}\n ",
    "a string": json.dumps(TEXT),
    "a string in a string": json.dumps(json.dumps(TEXT)),
    "a fence": f"```json\n{TEXT}\n```",
    "a fence without a language": f"```\n{TEXT}\n```",
    "a fence of tildes": f"~~~JSON\r\n{TEXT}\r\n~~~",
    "a fence on one line": f"```{TEXT}```",
    "a fence between words": f"This is what I found:\n\n```json\n{TEXT}\n```\n\nAnything else?",
    "a fence beside one without JSON": f"```bash\nls\n```\n```json\n{TEXT}\n```",
    "a sentence before": f"Here is the data: {TEXT}",
    "a line before": f"Hier sind die Daten\n{TEXT}",
    "a sentence before and after": f"Voici les données :\n{TEXT}\n\nDites-moi si vous voulez plus.",
    "a sentence after on its line": f"{TEXT} That is all.",
    "a citation before": f"As the page [1] says: {TEXT}",
    "a full-width colon": f"結果：{TEXT}",
    "a string with words": json.dumps(f"Here it is:\n{TEXT}"),
    "a string with a fence": json.dumps(f"```json\n{TEXT}\n```"),
}


@pytest.mark.parametrize("text", ROW_IN_WORDS.values(), ids=ROW_IN_WORDS)
def test_an_object_is_read_wherever_an_agent_puts_it(text: str) -> None:
    answer = read_answer(text)
    assert (answer.value, answer.path, answer.is_json) == (ROW, "", True)


@pytest.mark.parametrize("text", ROW_IN_WORDS.values(), ids=ROW_IN_WORDS)
@pytest.mark.parametrize("name", ["result", "data", "output", "answer", "Response"])
def test_a_sole_wrapper_is_opened_with_whatever_form_is_in_it(name: str, text: str) -> None:
    wrapped = json.dumps({name: text})
    assert read_answer(wrapped)[:2] == (ROW, name)
    assert read_answer(wrapped, frozenset({name})).value == {name: text}
    assert read_answer(json.dumps({"data": {name: text}})).path == f"data.{name}"


@pytest.mark.parametrize(
    "value", [{"answer": 42}, {"answer": "yes"}, {"result": None}, {"results": []}, {"a": {"b": 1}}]
)
def test_no_other_field_is_opened(value: Any) -> None:
    assert read_answer(json.dumps(value))[:2] == (value, "")


def test_two_wrappers_beside_each_other_are_fields() -> None:
    assert read_answer('{"data": {"a": 1}, "result": {"b": 2}}').path == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The lamp costs 12.50 EUR.",
        'The API answers {"error": "invalid key"} when the key is wrong, as it says.',
        'See the log:\n{"error": "x"}\n{"error": "y"}',
        "```\nls\n```",
        f"```json\n{TEXT}\n```\n```json\n{TEXT}\n```",
        "Choose one of [small], [medium].",
        f"{'word ' * MAX_WORDS_BESIDE}: {TEXT}",
        f"{TEXT}\n{'word ' * MAX_WORDS_BESIDE}",
        '{"name": "Lam',
        "5 stars",
    ],
)
def test_an_answer_in_words_stays_text(text: str) -> None:
    assert read_answer(text)[:3] == (text, "", False)
    assert read_answer(json.dumps(text))[:3] == (text, "", True)


@pytest.mark.parametrize(
    ("text", "value"),
    [("null", None), ('"null"', None), ("5", 5), ('"5"', "5"), ("true", True), ('"true"', "true")],
)
def test_a_number_in_a_string_stays_text_and_null_is_null(text: str, value: Any) -> None:
    assert read_answer(text).value == value


def test_paths_are_those_of_the_whole_result() -> None:
    answer = read_answer('{"result": [{"price": 1}]}')
    assert answer.path_of("[0].price") == "result[0].price"
    assert answer.path_of(".") == "result"
    assert read_answer('{"result": {"price": 1}}').path_of("price") == "result.price"
    assert read_answer('{"price": 1}').path_of("price") == "price"
    assert read_answer("5").path_of(".") == "."


def test_a_number_of_many_digits_hides_no_other_field() -> None:
    assert (
        read_answer('{"status": "failure", "n": ' + "9" * 9999 + "}").value["status"] == "failure"
    )


def test_answers_that_are_too_deep_or_too_large_are_set_aside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deep = "[" * (MAX_NESTING + 1) + "]" * (MAX_NESTING + 1)
    assert read_answer(deep).set_aside
    assert not read_answer(deep[1:-1]).set_aside
    assert read_answer(json.dumps(deep)).value == deep
    assert read_answer("[" * 100_000).set_aside
    assert read_answer(json.dumps("{" * 100_000)).value == "{" * 100_000
    assert not read_answer("[[], " * 99 + "[]" + "]" * 99).set_aside
    monkeypatch.setattr(json_size, "ALWAYS_PARSED_LENGTH", 10)
    monkeypatch.setattr(json_size, "MAX_PARSED_BYTES", 100)
    assert read_answer(TEXT)[:4] == (None, "", True, True)


def test_layers_of_wrappers_and_strings_end() -> None:
    wrapped: Any = {"a": 1}
    for _ in range(50):
        wrapped = {"data": wrapped}
    assert read_answer(json.dumps(wrapped)).path == "data." * 5 + "data"
    text = "[]"
    for _ in range(12):
        text = json.dumps(text)
    assert isinstance(read_answer(text).value, str)


@given(
    st.text(max_size=60)
    | st.lists(
        st.sampled_from(['{"a":1}', "[1]", "```", "~~~", "json", "\n", ":", " a ", '"'])
    ).map("".join)
)
def test_any_text_can_be_read(text: str) -> None:
    for form in (text, json.dumps(text), json.dumps({"result": text})):
        answer = read_answer(form)
        assert not answer.set_aside
        assert read_answer(form) == answer
