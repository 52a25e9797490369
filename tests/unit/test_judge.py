"""Which results the judge refuses, and which it accepts."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrunner.judge import expectations_of, judge_result
from batchrunner.judge.field_paths import MISSING, find, is_path
from batchrunner.judge.outliers import SPARSE, PeerResult, outliers
from batchrunner.judge.regex_safety import MAX_MATCHED_LENGTH, max_text_length, unsafe_reason
from batchrunner.model import Expectations, Failed, FailureCategory, Finding, Judgement, Verdict
from benchmarks.judge_speed import GOAL, hostile
from tests.bounds import HUNG
from tests.simulator.network.hostile_results import HOSTILE_RESULTS

SHAPE = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "offers": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"price": {"type": "number", "minimum": 0}},
                "required": ["price"],
            },
        },
    },
    "required": ["name"],
}


def judgement(result: Any, schema: Any = None, goal: str = "", **expect: Any) -> Judgement:
    expectations = replace(expectations_of(schema, expect), goal=goal)
    return judge_result(json.dumps(result), expectations)


def judged(result: Any, schema: Any = None, **expect: Any) -> Failed | None:
    """Return the failure of a result; None unless it is bad."""
    return judgement(result, schema, **expect).failure


def verdict(result: Any, goal: str = "", **expect: Any) -> tuple[str, str]:
    """Return the verdict on a result, and the rule of its first finding."""
    given = judgement(result, goal=goal, **expect)
    return given.verdict.value, given.findings[0].rule if given.findings else ""


def meaning(failure: Failed | None) -> tuple[str, str | None] | None:
    return None if failure is None else (failure.category.value, failure.code)


def breaches(failure: Failed | None) -> list[tuple[str, str, str]]:
    assert failure is not None
    return [(each.path, each.seen, each.wanted) for each in failure.findings]


# ---- the general rules ----


@pytest.mark.parametrize(
    ("result", "rule"),
    [
        ({}, "empty"),
        ([], "empty"),
        ({"results": []}, "empty"),
        ({"a": {"b": [None, ""]}}, "empty"),
        ({"success": True}, "empty"),
        ({"status": "success", "message": "Task completed successfully"}, "empty"),
        ({"total": 24, "results": []}, "empty"),
        ({"name": "N/A", "price": "N/A"}, "placeholder"),
        ({"name": "None", "sku": "None"}, "placeholder"),
        ({"name": "", "price": 0}, "placeholder"),
        ({"version": "<version>", "date": "YYYY-MM-DD"}, "schema_echo"),
        ({"name": "<name>", "price": "<price>", "in_stock": True}, "schema_echo"),
        ({"email": "example@example.com", "phone": "123-456-7890"}, "placeholder"),
        ("I was unable to find the price on the page.", "refusal"),
        ({"price": None, "note": "The price is shown in the shop"}, "refusal"),
        ({"success": False, "name": "Lamp", "price": 12}, "reported"),
        ({"products": [{"name": None, "error": "timeout"}]}, "reported"),
        ({"name": "404 Not Found", "price": None}, "error_page"),
        ({"name": "522: Connection timed out", "price": None, "brand": "Acme"}, "error_page"),
        ({"items": [{"name": "Lamp", "price": 1}, {"name": "Seite nicht gefunden", "price": None}]},
         "error_page"),
        ({"title": "We use cookies to improve your experience", "price": None}, "banner"),
        ({"price": "Loading..."}, "not_ready"),
        ("I will now open the page and look for the price.", "not_ready"),
        ({"type": "object", "properties": {"name": {"type": "string"}}}, "schema_echo"),
        ({"name": "string", "price": "number"}, "schema_echo"),
        ('{"jobs": [{"title": "Data Eng', "broken_json"),
        ("<!DOCTYPE html><html><body>Hello</body></html>", "html"),
        ({"blocked": True, "price": None}, "bot_wall"),
        ("The page shows a captcha, so I could not read the price.", "bot_wall"),
    ],
)  # fmt: skip
def test_what_looks_wrong_is_suspect_and_costs_nothing(result: Any, rule: str) -> None:
    assert verdict(result) == ("suspect", rule)
    assert judged(result) is None
    assert verdict(result, allow=[rule]) != ("suspect", rule)


@pytest.mark.parametrize(
    ("result", "category", "rule"),
    [
        (None, "goal_failure", None),
        (" ", "goal_failure", None),
        ({"result": None}, "goal_failure", None),
        ({"status": "failure"}, "goal_failure", None),
        ({"result": {"status": "FAILURE", "reason": "No such page"}}, "goal_failure", None),
        ('```json\n{"status": "failure"}\n```', "goal_failure", None),
        ({"error": "The page did not load"}, "goal_failure", None),
        ({"price": 12, "error": "Could not read the currency"}, "goal_failure", None),
        ({"rows": [{"a": 1}] * 40, "error": "Page 3 could not be loaded"}, "goal_failure", None),
        ({"status": "Failure", "price": 12}, "goal_failure", None),
        ("```json\n\n```", "goal_failure", None),
        ({"result": "```\n```"}, "goal_failure", None),
        ({"error": {"code": 7, "message": "x"}, "price": None}, "goal_failure", None),
        ({"status": "failure", "reason": "Blocked by a captcha"}, "blocked", None),
        ({"title": "Just a moment...", "price": None}, "blocked", "bot_wall"),
        (
            {"message": "Please verify you are human by completing the CAPTCHA"},
            "blocked",
            "bot_wall",
        ),
        ("Access Denied", "blocked", "bot_wall"),
        ("アクセスが拒否されました。", "blocked", "bot_wall"),
        ({"title": "Sign in to continue", "price": None}, "blocked", "login_wall"),
        ("Bitte melden Sie sich an, um fortzufahren.", "blocked", "login_wall"),
    ],
)
def test_what_is_certain_is_bad(result: Any, category: str, rule: str | None) -> None:
    assert meaning(judged(result)) == (category, rule)


def test_no_result_at_all_is_bad_unless_the_goal_asks_for_null() -> None:
    assert judge_result(None).verdict is Verdict.BAD
    goal = Expectations(goal="Get the e-mail address, or null if there is none")
    assert judge_result(None, goal).verdict is Verdict.GOOD


@pytest.mark.parametrize(
    "nothing",
    [None, False, 0, "", " ", [], {}, "none", "N/A", "-", "No errors", "keine", "aucune", "ninguno",
     "なし", "нет", "无", "없음", {"code": None, "message": ""}, [None]],
)  # fmt: skip
def test_a_word_for_nothing_in_error_reports_no_failure(nothing: Any) -> None:
    assert verdict({"price": 0.12, "error": nothing}) == ("good", "")


@pytest.mark.parametrize(
    ("goal", "result"),
    [
        (
            "List the status and the error message of the service",
            {"status": "failure", "error": "x"},
        ),
        ("Gib Status und Fehlermeldung zurück", {"status": "failure", "error": "Ausfall"}),
        ("Type abc and tell me the validation error", {"error": "Enter a valid address"}),
        ("Return {success: true/false} for the coupon field", {"success": False, "coupon": None}),
        ("Which error code does the tool show?", {"error": "Not Found", "http_status": 404}),
    ],
)
def test_a_field_that_the_goal_asks_for_is_data(goal: str, result: Any) -> None:
    assert verdict(result, goal) == ("good", "")
    assert verdict(result, "Get the price")[0] != "good"


def test_an_error_that_the_goal_asks_to_copy_may_have_a_status() -> None:
    copied = {"status": "failure", "error": {"code": 401, "message": "Unauthorized"}}
    assert judgement(copied, goal="Copy the example error response").failure is None
    assert judgement(copied, goal="Copy the example").failure is not None


def test_a_status_that_the_goal_asks_for_was_not_seen_if_the_reason_says_so() -> None:
    goal = "Get the status of my order"
    assert verdict({"status": "failure", "reason": "Courier lost the parcel"}, goal) == ("good", "")
    assert verdict({"status": "failure", "reason": "Could not log in"}, goal)[0] == "suspect"


def test_an_address_is_an_answer_where_the_goal_asks_for_it_and_little_else_is_missing() -> None:
    goal = "Get the url of the contact page and the e-mail address"
    assert verdict({"url": "https://a.example/contact", "email": None}, goal) == ("good", "")
    assert verdict({"url": "https://a.example/", "email": None}, "Get the e-mail") == (
        "suspect",
        "empty",
    )
    wall = {"url": "https://a.example/", "title": "Just a moment...", "email": None}
    assert verdict(wall, goal) == ("bad", "bot_wall")


@pytest.mark.parametrize(
    "result",
    [
        {"count": 12},
        {"total_price": 99},
        {"page_count": 312},
        {"duration": "2 h 10 min"},
        {"language": "Finnish"},
        {"valid": True},
        {"code": "SAVE20"},
        {"permit": "Pending"},
        {"series": "Completed"},
        {"allergens": "None"},
        {"issues": ["scratch on the lid"], "items": [{"name": "Pan"}]},
    ],
)
def test_a_single_fact_is_an_answer_whatever_its_field_is_called(result: Any) -> None:
    assert verdict(result) == ("good", "")


def test_zeros_beside_nulls_are_suspect_and_beside_an_empty_list_are_not() -> None:
    assert verdict({"price": 0, "name": None}) == ("suspect", "placeholder")
    assert verdict({"rating": 0, "reviews": []}) == ("good", "")


def test_a_field_that_the_schema_or_expect_names_is_data() -> None:
    result = {"error": "E17: paper jam", "status": "failure"}
    schema = {"type": "object", "properties": {"error": {"type": "string"}, "status": {}}}
    assert judgement(result, schema).verdict is Verdict.GOOD
    assert judged(result, required=["error", "status"]) is None
    assert judged(result, required=["error"]) is not None


def test_a_goal_that_only_says_what_to_do_about_errors_asks_for_none() -> None:
    goal = "Get the price. If an error occurs, reload the page."
    assert verdict({"error": "The page did not load"}, goal) == ("suspect", "reported")


@pytest.mark.parametrize(
    ("goal", "result"),
    [
        ("List the open positions; return an empty list if there are none", []),
        ("Get the sale price (null if not shown)", {"sale_price": None}),
        ("Wie viele Stellen gibt es? Falls keine, leere Liste.", {"stellen": []}),
        ("Donne les promotions, ou une liste vide s'il n'y en a pas", []),
        ("Lista los cursos; si no hay ninguno, devuelve []", {"cursos": []}),
        ("Quali concerti ci sono? Se non ce ne sono, restituisci []", []),
        ("Liste as vagas. Se não houver, devolva uma lista vazia", {"vagas": []}),
        ("Geef alle acties, of een lege lijst als er geen zijn", []),
        ("Wypisz oferty. Jeśli nie ma ofert, zwróć pustą listę.", {"oferty": []}),
        ("Найди акции. Если акций нет, верни пустой список.", []),
        ("求人を一覧にしてください。なければ空の配列を返してください。", []),
        ("列出所有优惠,如果没有则返回空列表", {"优惠": []}),
        ("옵션 목록을 반환. 옵션이 없으면 빈 배열.", []),
        ("İndirimleri listele, yoksa boş liste döndür", []),
        ("Lista evenemangen. Om det inte finns några, svara med tom lista", []),
        ("Vypiš akce. Pokud žádné nejsou, vrať prázdný seznam", []),
        ("Знайди знижки. Якщо їх немає, поверни порожній список", []),
        ("استخرج العروض. إذا لم توجد، أعد قائمة فارغة", []),
        ("ऑफ़र की सूची दें। यदि कोई नहीं है तो खाली सूची दें", []),
        ("Liệt kê khuyến mãi. Nếu không có, trả về danh sách rỗng", []),
        ("Daftar promo. Jika tidak ada, kembalikan daftar kosong", []),
        ("Does the shop ship to Norway?", "No"),
        ("Are there any open positions?", {"positions": []}),
        ("Answer 'sold out' if the event is full", "sold out"),
    ],
)
def test_what_the_goal_says_to_answer_is_valid(goal: str, result: Any) -> None:
    assert verdict(result, goal) == ("good", "")


def test_what_a_goal_says_about_one_field_is_not_said_about_all() -> None:
    goal = "Extract the name, the price and the phone (null if not shown)"
    assert verdict({"name": "Acme", "price": 3, "phone": None}, goal) == ("good", "")
    assert verdict({"name": None, "price": None, "phone": None}, goal) == ("suspect", "empty")


@pytest.mark.parametrize(
    "result", [{"total": 0, "results": []}, {"count": 0}, {"data": {"hits": 0, "items": []}}]
)
def test_a_zero_count_beside_an_empty_list_is_consistent(result: Any) -> None:
    assert verdict(result) == ("good", "")


@pytest.mark.parametrize(
    ("goal", "text"),
    [
        ("Does the site show a captcha? Copy its text", "Verify you are human"),
        ("Open the login page and give its heading", "Sign in to your account"),
        ("What does our 404 page say?", "Sorry, the page you are looking for could not be found."),
        ("Copy the text of the cookie banner", "We use cookies to improve your experience."),
        ("Return the HTML of the first table", "<html><body><table></table></body></html>"),
    ],
)
def test_a_goal_that_asks_for_such_texts_makes_them_data(goal: str, text: str) -> None:
    assert verdict({"text": text}, goal) == ("good", "")
    assert verdict({"text": text}, "Get the price")[0] != "good"


def test_a_goal_that_says_how_to_get_past_a_banner_asks_for_none() -> None:
    goal = "Close the cookie banner, solve the captcha, then get the price"
    assert verdict("We use cookies to improve your experience.", goal) == ("suspect", "banner")
    assert verdict({"title": "Verify you are human", "price": None}, goal)[0] == "bad"


@pytest.mark.parametrize(
    ("goal", "result"),
    [
        ("Title, authors, abstract", {"title": "404 Not Found: Link Rot", "authors": ["M. O."]}),
        ("Title of the movie", {"title": "Access Denied"}),
        ("product title and price", {"title": '"I\'m not a robot" T-shirt', "price": "$19.95"}),
        ("The newest reviews", {"reviews": ["Could not log in for days", "Access denied again!"]}),
        ("Albums of the band", {"artist": "Access Denied", "albums": [{"title": "Loading"}]}),
    ],
)
def test_words_of_walls_in_titles_and_texts_of_others_fail_no_job(goal: str, result: Any) -> None:
    assert judgement(result, goal=goal).failure is None


def test_a_copy_of_the_goal_is_suspect() -> None:
    goal = "Extract the next five trains with time and platform"
    assert verdict(goal, goal) == ("suspect", "goal_copy")
    assert verdict({"answer": f"{goal}."}, goal) == ("suspect", "goal_copy")
    assert verdict({"trains": [goal, "08:15"]}, goal) == ("good", "")


def test_what_a_person_accepted_stays_accepted_at_any_place_of_a_list() -> None:
    result = {"items": [{"name": "Lamp", "price": 1}, {"name": "Page not found", "price": None}]}
    found = judgement(result).findings[0]
    assert (found.rule, found.path) == ("error_page", "items[1].name")
    for path in ("items[0].name", "items[].name"):
        accepted = Expectations(accepted=frozenset({("error_page", path)}))
        assert judge_result(json.dumps(result), accepted).verdict is Verdict.GOOD
    other = Expectations(accepted=frozenset({("error_page", "name"), ("empty", "items[].name")}))
    assert judge_result(json.dumps(result), other).verdict is Verdict.SUSPECT


def test_a_finding_has_the_path_in_the_whole_result() -> None:
    found = judgement({"result": {"data": {"name": "404 Not Found", "price": None}}}).findings[0]
    assert (found.path, found.seen) == ("result.data.name", '"404 Not Found"')


def test_only_the_rules_that_a_job_allows_are_off() -> None:
    assert verdict({"items": []}, allow=["empty"]) == ("good", "")
    assert verdict({"items": []}, allow=["placeholder"]) == ("suspect", "empty")
    assert judged({"status": "failure", "reason": "x"}, allow=["empty", "refusal"]) is not None
    assert judged({"title": "Access denied", "price": None}, allow=["bot_wall"]) is None


def test_a_value_next_to_words_about_a_wall_is_an_answer() -> None:
    for beside in (0, False, 12.5, "Lamp"):
        assert judged({"title": "Access denied", "found_here": beside}) is None


def test_a_wall_takes_precedence_over_a_broken_schema() -> None:
    failure = judged({"title": "Access Denied", "price": None}, SHAPE)
    assert meaning(failure) == ("blocked", "bot_wall")


@pytest.mark.parametrize("body", HOSTILE_RESULTS.values(), ids=HOSTILE_RESULTS)
def test_a_hostile_result_is_no_failure_by_itself(body: bytes) -> None:
    assert judge_result(body.decode("utf-8", "surrogateescape")).failure is None


@pytest.mark.parametrize("text", ["{", "[" * 5000, '{"a": NaN, "b": 1e999}', "\x00"])
def test_an_unreadable_result_is_no_failure_whatever_is_expected(text: str) -> None:
    expectations = (
        expectations_of({"type": "object"}, {}) if text != '{"a": NaN, "b": 1e999}' else None
    )
    assert judge_result(text, expectations or Expectations()).failure is None


def test_schema_errors_of_the_api_count_if_the_result_is_unreadable() -> None:
    failure = judge_result("{", Expectations(), ("#/a: missing",)).failure
    assert failure is not None
    assert failure.category is FailureCategory.INVALID_RESULT


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=30),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "offers", "price", "status"]), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(values)
def test_every_result_can_be_judged_and_its_findings_shown(result: Any) -> None:
    expect = {
        "required": ["offers[].price"],
        "fields": {"name": {"pattern": "[a-z]+"}, "offers": {"at_least": 1}, ".": {"at_most": 2}},
    }
    failure = judged(result, SHAPE, **expect)
    if failure is None:
        return
    for finding in failure.findings:
        assert finding.seen.isprintable()
        assert finding.path.isprintable()
        assert len(finding.seen) < 120
    assert failure.message.encode()


# ---- the output schema ----


def test_a_broken_schema_is_reported_with_the_first_paths() -> None:
    result = {"offers": [{"price": 1}, {"price": "2"}, {"price": -3}, {}]}
    failure = judged(result, SHAPE)
    assert meaning(failure) == ("invalid_result", "schema")
    assert breaches(failure) == [
        ("name", "nothing", "text"),
        ("offers[1].price", '"2"', "a number"),
        ("offers[2].price", "-3", "at least 0"),
    ]


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "integer"}, [1, 2.0, -3], [1.5, True, "1", None]),
        ({"type": "number", "maximum": 3}, [3, -1.5], [3.1, True]),
        ({"type": "string", "nullable": True}, ["", None], [0, []]),
        ({"type": "string", "enum": ["a", "b"]}, ["a"], ["A", "c"]),
        ({"type": "string", "format": "date"}, ["2026-02-28"], ["28.02.2026", "2026-13-01"]),
        ({"type": "string", "format": "date-time"}, ["2026-02-28T10:00:00Z"], ["2026-02-28"]),
        ({"type": "string", "format": "duration"}, ["P1DT2H"], ["P", "1 day"]),
        ({"type": "array", "minItems": 1, "maxItems": 2}, [[1], [1, 2]], [[1, 2, 3], {}]),
        ({"anyOf": [{"type": "string"}, {"type": "boolean"}]}, ["x", False], [1, None]),
    ],
)
def test_each_keyword_of_the_apis_schemas(schema: Any, good: list[Any], bad: list[Any]) -> None:
    whole = {"type": "object", "properties": {"x": schema, "y": {"type": "integer"}}}
    for value in good:
        assert judged({"x": value, "y": 1}, whole) is None
    for value in bad:
        failure = judged({"x": value, "y": 1}, whole)
        assert failure is not None, value
        assert failure.findings[0].path == "x"


@pytest.mark.parametrize(
    "odd",
    [
        {"type": ["string", "null"]},
        {"type": 7},
        {"required": 7},
        {"required": [7, None]},
        {"properties": [1]},
        {"properties": {"a": True}},
        {"items": [1]},
        {"enum": 5},
        {"format": ["date"]},
        {"minimum": "low"},
        {"maximum": None},
        {"minItems": "1"},
        {"anyOf": {"x": 1}},
        {"anyOf": [1]},
        True,
        None,
    ],
)
def test_unknown_keywords_in_a_schema_are_ignored_and_hide_nothing(
    odd: Any,
) -> None:
    properties = {"odd": odd, "price": {"type": "number"}}
    schema = {"type": "object", "properties": properties, "required": ["odd", "price"]}
    for value in ("text", 3, None, ["a"], {"a": {"b": 1}}):
        assert judged({"odd": value, "price": 1}, schema) is None
        failure = judged({"odd": value, "price": "cheap"}, schema)
        assert failure is not None
        assert [finding.path for finding in failure.findings] == ["price"]


def test_numbers_may_be_listed_in_another_programs_schema() -> None:
    schema = {"type": "object", "properties": {"size": {"enum": [1, 2]}}}
    assert judged({"size": 2}, schema) is None
    assert judged({"size": 3}, schema) is not None


def test_an_endless_schema_stops_nothing() -> None:
    schema: dict[str, Any] = {"type": "string"}
    branches, value = schema, 1
    whole: Any = value
    for _ in range(400):
        schema, whole = {"type": "object", "properties": {"x": schema}}, {"x": whole}
        branches = {"anyOf": [branches]}
    assert judged(whole, schema) is None
    assert judged({"x": value}, {"type": "object", "properties": {"x": branches}}) is None


# ---- expectations ----


@pytest.mark.parametrize(
    ("bounds", "good", "bad"),
    [
        ({"minimum": 1}, [1, 1.5, "2", " 3.5 ", None, ""], [0, -1, "0.5", "cheap", True, [2]]),
        ({"maximum": 9}, [9, "8"], [9.1, float("nan"), float("inf"), "1e3"]),
        ({"pattern": "[A-Z]{3}"}, ["EUR", None], ["eur", "EURO", 123, ["EUR"]]),
        ({"pattern": "[0-9]+"}, ["12", 12], ["12 EUR", 1.5]),
        ({"at_least": 2}, [[1, 2]], [[1], [], None, "ab", {"a": 1}]),
        ({"at_most": 1}, [[1], [], None], [[1, 2], "a"]),
    ],
)
def test_each_bound(bounds: dict[str, Any], good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert judged({"x": value, "y": 1}, fields={"x": bounds}) is None, value
    for value in bad:
        assert meaning(judged({"x": value, "y": 1}, fields={"x": bounds})) == (
            "invalid_result",
            "expect",
        ), value


@pytest.mark.parametrize("nothing", [None, "", "  ", [], {}])
def test_a_required_field_exists_and_is_not_empty(nothing: Any) -> None:
    assert judged({"x": 0, "y": 1}, required=["x"]) is None
    assert judged({"x": False, "y": 1}, required=["x"]) is None
    assert breaches(judged({"x": nothing, "y": 1}, required=["x"]))[0][2] == "something"
    assert breaches(judged({"y": 1}, required=["x"])) == [("x", "nothing", "something")]


def test_a_required_field_of_a_list_is_required_in_each_entry() -> None:
    result = {"n": 1, "items": [{"name": "a"}, {"name": ""}, {}]}
    found = breaches(judged(result, required=["items[].name"]))
    assert [path for path, _, _ in found] == ["items[1].name", "items[2].name"]
    assert judged({"n": 1, "items": []}, required=["items[].name"]) is None
    assert judged({"n": 1}, required=["items[].name"]) is not None


def test_paths_find_values_and_show_their_location() -> None:
    result = {"a": {"b": [{"c": 1}, {"c": 2}]}, "d": [[1], [2, 3]]}
    assert [tuple(each) for each in find(result, "a.b[].c")] == [
        ("a.b[0].c", 1),
        ("a.b[1].c", 2),
    ]
    assert [each.value for each in find(result, "d[][]")] == [1, 2, 3]
    assert [tuple(each) for each in find([{"x": 1}], "[].x")] == [("[0].x", 1)]
    assert [tuple(each) for each in find(7, ".")] == [(".", 7)]
    assert [each.value for each in find(result, "a.x.y")] == [MISSING]


@pytest.mark.parametrize(
    "text", ["", "a..b", ".a", "a.", "a[0]", "a[", "a]b", "[]x", " a", "x" * 201]
)
def test_which_texts_are_not_paths(text: str) -> None:
    assert not is_path(text)


# ---- patterns ----


@pytest.mark.parametrize(
    "pattern",
    [
        r"[A-Z]{3}",
        r"\d{4}-\d{2}-\d{2}",
        r"https?://.*",
        r"[^@]+@[^@]+\.[a-z]+",
        r"[€$]? ?\d{1,3}(,\d{3})*(\.\d+)?",
        r"(?:\d{1,3}\.){3}\d{1,3}",
        r"EUR|USD|GBP",
        r"(?i)in stock|sold out",
    ],
)
def test_usual_patterns_are_accepted(pattern: str) -> None:
    assert unsafe_reason(pattern) is None


@pytest.mark.parametrize(
    "pattern",
    [
        "[",
        "(a+)+b",
        "(a|a)*b",
        "(a|aa)+$",
        "(.*)*",
        "(a?){50}",
        r"(\w)\1",
        "(?=a)a",
        ".*.*.*.*.*x",
        "a?" * 60 + "a" * 60,
        "x" * 201,
        "((a{0,100}){0,100}){0,100}",
        "[[a]",
        "a{99999999999}",
    ],
)
def test_patterns_that_could_take_forever_are_refused(pattern: str) -> None:
    assert unsafe_reason(pattern)


@pytest.mark.parametrize(
    "pattern", [r".*.*.*x", r"(\d{3},)*\d*\d*x", r"[^@]+@[^@]+\.[a-z]+", r"(a|b)?.*.*c"]
)
def test_an_accepted_pattern_is_quick_on_its_longest_text(pattern: str) -> None:
    assert unsafe_reason(pattern) is None
    longest = max_text_length(pattern)
    begun = time.process_time()
    for text in ("a" * longest, "1" * longest, "@" * longest, "a." * (longest // 2)):
        assert re.fullmatch(pattern, text) is None
    assert time.process_time() - begun < HUNG


def test_a_text_that_is_too_long_for_its_pattern_is_not_judged() -> None:
    assert judged({"x": "y" * (MAX_MATCHED_LENGTH + 1)}, fields={"x": {"pattern": "z"}}) is None


# ---- comparisons with other results ----


def odd(*results: Any, url: str = "https://a.example/") -> dict[int, str]:
    given = [
        (place, PeerResult(f"{url}{place}", "goal", json.dumps(result)))
        for place, result in enumerate(results)
    ]
    return {key: finding.rule for key, finding in outliers(given).items()}


COPY = {"name": "Welcome to our shop"}
OWN = [{"name": f"Lamp number {number}"} for number in range(9)]


def test_one_answer_for_many_urls_is_suspicious_if_others_differ() -> None:
    assert odd(*[COPY] * 4, *OWN) == dict.fromkeys(range(4), "copied")


def test_one_answer_for_all_urls_is_suspicious_unless_it_is_short() -> None:
    assert odd(*[COPY] * 9) == dict.fromkeys(range(9), "copied")
    assert odd(*[{"answer": "in the office"}] * 9) == {}


def test_outliers_are_the_same_in_any_order() -> None:
    given = [
        (n, PeerResult(f"https://a.example/{n}", "goal", json.dumps(one)))
        for n, one in enumerate([COPY] * 4 + OWN)
    ]
    assert outliers(given) == outliers(reversed(given))


def test_a_few_copies_or_a_short_answer_are_not_suspicious() -> None:
    assert odd(*[COPY] * 3, *OWN) == {}
    assert odd(*[{"vat": "19%"}] * 5, *OWN) == {}
    assert odd(*[{"in_stock": True}] * 5, *[{"in_stock": False}] * 5) == {}


def test_a_url_that_was_run_twice_is_no_copy() -> None:
    given = [
        (place, PeerResult("https://a.example/", "goal", json.dumps(COPY))) for place in range(5)
    ]
    given += [
        (9 + n, PeerResult(f"https://a.example/{n}", "goal", json.dumps(o)))
        for n, o in enumerate(OWN)
    ]
    assert outliers(given) == {}


def test_answers_that_differ_only_by_their_urls_are_copies() -> None:
    copies = [{"name": "Welcome to our shop", "url": f"https://a.example/{n}"} for n in range(4)]
    assert odd(*copies, *OWN) == dict.fromkeys(range(4), "copied")


def test_a_half_empty_result_is_suspicious_if_others_are_full() -> None:
    full = [{"a": n, "b": n, "c": n, "d": n} for n in range(9)]
    assert odd(*full, {"a": 9, "b": None, "c": None, "d": None}) == {9: SPARSE}
    assert odd(*full[:5], {"a": 9, "b": None, "c": None, "d": None}) == {}


def test_results_that_cannot_be_compared_are_skipped() -> None:
    given = [
        (n, PeerResult("http://[bad", "goal", text))
        for n, text in enumerate(["{", "[" * 9999, "1"])
    ]
    assert outliers(given) == {}


# ---- how long it takes ----


def taken(results: list[str], expectations: Expectations = Expectations()) -> float:  # noqa: B008
    begun = time.process_time()
    for result in results:
        judge_result(result, expectations)
    return time.process_time() - begun


def test_a_look_at_a_hundred_results_is_judged_without_hanging() -> None:
    offers = [{"name": f"Lamp number {number}", "price": number * 1.5} for number in range(24)]
    expectations = expectations_of(
        {"type": "object", "properties": {"offers": SHAPE["properties"]["offers"]}},  # type: ignore[index]
        {"required": ["offers[].name"]},
    )
    assert taken([json.dumps({"offers": offers})] * 100, expectations) < HUNG


@pytest.mark.parametrize(
    "words",
    ["a ", "no ", "the page captcha ", "could not ", "i was un", "access to ", "zugriff ", "ich "],
)
def test_no_text_makes_the_judge_hang(words: str) -> None:
    assert taken([json.dumps({"text": (words * 1500)[:1500], "price": None})] * 10) < HUNG


@pytest.mark.sweep
def test_no_answer_makes_the_judge_hang() -> None:
    expectations = expectations_of(
        {"type": "object", "properties": {"offers": SHAPE["properties"]["offers"]}},  # type: ignore[index]
        {"required": ["[].name"], "fields": {"text": {"pattern": ".*a.*b"}}},
    )
    for name, result in hostile().items():
        assert taken([result], replace(expectations, goal=GOAL)) < HUNG, name


def test_patterns_stop_being_matched_once_they_have_taken_long() -> None:
    rule = {"fields": {"[].x": {"pattern": ".*b.*c.*"}}}
    assert judged([{"x": "a" * 90}], **rule) is not None
    long = [{"x": "b" * 89 + "c"}] * 2_000
    assert judged([*long, {"x": "a" * 90}], **rule) is None
    assert judged([*long[:9], {"x": "a" * 90}], **rule) is not None


def test_what_is_missing_or_empty_is_said_in_plain_words() -> None:
    said = {
        ("price", "nothing", "something"): "price is missing",
        ("price", "null", "something"): "price is empty",
        (".", "null", "something"): "the result is empty",
        ("price", "nothing", "a number"): "price is missing (wanted: a number)",
        ("price", "3", "at least 5"): "price is 3, not at least 5",
        ("price", "null", ""): "price is null",
    }
    for (path, seen, wanted), sentence in said.items():
        assert Finding(rule="expect", path=path, seen=seen, wanted=wanted).sentence == sentence


# ---- empty answers, stand-ins and templates, in any language ----


@pytest.mark.parametrize(
    ("goal", "result", "rule"),
    [
        ("Anzahl und Liste der Treffer", {"anzahl": 14, "treffer": []}, "empty"),
        ("liste des postes", {"effectif": 37, "postes": []}, "empty"),
        ("List the jobs.", {"page": 1, "per_page": 20, "items": []}, "empty"),
        ("List the jobs.", {"items": [], "meta": {"page": 1, "has_more": False}}, "empty"),
        ("List the jobs.", {"source": "acme.org", "next_cursor": "abc", "jobs": []}, "empty"),
        (
            'Answer with {"title": "Some title", "year": 2020, "isbn": "123"}.',
            {"title": "Some title", "year": 2020, "isbn": "123"},
            "schema_echo",
        ),
        ("Staff", [{"name": "Employee 1", "age": 31}, {"name": "Employee 2", "age": 42}],
         "placeholder"),
        ("Products", {"products": ["Product A", "Product B", "Product C"]}, "placeholder"),
        ("商品の一覧", {"items": [{"名前": "商品1", "価格": 100}, {"名前": "商品2", "価格": 90}]},
         "placeholder"),
        ("Owner", {"name": "John Doe", "mail": "john@example.com", "plan": "Gold"}, "placeholder"),
        ("Endpoints", {"steps": ["Opened the page", "Scrolled down"], "final": "done"}, "empty"),
        ("List the offers. An empty list is not acceptable.", [], "empty"),
        ("Liste die Kurse auf. Antworte niemals mit einer leeren Liste, wenn keine da sind.", [],
         "empty"),
    ],
)  # fmt: skip
def test_what_holds_nothing_is_suspect_whatever_its_names_are(
    goal: str, result: Any, rule: str
) -> None:
    assert verdict(result, goal) == ("suspect", rule)


@pytest.mark.parametrize(
    ("goal", "result"),
    [
        ("Price and reviews", {"price": 12, "reviews": []}),
        ("How many seats are left, and which rows are sold out?", {"seats_left": 40, "rows": []}),
        ("List the jobs.", {"page": 1, "total": 0, "items": []}),
        ("On which page is the quote?", {"page": 12}),
        ("Chapters", [{"name": "Chapter 1", "pages": 31}, {"name": "Chapter 2", "pages": 42}]),
        ("Sizes", ["Size 1", "Size 2"]),
        ("Contact", {"name": "John Doe", "mail": "doe@doe.org"}),
        ('Answer {"found": "no", "price": "N/A"} if it is gone.', {"found": "no", "price": "N/A"}),
        ('Give {"size": "S" or "M", "sold_out": "yes"|"no"}', {"size": "M", "sold_out": "yes"}),
        ("How do I brew it?", {"steps": ["Boil water", "Wait"], "time": "3 min"}),
        ("Do not return duplicates. An empty list if there are none.", []),
        ("Relève les avis, s'il y en a", []),
        ("Noem de storingen, indien aanwezig", []),
        ("Перечисли акции, если они имеются", []),
        ("Lista as greves; pode não haver", []),
        ("List the recalls. Zero entries is OK.", []),
        ("セールがあれば一覧にして", []),
    ],
)
def test_what_may_be_an_answer_is_good(goal: str, result: Any) -> None:
    assert verdict(result, goal) == ("good", "")


@pytest.mark.parametrize(
    "error",
    [
        "No errors occurred during extraction.", "Ohne Fehler abgeschlossen", "Sans erreur.",
        "Completed without any issues", "Hiçbir hata bulunmadı", "エラーは発生していません",
    ],
)  # fmt: skip
def test_a_sentence_that_there_is_no_error_reports_none(error: str) -> None:
    assert verdict({"price": 12, "error": error}) == ("good", "")
    assert verdict({"price": 12, "error": f"{error}, but the price is old"})[0] == "bad"


def test_an_error_that_the_goal_asks_for_only_if_it_fails_is_suspect_where_it_is_all() -> None:
    failed = {"status": "failure", "price": None, "error": "The page did not load"}
    for goal in (
        'Get the price. If the page cannot be loaded, return {"error": reason}.',
        "Lies den Preis. Falls es nicht geht, gib status failure und error aus.",
    ):
        assert verdict(failed, goal) == ("suspect", "reported")
    assert verdict(failed, "Get the status, the price and the error of the job.") == ("good", "")


def test_the_words_of_a_login_are_no_wall_where_the_goal_asks_how_to_get_in() -> None:
    for goal in ("¿Cómo puedo ver el precio?", "Was sieht ein Besucher?", "翻译这句话"):
        assert verdict({"text": "Please log in to continue."}, goal)[0] != "bad"
