"""Visits of the agent to the sample sites."""

from __future__ import annotations

import httpx

from batchrunner.sandbox.agent import Agent, Findings
from batchrunner.sandbox.sites import sites_app


async def perform(url, goal="", schema=None) -> Findings:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(sites_app())) as client:
        return await Agent(client).perform(url, goal, schema)


def failure(reason: str) -> dict[str, str]:
    return {"status": "failure", "reason": reason}
