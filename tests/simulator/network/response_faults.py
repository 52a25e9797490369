"""Answers of the API in shapes that its description leaves open, or forbids."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import httpx

from tests.simulator.network.fault import Does, FaultyRequest, NetworkFault, RequestKind

#: Makes another answer of the API's own; None where there is nothing to change.
BodyChange: TypeAlias = Callable[[dict[str, Any], FaultyRequest], Any]
#: Writes an error that this code and message make, for a create of so many runs.
Shape: TypeAlias = Callable[[str, str, int], Any]

#: By what a create can be refused for sure, in turn; none of it is about single jobs for good.
_REFUSALS = (
    (402, "INSUFFICIENT_CREDITS", "Add money to continue"),
    (429, "RATE_LIMIT_EXCEEDED", "Rate limit exceeded"),
    (403, "forbidden", "Insufficient credits or no active subscription"),
)
_INVALID = (400, "INVALID_INPUT", "Validation failed")
_CRASHES = ((500, "INTERNAL_ERROR"), (502, "SERVICE_BUSY"), (503, "SERVICE_BUSY"))
#: What a run cannot do without: who it is, how it stands, and what it brought and cost.
#: Without the goal nobody could tell whose run it is; the contract requires it.
_NEEDED = ("run_id", "status", "goal", "result", "error", "num_of_steps")
#: As much of a goal as a list shows that cuts it off: the marker is not in it.
_SHOWN = 40
#: A cursor that leads to the beginning: whoever follows it sees the same page again.
_ROUND = "eyJpZCI6IjAiLCJjcmVhdGVkQXQiOiIyMDAwLTAxLTAxVDAwOjAwOjAwWiJ9"


def twisted(twist: BodyChange, *, status: int = 200) -> Does:
    """Let the API answer, and change what it says."""

    async def does(trip: FaultyRequest) -> httpx.Response:
        answer = await trip.answer()
        body = answer.json() if answer.status_code == 200 else None
        changed = None if body is None else twist(body, trip)
        if changed is None:
            return answer
        trip.strike()
        return said(changed, status)

    return does


def said(body: Any, status: int = 200) -> httpx.Response:
    """Return an answer in JSON."""
    return httpx.Response(status, content=json.dumps(body))


# ---- creates ----


def _ids(change: Callable[[list[str]], Sequence[Any]]) -> BodyChange:
    def twist(body: dict[str, Any], trip: FaultyRequest) -> Any:
        ids = body.get("run_ids") or []
        changed = list(change(ids))
        return None if changed == ids else {**body, "run_ids": changed}

    return twist


def _doubled(ids: list[str]) -> list[str]:
    return [*ids[:-1], ids[0]] if len(ids) > 1 else ids * 2


def _of_another(body: dict[str, Any], trip: FaultyRequest) -> Any:
    """Name a run of an earlier create in the place of the last one."""
    ids, told = body.get("run_ids") or [], trip.past.told
    changed = [*ids[:-1], told[-1]] if ids and told else None
    told.extend(ids)
    return changed and {**body, "run_ids": changed}


async def _crossed(trip: FaultyRequest) -> httpx.Response:
    """Keep each answer back until the next create, which gets it in the place of its own."""
    answer = await trip.answer()
    body = answer.json() if answer.status_code == 200 else {}
    ids = body.get("run_ids")
    if not ids:
        return answer
    earlier, trip.past.held = trip.past.held, ids
    trip.strike()
    if len(earlier) == len(ids):
        return said({**body, "run_ids": earlier})
    raise httpx.ReadError("the answer went astray", request=trip.request)


def _crash(body: dict[str, Any], trip: FaultyRequest) -> Any:
    code = "INTERNAL_ERROR"
    return {"run_ids": None, "error": {"code": code, "message": "An unexpected error occurred"}}


async def _crashed(trip: FaultyRequest) -> httpx.Response:
    await trip.answer()
    trip.strike()
    status, code = _CRASHES[trip.nth % len(_CRASHES)]
    return said({"error": {"code": code, "message": "Internal server error"}}, status)


def _refused(shape: Shape, *, status: int | None = None) -> Does:
    """Refuse a create in the API's place, for another reason each time; *status* hides which."""

    async def does(trip: FaultyRequest) -> httpx.Response:
        trip.strike()
        usual, code, message = _REFUSALS[trip.nth % len(_REFUSALS)]
        return said(shape(code, message, _count(trip)), status or usual)

    return does


async def _named(trip: FaultyRequest) -> httpx.Response:
    trip.strike()
    status, code, message = _INVALID
    last = _count(trip) - 1
    issue = {"code": "custom", "path": ["runs", last, "url"], "message": "Invalid url"}
    return said({"error": {"code": code, "message": message, "details": [issue]}}, status)


def _count(trip: FaultyRequest) -> int:
    return len(json.loads(trip.request.content).get("runs", [None]))


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


# ---- looks and searches ----


def _runs(change: Callable[[dict[str, Any]], dict[str, Any]]) -> BodyChange:
    def twist(body: dict[str, Any], trip: FaultyRequest) -> Any:
        changed = {**body, "data": [change(run) for run in body["data"]]}
        return None if changed == body else changed

    return twist


def _bare(run: dict[str, Any]) -> dict[str, Any]:
    return {name: run[name] for name in _NEEDED if run[name] is not None}


def _decorated(run: dict[str, Any]) -> dict[str, Any]:
    return {"queue": {"place": [1, None]}, "": None, **run, "id": 7, "tags": ["\u2028"]}


def _silent(body: dict[str, Any], trip: FaultyRequest) -> Any:
    return {**body, "data": body["data"][::2]} if len(body["data"]) > 1 else None


def _hidden(body: dict[str, Any], trip: FaultyRequest) -> Any:
    """Call each run unknown, and none a second time."""
    new = [run["run_id"] for run in body["data"] if run["run_id"] not in trip.past.hidden]
    if not new:
        return None
    trip.past.hidden.update(new)
    shown = [run for run in body["data"] if run["run_id"] not in new]
    return {"data": shown, "not_found": [*(body["not_found"] or []), *new]}


async def _stale(trip: FaultyRequest) -> httpx.Response:
    """Give the oldest answer that tells of one of the runs, as a cache on the way would."""
    asked = json.loads(trip.request.content)["run_ids"]
    for earlier in trip.past.looks:
        if any(run["run_id"] in asked for run in json.loads(earlier)["data"]):
            trip.strike()
            return httpx.Response(200, content=earlier)
    return await trip.answer()


def _half_page(body: dict[str, Any], trip: FaultyRequest) -> Any:
    half = body["data"][: len(body["data"]) // 2]
    pagination = {**body["pagination"], "next_cursor": None, "has_more": True}
    return {"data": half, "pagination": pagination} if body["data"] else None


def _round(body: dict[str, Any], trip: FaultyRequest) -> Any:
    return {**body, "pagination": {**body["pagination"], "next_cursor": _ROUND, "has_more": True}}


def _cut(run: dict[str, Any]) -> dict[str, Any]:
    return {**run, "goal": run["goal"][:_SHOWN]}


def _without_goal(run: dict[str, Any]) -> dict[str, Any]:
    return {**run, "goal": None}


def _numbered(run: dict[str, Any]) -> dict[str, Any]:
    return {**run, "run_id": zlib.crc32(run["run_id"].encode())}


def _nothing(body: dict[str, Any], trip: FaultyRequest) -> Any:
    pagination = {"total": 0, "next_cursor": None, "has_more": False}
    return {"data": [], "pagination": pagination} if body["data"] else None


def _endless(body: dict[str, Any], trip: FaultyRequest) -> Any:
    """Lead from each page to another one, which is the first again."""
    last = {"id": "0", "createdAt": f"2000-01-01T00:00:00.{trip.nth % 10**6:06}Z"}
    cursor = base64.b64encode(json.dumps(last).encode()).decode()
    pagination = {**body["pagination"], "next_cursor": cursor, "has_more": True}
    return {**body, "pagination": pagination}


_CREATE = frozenset({RequestKind.CREATE})
_LOOK = frozenset({RequestKind.LOOK})
_SEARCH = frozenset({RequestKind.SEARCH})

RESPONSE_FAULTS: Mapping[str, NetworkFault] = {
    "ids_short": NetworkFault(
        says="an id is missing from run_ids",
        befalls=_CREATE,
        does=twisted(_ids(lambda ids: ids[:-1])),
    ),
    "ids_doubled": NetworkFault(
        says="an id stands twice in run_ids, in the place of another",
        befalls=_CREATE,
        does=twisted(_ids(_doubled)),
    ),
    "ids_shuffled": NetworkFault(
        says="run_ids are in another order than the runs",
        befalls=_CREATE,
        does=twisted(_ids(lambda ids: ids[::-1])),
    ),
    "ids_of_another": NetworkFault(
        says="a run of an earlier create stands in run_ids, in the place of the last",
        befalls=_CREATE,
        does=twisted(_of_another),
    ),
    "ids_crossed": NetworkFault(
        says="each create gets the answer of the one before, and the first one none",
        befalls=_CREATE,
        does=_crossed,
    ),
    "ids_with_number": NetworkFault(
        says="a number stands among run_ids",
        befalls=_CREATE,
        does=twisted(_ids(lambda ids: [*ids[:-1], 7])),
    ),
    "ids_with_null": NetworkFault(
        says="null stands among run_ids",
        befalls=_CREATE,
        does=twisted(_ids(lambda ids: [*ids[:-1], None])),
    ),
    "ids_null": NetworkFault(
        says="200 with an error and run_ids null, although the runs were created",
        befalls=_CREATE,
        does=twisted(_crash),
    ),
    "ids_in_500": NetworkFault(
        says="500 with the ids of the runs in it",
        befalls=_CREATE,
        does=twisted(lambda body, trip: body, status=500),
    ),
    "crashed_after": NetworkFault(
        says="500, 502 or 503 in the API's words, although the runs were created",
        befalls=_CREATE,
        does=_crashed,
    ),
    "error_object": NetworkFault(
        says="refused with the error as an object", befalls=_CREATE, does=_refused(_plain)
    ),
    "error_beside_ids": NetworkFault(
        says="refused with run_ids null beside the error", befalls=_CREATE, does=_refused(_beside)
    ),
    "error_in_200": NetworkFault(
        says="refused with status 200, run_ids null and an error",
        befalls=_CREATE,
        does=_refused(_beside, status=200),
    ),
    "error_list": NetworkFault(
        says="refused with an error for each run as a list", befalls=_CREATE, does=_refused(_listed)
    ),
    "errors_list": NetworkFault(
        says="refused with a list of errors that have an index each",
        befalls=_CREATE,
        does=_refused(_several),
    ),
    "error_flat": NetworkFault(
        says="refused with error_code and message at the top", befalls=_CREATE, does=_refused(_flat)
    ),
    "error_named": NetworkFault(
        says="400 that names the last run of the request", befalls=_CREATE, does=_named
    ),
    "cut_goals": NetworkFault(
        says="a list shows only the beginnings of goals, without their markers",
        befalls=_SEARCH,
        does=twisted(_runs(_cut)),
    ),
    "null_goals": NetworkFault(
        says="a list shows no goals", befalls=_SEARCH, does=twisted(_runs(_without_goal))
    ),
    "numeric_ids": NetworkFault(
        says="a list shows runs by numbers that nothing else knows",
        befalls=_SEARCH,
        does=twisted(_runs(_numbered)),
    ),
    "blind_search": NetworkFault(
        says="a search finds nothing, and says that this is all",
        befalls=_SEARCH,
        does=twisted(_nothing),
    ),
    "endless_list": NetworkFault(
        says="each page of a list leads to another one", befalls=_SEARCH, does=twisted(_endless)
    ),
    "stale_look": NetworkFault(
        says="an earlier answer again: runs that went on stand as they stood",
        befalls=_LOOK,
        does=_stale,
    ),
    "unknown_status": NetworkFault(
        says="runs have a status that nobody knows",
        befalls=_LOOK,
        does=twisted(_runs(lambda run: {**run, "status": "PAUSED"})),
    ),
    "unknown_fields": NetworkFault(
        says="runs have fields that nobody knows",
        befalls=_LOOK | _SEARCH,
        does=twisted(_runs(_decorated)),
    ),
    "bare_runs": NetworkFault(
        says="runs lack every field that can be done without",
        befalls=_LOOK,
        does=twisted(_runs(_bare)),
    ),
    "silent_look": NetworkFault(
        says="every other run is missing, and not called unknown either",
        befalls=_LOOK,
        does=twisted(_silent),
    ),
    "hidden_runs": NetworkFault(
        says="runs are called unknown, each in one look", befalls=_LOOK, does=twisted(_hidden)
    ),
    "half_page": NetworkFault(
        says="half of a page, which says that there is more and not where",
        befalls=_SEARCH,
        does=twisted(_half_page),
    ),
    "round_pages": NetworkFault(
        says="every page says that the next one is the first",
        befalls=_SEARCH,
        does=twisted(_round),
    ),
}
