"""The sandbox's agent: it opens a job's page over HTTP and extracts what is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from batchrunner.sandbox.agent.browser import Visit, visit
from batchrunner.sandbox.agent.captcha_pages import captcha_or_login
from batchrunner.sandbox.agent.goal_answer import Answer, answer_goal
from batchrunner.sandbox.agent.html import TooDeepError, parse
from batchrunner.sandbox.agent.page import read_page
from batchrunner.sandbox.agent.schema_answer import answer_schema
from batchrunner.sandbox.agent.schema_check import SchemaError, schema_errors

__all__ = ["Agent", "Findings", "SchemaError"]

#: How many lines may describe how the page was reached, and how it was read.
_MAX_ON_THE_WAY = 6
_MAX_READING = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """What the agent brings back from a page."""

    result: dict[str, Any] | None
    actions: tuple[str, ...]  #: what it did: two to nine lines, one per step
    html: str
    schema_errors: tuple[SchemaError, ...] = ()


class Agent:
    """Reads pages for jobs; it has no state except the client, so one agent serves all runs."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def perform(
        self, url: str, goal: str, output_schema: Mapping[str, Any] | None
    ) -> Findings:
        """Open the page and extract what the goal, or the schema where there is one, asks for.

        A page that cannot be reached or read is a result with the status "failure" and a reason,
        as the API reports it; it never raises.
        """
        seen = await visit(self._client, url)
        found = _read(seen, goal, output_schema)
        way = _shorten(seen.actions, _MAX_ON_THE_WAY)
        errors = () if output_schema is None else schema_errors(found.result, output_schema)
        return Findings(
            result=found.result,
            actions=way + _shorten(found.actions, _MAX_READING),
            html=seen.html,
            schema_errors=errors,
        )


def _read(seen: Visit, goal: str, schema: Mapping[str, Any] | None) -> Answer:
    try:
        tree = parse(seen.html)
    except TooDeepError:
        return _stop("The page is nested too deeply to be read")
    reason = captcha_or_login(seen, tree)
    if reason is not None:
        return _stop(reason)
    page = read_page(tree, seen.url)
    if schema is None:
        return answer_goal(page, goal)
    result = answer_schema(page, schema)
    missing = [name for name in schema.get("properties", {}) if name not in result]
    actions = [f"Read {', '.join(result)}"] if result else []
    if missing or not result:
        actions.append(f"Look for {', '.join(missing) or 'something to read'}")
    return Answer(result=result, actions=tuple(actions))


def _stop(reason: str) -> Answer:
    result = {"status": "failure", "reason": reason}
    return Answer(result=result, actions=(f"Stop: {reason}",))


def _shorten(lines: tuple[str, ...], max_lines: int) -> tuple[str, ...]:
    """Join the lines beyond the limit into the last one."""
    if len(lines) <= max_lines:
        return lines
    return (*lines[: max_lines - 1], "; ".join(lines[max_lines - 1 :]))
