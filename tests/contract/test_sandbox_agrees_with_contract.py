"""Whatever is sent: what the sandbox takes, the contract allows, and the other way round."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from openapi import mistakes

from batchrunner.sandbox import SandboxConfig
from batchrunner.sandbox.http import request_schema
from batchrunner.sandbox.http.errors import ApiErrorAnswer

WORLD = SandboxConfig()
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 600),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "a", "https://a.test/", "http://a.test", "HTTP://a.test", "a.test"]),
    st.sampled_from(["lite", "stealth", "tetra", "custom", "DE", "de", "strict", "fish"]),
    st.lists(st.sampled_from(["a", "", 1]), max_size=2),
    st.just({}),
)


def fields(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from([*names, "strange"]), VALUES, max_size=3)


NODES: st.SearchStrategy[dict[str, Any]] = st.deferred(
    lambda: st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["object", "array", "string", "number", "null"]),
            "nullable": VALUES,
            "properties": st.dictionaries(st.sampled_from("ab"), NODES, max_size=2),
            "required": VALUES,
            "propertyOrdering": st.lists(st.sampled_from("ab"), max_size=2),
            "items": NODES,
            "minItems": VALUES,
            "enum": VALUES,
            "format": st.sampled_from(["date", "email"]),
            "minimum": VALUES,
            "anyOf": st.lists(NODES, max_size=2),
            "title": st.just("a"),
        },
    )
)
NESTED: dict[str, st.SearchStrategy[Any]] = {
    "proxy_config": fields("enabled", "type", "country_code", "url", "username", "password"),
    "agent_config": fields("mode", "max_steps", "max_duration_seconds", "cursor_style"),
    "capture_config": fields("screenshots", "snapshots", "html", "elements", "recording"),
    "feature_flags": fields("enable_agent_memory"),
    "output_schema": NODES,
}
FLAT = (
    "url",
    "goal",
    "browser_profile",
    "use_vault",
    "credential_item_ids",
    "use_profile",
    "profile_id",
    "webhook_url",
    "api_integration",
    "strange",
)
OPTIONS = st.one_of(
    *(st.tuples(st.just(name), VALUES) for name in (*FLAT, *NESTED)),
    *(st.tuples(st.just(name), values) for name, values in NESTED.items()),
)
BODIES = st.lists(OPTIONS, max_size=3).map(
    lambda options: {"url": "https://a.test/", "goal": "Read", **dict(options)}
)


def refusal(body: Any) -> str | None:
    try:
        request_schema.run(body, WORLD)
    except ApiErrorAnswer as refused:
        return str(refused)
    return None


@settings(derandomize=True)
@given(BODIES)
def test_the_sandbox_and_the_contract_take_the_same_runs(body: dict[str, Any]) -> None:
    refused = refusal(body)
    if mistakes(body, "/components/schemas/RunRequest"):
        assert refused is not None
    elif refused is not None:
        # Some rules of output_schema cannot be written as a schema.
        assert refused.startswith("output_schema ")
