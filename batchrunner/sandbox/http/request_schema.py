"""Checks request bodies and query parameters, and refuses wrong ones as the API does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request

from batchrunner.sandbox.faults import Status
from batchrunner.sandbox.http.errors import ApiErrorAnswer, Issue, invalid
from batchrunner.sandbox.http.output_schema import complaint
from batchrunner.sandbox.http.validators import (
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
from batchrunner.sandbox.scenario import SandboxConfig

#: Most runs of one request.
MAX_RUNS_PER_REQUEST = 100
#: Most characters of a goal, where the API has such a limit.
MAX_GOAL_LENGTH = 500


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


_PROXY_COUNTRIES = ("US", "GB", "CA", "DE", "FR", "JP", "AU")
_RUN_RULES = (_needs("credential_item_ids", "use_vault"), _needs("profile_id", "use_profile"))
_REQUIRED = ("url", "goal")


def _run_fields(
    *, closed: bool, country: Check, webhook: Check, goal_limit: int | None
) -> Mapping[str, Check]:
    return {
        "url": url("http", "https"),
        "goal": text(minimum=1, maximum=goal_limit),
        "browser_profile": one_of("lite", "stealth"),
        "proxy_config": record(
            {
                "enabled": flag,
                "type": one_of("tetra", "custom"),
                "country_code": country,
                "url": url("http", "https", "socks5"),
                "username": text(),
                "password": text(),
            },
            required=("enabled",),
            rules=(_own_proxy,),
            closed=closed,
        ),
        "agent_config": record(
            {
                "mode": one_of("default", "strict"),
                "max_steps": whole(minimum=1, maximum=500),
                "max_duration_seconds": whole(minimum=1),
                "cursor_style": one_of("fish", "standard", "green-pointer"),
            },
            closed=closed,
        ),
        "capture_config": record({name: flag for name in _CAPTURES}, closed=closed),
        "use_vault": flag,
        "credential_item_ids": list_of(text(minimum=1), minimum=1),
        "use_profile": flag,
        "profile_id": text(minimum=1),
        "webhook_url": webhook,
        "api_integration": text(),
        "feature_flags": record({"enable_agent_memory": flag}, closed=False),
    }


_CAPTURES = ("screenshots", "snapshots", "html", "elements", "recording")
#: Options that only some accounts have: the enclosing option, and their names.
_GATED = {"agent_config": ("mode", "max_steps"), "capture_config": ("elements", "recording")}


@cache
def _creates(keys: str, countries: str, webhooks: str, goals: str) -> tuple[Check, Check]:
    """Return the checks of one run and of a batch, as four variants choose them."""
    closed = keys == "refused"
    fields = _run_fields(
        closed=closed,
        country=pattern("[A-Z]{2}") if countries == "any" else one_of(*_PROXY_COUNTRIES),
        webhook=url("https") if webhooks == "https" else url("http", "https"),
        goal_limit=MAX_GOAL_LENGTH if goals == "limited" else None,
    )
    alone = record(
        {**fields, "output_schema": mapping}, required=_REQUIRED, rules=_RUN_RULES, closed=closed
    )
    item = record(fields, required=_REQUIRED, rules=_RUN_RULES, closed=closed)
    batch = record(
        {"runs": list_of(item, minimum=1, maximum=MAX_RUNS_PER_REQUEST), "output_schema": mapping},
        required=("runs",),
        closed=closed,
    )
    return alone, batch


def _checks(config: SandboxConfig) -> tuple[Check, Check]:
    variants = ("unknown_keys", "proxy_countries", "webhook_url", "goal_length")
    return _creates(*(config.answers(name) for name in variants))


_ID = pattern("[A-Za-z0-9_-]+")
_RUN_IDS = record(
    {"run_ids": list_of(text(), minimum=1, maximum=MAX_RUNS_PER_REQUEST)}, required=("run_ids",)
)
_PROPER_IDS = record(
    {"run_ids": list_of(_ID, minimum=1, maximum=MAX_RUNS_PER_REQUEST)}, required=("run_ids",)
)

_SECRET = text(minimum=1)
_CONNECTIONS: Mapping[str, Check] = {
    "1password": record(
        {"provider": text(), "token": pattern("ops_.+")}, required=("provider", "token")
    ),
    "bitwarden": record(
        {
            "provider": text(),
            "clientId": _SECRET,
            "clientSecret": _SECRET,
            "masterPassword": _SECRET,
            "serverUrl": url("https"),
        },
        required=("provider", "clientId", "clientSecret", "masterPassword"),
    ),
}
_PROVIDER = record({"provider": one_of(*_CONNECTIONS)}, required=("provider",), closed=False)
_PROFILE = record(
    {
        "name": text(minimum=1, maximum=100),
        "proxy_country_code": pattern("[A-Z]{2}"),
        "set_as_default": flag,
    },
    required=("name",),
)
_SETUP = record({"url": url("http", "https"), "timeout_seconds": whole(minimum=1)})
_SAVED = record(
    {"session_id": text(minimum=1), "signed_in_sites": list_of(text())}, required=("session_id",)
)
_CLOSED = record({"session_id": text(minimum=1)}, required=("session_id",))


def _limit(value: Any, path: Path) -> list[Issue]:
    try:
        number = float(value)
    except ValueError:
        return wrong_type("number", float("nan"), path)
    return whole(minimum=1, maximum=MAX_RUNS_PER_REQUEST)(number, path)


_LIST_QUERY = record(
    {
        "status": one_of(*Status),
        "goal": text(maximum=500),
        "created_after": instant,
        "created_before": instant,
        "sort_direction": one_of("asc", "desc"),
        "cursor": text(),
        "limit": _limit,
    }
)
_RUN_QUERY = record({"screenshots": one_of("url", "base64", "none"), "html": one_of("url", "none")})


def parsed(content: bytes) -> Any:
    """Parse a request's JSON body."""
    try:
        return json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise ApiErrorAnswer(400, "INVALID_INPUT", "Request body is not valid JSON") from None


def run(body: Any, config: SandboxConfig) -> list[dict[str, Any]]:
    """Check the body of run-async; return it as a list of one."""
    _pass(_checks(config)[0], body)
    _pass_schema(body)
    return [body]


def batch(body: Any, config: SandboxConfig) -> list[dict[str, Any]]:
    """Check the body of run-batch; return one body for each run, with the shared schema."""
    _pass(_checks(config)[1], body)
    _pass_schema(body)
    shared = {name: body[name] for name in ("output_schema",) if name in body}
    return [{**item, **shared} for item in body["runs"]]


def is_gated(body: Mapping[str, Any]) -> bool:
    """Return whether a run uses an option that only some accounts have."""
    return "output_schema" in body or any(
        name in body.get(option, {}) for option, names in _GATED.items() for name in names
    )


def run_ids(body: Any, config: SandboxConfig) -> list[str]:
    """Check a body of run ids; return each id once, or as often as a variant says."""
    _pass(_PROPER_IDS if config.answers("odd_ids") == "refused" else _RUN_IDS, body)
    asked: list[str] = body["run_ids"]
    return asked if config.answers("repeated_ids") == "each" else list(dict.fromkeys(asked))


def connection(body: Any) -> dict[str, Any]:
    """Check the body that connects a password manager."""
    _pass(_PROVIDER, body)
    return _passed(_CONNECTIONS[body["provider"]], body)


def profile(body: Any) -> dict[str, Any]:
    """Check the body that creates a profile."""
    return _passed(_PROFILE, body)


def setup(body: Any) -> dict[str, Any]:
    """Check the body that starts a session to sign in."""
    return _passed(_SETUP, body)


def saved(body: Any) -> dict[str, Any]:
    """Check the body that ends such a session and saves its logins."""
    return _passed(_SAVED, body)


def closed(body: Any) -> dict[str, Any]:
    """Check the body that ends such a session."""
    return _passed(_CLOSED, body)


def path_id(request: Request, name: str) -> str:
    """Check an id in a request's path, and return it."""
    value: str = request.path_params[name]
    _pass(_ID, value, (name,))
    return value


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


def _pass(check: Check, value: Any, path: Path = ()) -> None:
    issues = check(value, path)
    if issues:
        raise invalid(issues)


def _passed(check: Check, body: Any) -> dict[str, Any]:
    _pass(check, body)
    passed: dict[str, Any] = body
    return passed


def _pass_schema(body: dict[str, Any]) -> None:
    wrong = complaint(body.get("output_schema", {}))
    if wrong is not None:
        raise ApiErrorAnswer(400, "INVALID_INPUT", wrong)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
