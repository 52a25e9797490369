"""Answers of the API in shapes that its description leaves open or forbids."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import httpx

from tests.simulator.network.fault import FaultyRequest, NetworkFault, RequestKind, Respond

#: Returns a changed body of an answer; None if there is nothing to change.
BodyChange: TypeAlias = Callable[[dict[str, Any], FaultyRequest], Any]
#: Returns the body of an error with this code and message, for a create of this many runs.
ErrorShape: TypeAlias = Callable[[str, str, int], Any]

#: Definite refusals of a create, in turn; none of them is about a single job.
_REFUSALS = (
    (402, "INSUFFICIENT_CREDITS", "Add money to continue"),
    (429, "RATE_LIMIT_EXCEEDED", "Rate limit exceeded"),
    (403, "forbidden", "Insufficient credits or no active subscription"),
)
_INVALID = (400, "INVALID_INPUT", "Validation failed")
_CRASHES = ((500, "INTERNAL_ERROR"), (502, "SERVICE_BUSY"), (503, "SERVICE_BUSY"))
#: Fields that a run must have. Without the goal, it could not be matched.
_REQUIRED = ("run_id", "status", "goal", "result", "error", "num_of_steps")
#: Characters of a goal in a list that cuts goals off: the marker is not among them.
_GOAL_SHOWN = 40
#: A cursor that leads to the beginning: the next page is the same again.
_FIRST_PAGE = "eyJpZCI6IjAiLCJjcmVhdGVkQXQiOiIyMDAwLTAxLTAxVDAwOjAwOjAwWiJ9"


def changed_answer(change: BodyChange, *, status: int = 200) -> Respond:
    """Let the API answer, and change the body."""

    async def does(faulty: FaultyRequest) -> httpx.Response:
        answer = await faulty.answer()
        body = answer.json() if answer.status_code == 200 else None
        changed = None if body is None else change(body, faulty)
        if changed is None:
            return answer
        faulty.note_happened()
        return json_answer(changed, status)

    return does


def json_answer(body: Any, status: int = 200) -> httpx.Response:
    """Return a JSON answer."""
    return httpx.Response(status, content=json.dumps(body))


# ---- creates ----


def _ids(change: Callable[[list[str]], Sequence[Any]]) -> BodyChange:
    def change_body(body: dict[str, Any], faulty: FaultyRequest) -> Any:
        ids = body.get("run_ids") or []
        changed = list(change(ids))
        return None if changed == ids else {**body, "run_ids": changed}

    return change_body


def _doubled(ids: list[str]) -> list[str]:
    return [*ids[:-1], ids[0]] if len(ids) > 1 else ids * 2


def _of_another(body: dict[str, Any], faulty: FaultyRequest) -> Any:
    """Put a run of an earlier create in the place of the last one."""
    ids, shown = body.get("run_ids") or [], faulty.history.earlier_ids
    changed = [*ids[:-1], shown[-1]] if ids and shown else None
    shown.extend(ids)
    return changed and {**body, "run_ids": changed}


async def _crossed(faulty: FaultyRequest) -> httpx.Response:
    """Give each create the answer to the one before."""
    answer = await faulty.answer()
    body = answer.json() if answer.status_code == 200 else {}
    ids = body.get("run_ids")
    if not ids:
        return answer
    earlier, faulty.history.withheld_ids = faulty.history.withheld_ids, ids
    faulty.note_happened()
    if len(earlier) == len(ids):
        return json_answer({**body, "run_ids": earlier})
    raise httpx.ReadError("the answer was lost", request=faulty.request)


def _crash(body: dict[str, Any], faulty: FaultyRequest) -> Any:
    code = "INTERNAL_ERROR"
    return {"run_ids": None, "error": {"code": code, "message": "An unexpected error occurred"}}


async def _crashed(faulty: FaultyRequest) -> httpx.Response:
    await faulty.answer()
    faulty.note_happened()
    status, code = _CRASHES[faulty.nth % len(_CRASHES)]
    return json_answer({"error": {"code": code, "message": "Internal server error"}}, status)


def _refused(shape: ErrorShape, *, status: int | None = None) -> Respond:
    """Refuse a create in the place of the API, with another reason each time."""

    async def does(faulty: FaultyRequest) -> httpx.Response:
        faulty.note_happened()
        usual, code, message = _REFUSALS[faulty.nth % len(_REFUSALS)]
        return json_answer(shape(code, message, _count(faulty)), status or usual)

    return does


async def _named(faulty: FaultyRequest) -> httpx.Response:
    faulty.note_happened()
    status, code, message = _INVALID
    last = _count(faulty) - 1
    issue = {"code": "custom", "path": ["runs", last, "url"], "message": "Invalid url"}
    return json_answer({"error": {"code": code, "message": message, "details": [issue]}}, status)


def _count(faulty: FaultyRequest) -> int:
    return len(json.loads(faulty.request.content).get("runs", [None]))


def _plain(code: str, message: str, count: int) -> Any:
    return {"error": {"code": code, "message": message}}


def _beside(code: str, message: str, count: int) -> Any:
    return {"run_ids": None, **_plain(code, message, count)}


def _listed(code: str, message: str, count: int) -> Any:
    return {"run_ids": None, "error": _each(code, message, count)}


def _several(code: str, message: str, count: int) -> Any:
    return {"errors": [{"index": n, **_plain(code, message, 1)} for n in range(count)]}


def _each(code: str, message: str, count: int) -> list[Any]:
    return [{"index": n, "code": code, "message": message} for n in range(count)]


def _flat(code: str, message: str, count: int) -> Any:
    return {"error_code": code, "message": message, "request_id": "req_1"}


# ---- polls and searches ----


def _runs(change: Callable[[dict[str, Any]], dict[str, Any]]) -> BodyChange:
    def change_body(body: dict[str, Any], faulty: FaultyRequest) -> Any:
        changed = {**body, "data": [change(run) for run in body["data"]]}
        return None if changed == body else changed

    return change_body


def _bare(run: dict[str, Any]) -> dict[str, Any]:
    return {name: run[name] for name in _REQUIRED if run[name] is not None}


def _decorated(run: dict[str, Any]) -> dict[str, Any]:
    return {"queue": {"place": [1, None]}, "": None, **run, "id": 7, "tags": ["\u2028"]}


def _silent(body: dict[str, Any], faulty: FaultyRequest) -> Any:
    return {**body, "data": body["data"][::2]} if len(body["data"]) > 1 else None


def _hidden(body: dict[str, Any], faulty: FaultyRequest) -> Any:
    """Report each run as unknown once."""
    new = [run["run_id"] for run in body["data"] if run["run_id"] not in faulty.history.hidden]
    if not new:
        return None
    faulty.history.hidden.update(new)
    shown = [run for run in body["data"] if run["run_id"] not in new]
    return {"data": shown, "not_found": [*(body["not_found"] or []), *new]}


async def _stale(faulty: FaultyRequest) -> httpx.Response:
    """Return the oldest answer with one of the runs, as a cache would."""
    run_ids = json.loads(faulty.request.content)["run_ids"]
    for earlier in faulty.history.polls:
        if any(run["run_id"] in run_ids for run in json.loads(earlier)["data"]):
            faulty.note_happened()
            return httpx.Response(200, content=earlier)
    return await faulty.answer()


def _half_page(body: dict[str, Any], faulty: FaultyRequest) -> Any:
    half = body["data"][: len(body["data"]) // 2]
    pagination = {**body["pagination"], "next_cursor": None, "has_more": True}
    return {"data": half, "pagination": pagination} if body["data"] else None


def _round(body: dict[str, Any], faulty: FaultyRequest) -> Any:
    return {
        **body,
        "pagination": {**body["pagination"], "next_cursor": _FIRST_PAGE, "has_more": True},
    }


def _cut(run: dict[str, Any]) -> dict[str, Any]:
    return {**run, "goal": run["goal"][:_GOAL_SHOWN]}


def _without_goal(run: dict[str, Any]) -> dict[str, Any]:
    return {**run, "goal": None}


def _numbered(run: dict[str, Any]) -> dict[str, Any]:
    return {**run, "run_id": zlib.crc32(run["run_id"].encode())}


def _nothing(body: dict[str, Any], faulty: FaultyRequest) -> Any:
    pagination = {"total": 0, "next_cursor": None, "has_more": False}
    return {"data": [], "pagination": pagination} if body["data"] else None


def _endless(body: dict[str, Any], faulty: FaultyRequest) -> Any:
    """Lead from each page to another one, which is the first page again."""
    last = {"id": "0", "createdAt": f"2000-01-01T00:00:00.{faulty.nth % 10**6:06}Z"}
    cursor = base64.b64encode(json.dumps(last).encode()).decode()
    pagination = {**body["pagination"], "next_cursor": cursor, "has_more": True}
    return {**body, "pagination": pagination}


_CREATE = frozenset({RequestKind.CREATE})
_POLL = frozenset({RequestKind.POLL})
_SEARCH = frozenset({RequestKind.SEARCH})

RESPONSE_FAULTS: Mapping[str, NetworkFault] = {
    "ids_short": NetworkFault(
        description="an id is missing from run_ids",
        applies_to=_CREATE,
        respond=changed_answer(_ids(lambda ids: ids[:-1])),
    ),
    "ids_doubled": NetworkFault(
        description="an id is twice in run_ids, in the place of another",
        applies_to=_CREATE,
        respond=changed_answer(_ids(_doubled)),
    ),
    "ids_shuffled": NetworkFault(
        description="run_ids are in another order than the runs",
        applies_to=_CREATE,
        respond=changed_answer(_ids(lambda ids: ids[::-1])),
    ),
    "ids_of_another": NetworkFault(
        description="a run of an earlier create is in run_ids, in the place of the last",
        applies_to=_CREATE,
        respond=changed_answer(_of_another),
    ),
    "ids_crossed": NetworkFault(
        description="each create gets the answer of the one before, and the first one none",
        applies_to=_CREATE,
        respond=_crossed,
    ),
    "ids_with_number": NetworkFault(
        description="a number is among run_ids",
        applies_to=_CREATE,
        respond=changed_answer(_ids(lambda ids: [*ids[:-1], 7])),
    ),
    "ids_with_null": NetworkFault(
        description="null is among run_ids",
        applies_to=_CREATE,
        respond=changed_answer(_ids(lambda ids: [*ids[:-1], None])),
    ),
    "ids_null": NetworkFault(
        description="200 with an error and run_ids null, although the runs were created",
        applies_to=_CREATE,
        respond=changed_answer(_crash),
    ),
    "ids_in_500": NetworkFault(
        description="500 with the ids of the runs in it",
        applies_to=_CREATE,
        respond=changed_answer(lambda body, faulty: body, status=500),
    ),
    "crashed_after": NetworkFault(
        description="500, 502 or 503 in the API's own shape, although the runs were created",
        applies_to=_CREATE,
        respond=_crashed,
    ),
    "error_object": NetworkFault(
        description="refused with the error as an object",
        applies_to=_CREATE,
        respond=_refused(_plain),
    ),
    "error_beside_ids": NetworkFault(
        description="refused with run_ids null beside the error",
        applies_to=_CREATE,
        respond=_refused(_beside),
    ),
    "error_in_200": NetworkFault(
        description="refused with status 200, run_ids null and an error",
        applies_to=_CREATE,
        respond=_refused(_beside, status=200),
    ),
    "error_list": NetworkFault(
        description="refused with an error for each run as a list",
        applies_to=_CREATE,
        respond=_refused(_listed),
    ),
    "errors_list": NetworkFault(
        description="refused with a list of errors that have an index each",
        applies_to=_CREATE,
        respond=_refused(_several),
    ),
    "error_flat": NetworkFault(
        description="refused with error_code and message at the top",
        applies_to=_CREATE,
        respond=_refused(_flat),
    ),
    "error_named": NetworkFault(
        description="400 that names the last run of the request", applies_to=_CREATE, respond=_named
    ),
    "cut_goals": NetworkFault(
        description="a list shows only the beginnings of goals, without their markers",
        applies_to=_SEARCH,
        respond=changed_answer(_runs(_cut)),
    ),
    "null_goals": NetworkFault(
        description="a list shows no goals",
        applies_to=_SEARCH,
        respond=changed_answer(_runs(_without_goal)),
    ),
    "numeric_ids": NetworkFault(
        description="a list names runs by numbers that no other answer has",
        applies_to=_SEARCH,
        respond=changed_answer(_runs(_numbered)),
    ),
    "blind_search": NetworkFault(
        description="a search finds nothing, and reports that it is complete",
        applies_to=_SEARCH,
        respond=changed_answer(_nothing),
    ),
    "endless_list": NetworkFault(
        description="each page of a list leads to another one",
        applies_to=_SEARCH,
        respond=changed_answer(_endless),
    ),
    "stale_poll": NetworkFault(
        description="an earlier answer again: runs have their earlier status",
        applies_to=_POLL,
        respond=_stale,
    ),
    "unknown_status": NetworkFault(
        description="runs have an unknown status",
        applies_to=_POLL,
        respond=changed_answer(_runs(lambda run: {**run, "status": "PAUSED"})),
    ),
    "unknown_fields": NetworkFault(
        description="runs have unknown fields",
        applies_to=_POLL | _SEARCH,
        respond=changed_answer(_runs(_decorated)),
    ),
    "bare_runs": NetworkFault(
        description="runs lack every field that is not required",
        applies_to=_POLL,
        respond=changed_answer(_runs(_bare)),
    ),
    "silent_poll": NetworkFault(
        description="every other run is missing, and not reported as unknown either",
        applies_to=_POLL,
        respond=changed_answer(_silent),
    ),
    "hidden_runs": NetworkFault(
        description="runs are reported as unknown, each in one poll",
        applies_to=_POLL,
        respond=changed_answer(_hidden),
    ),
    "half_page": NetworkFault(
        description="half of a page, which says that there is more, without a cursor",
        applies_to=_SEARCH,
        respond=changed_answer(_half_page),
    ),
    "round_pages": NetworkFault(
        description="every page says that the next one is the first",
        applies_to=_SEARCH,
        respond=changed_answer(_round),
    ),
}
