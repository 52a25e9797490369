"""The bodies and query parameters that the API takes, and how it refuses all others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import QueryParams

from batchrunner.sandbox.checks import (
    Check,
    Path,
    flag,
    instant,
    issue,
    list_of,
    mapping,
    one_of,
    pattern,
    record,
    text,
    url,
    whole,
    wrong_type,
)
from batchrunner.sandbox.fates import Status
from batchrunner.sandbox.output_schema import complaint
from batchrunner.sandbox.refusals import Issue, Refused, invalid

#: Most runs of one request.
MOST = 100


def _needs(field: str, switch: str) -> Check:
    def check(value: Any, path: Path) -> list[Issue]:
        if field not in value or value.get(switch) is True:
            return []
        message = f"{field} requires {switch} to be true"
        return [issue("custom", (*path, field), message)]

    return check


def _own_proxy(value: Any, path: Path) -> list[Issue]:
    if value.get("type") != "custom" or "url" in value:
        return []
    return [issue("custom", (*path, "url"), "url is required when type is custom")]


_RUN_FIELDS: Mapping[str, Check] = {
    "url": url("http", "https"),
    "goal": text(least=1),
    "browser_profile": one_of("lite", "stealth"),
    "proxy_config": record(
        {
            "enabled": flag,
            "type": one_of("tetra", "custom"),
            "country_code": pattern("[A-Z]{2}"),
            "url": url("http", "https", "socks5"),
            "username": text(),
            "password": text(),
        },
        required=("enabled",),
        rules=(_own_proxy,),
    ),
    "agent_config": record(
        {
            "mode": one_of("default", "strict"),
            "max_steps": whole(least=1, most=500),
            "max_duration_seconds": whole(least=1),
            "cursor_style": one_of("fish", "standard", "green-pointer"),
        }
    ),
    "capture_config": record(
        {name: flag for name in ("screenshots", "snapshots", "html", "elements", "recording")}
    ),
    "use_vault": flag,
    "credential_item_ids": list_of(text(least=1), least=1),
    "use_profile": flag,
    "profile_id": text(least=1),
    "webhook_url": url("https"),
    "api_integration": text(),
    "feature_flags": record({"enable_agent_memory": flag}, closed=False),
}
_RUN_RULES = (_needs("credential_item_ids", "use_vault"), _needs("profile_id", "use_profile"))
_REQUIRED = ("url", "goal")

_RUN = record({**_RUN_FIELDS, "output_schema": mapping}, required=_REQUIRED, rules=_RUN_RULES)
_BATCH = record(
    {
        "runs": list_of(
            record(_RUN_FIELDS, required=_REQUIRED, rules=_RUN_RULES), least=1, most=MOST
        ),
        "output_schema": mapping,
    },
    required=("runs",),
)
_RUN_IDS = record({"run_ids": list_of(text(), least=1, most=MOST)}, required=("run_ids",))


def _limit(value: Any, path: Path) -> list[Issue]:
    try:
        number = float(value)
    except ValueError:
        return wrong_type("number", float("nan"), path)
    return whole(least=1, most=MOST)(number, path)


_LIST_QUERY = record(
    {
        "status": one_of(*Status),
        "goal": text(most=500),
        "created_after": instant,
        "created_before": instant,
        "sort_direction": one_of("asc", "desc"),
        "cursor": text(),
        "limit": _limit,
    }
)
_RUN_QUERY = record({"screenshots": one_of("url", "base64", "none"), "html": one_of("url", "none")})


def parsed(content: bytes) -> Any:
    """Read a request's JSON body."""
    try:
        return json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise Refused(400, "INVALID_INPUT", "Request body is not valid JSON") from None


def run(body: Any) -> list[dict[str, Any]]:
    """Check the body of run-async and give it as the only one."""
    _pass(_RUN, body)
    _pass_schema(body)
    return [body]


def batch(body: Any) -> list[dict[str, Any]]:
    """Check the body of run-batch and give one body for each run, with the schema they share."""
    _pass(_BATCH, body)
    _pass_schema(body)
    shared = {name: body[name] for name in ("output_schema",) if name in body}
    return [{**item, **shared} for item in body["runs"]]


def run_ids(body: Any) -> list[str]:
    """Check a body of run ids and give each id once."""
    _pass(_RUN_IDS, body)
    return list(dict.fromkeys(body["run_ids"]))


def list_query(query: QueryParams) -> dict[str, str]:
    """Check the query parameters of the list of runs."""
    return _query(_LIST_QUERY, query)


def run_query(query: QueryParams) -> dict[str, str]:
    """Check the query parameters of one run."""
    return _query(_RUN_QUERY, query)


def _query(check: Check, query: QueryParams) -> dict[str, str]:
    repeated = [name for name in query if len(query.getlist(name)) > 1]
    if repeated:
        raise invalid(wrong_type("string", query.getlist(repeated[0]), (repeated[0],)))
    values = dict(query)
    _pass(check, values)
    return values


def _pass(check: Check, value: Any) -> None:
    issues = check(value, ())
    if issues:
        raise invalid(issues)


def _pass_schema(body: dict[str, Any]) -> None:
    wrong = complaint(body.get("output_schema", {}))
    if wrong is not None:
        raise Refused(400, "INVALID_INPUT", wrong)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
