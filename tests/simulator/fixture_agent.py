"""An agent that reads no pages: its result depends on the url and the goal alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batchrunner.sandbox.agent import Findings
from batchrunner.sandbox.agent.schema_check import schema_errors
from batchrunner.sandbox.seeded_random import seeded_share

#: Most steps besides opening the page and reading the name and the price.
_MAX_SCROLLS = 4


class FixtureAgent:
    """Finds a name and a price at once, for batches in which the pages do not matter."""

    async def perform(
        self, url: str, goal: str, output_schema: Mapping[str, Any] | None
    ) -> Findings:
        """Return findings without opening the page; the same for the same url and goal."""
        page = url.partition("?")[0].rstrip("/").rpartition("/")[2]
        price = round(1 + 99 * seeded_share("price", url, goal), 2)
        result = {"name": f"Thing {page}", "price": price}
        scrolls = ("Scroll down",) * int(seeded_share("scrolls", url, goal) * (_MAX_SCROLLS + 1))
        return Findings(
            result=result,
            actions=(f"Open {url}", *scrolls, "Read the name", "Read the price"),
            html="",
            schema_errors=() if output_schema is None else schema_errors(result, output_schema),
        )
