"""The list of runs: filters, order and pages."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from batchrunner.sandbox.http.errors import invalid
from batchrunner.sandbox.http.response_bodies import instant
from batchrunner.sandbox.http.validators import issue
from batchrunner.sandbox.journal import SandboxRun
from batchrunner.sandbox.scenario import SandboxConfig

_DEFAULT_LIMIT = 20

#: The smallest step of the API's time.
_TICK = timedelta(milliseconds=1)

Key = tuple[datetime, str]


@dataclass(frozen=True, kw_only=True)
class RunListPage:
    """The runs of one page, their number on all pages, and the cursor of the next page."""

    runs: list[SandboxRun]
    total: int
    next_cursor: str | None


def list_page(
    runs: Iterable[SandboxRun],
    query: Mapping[str, str],
    config: SandboxConfig,
    searched: Callable[[str, str], str] = lambda goal, text: goal,
) -> RunListPage:
    """Return the page of runs that a valid query asks for.

    Both bounds of created_at are usually exclusive, because a client must also work with this
    strict interpretation. Runs created in the same millisecond are in the order of their ids, so
    a cursor never skips one. *searched* returns the part of a goal in which a search looks.
    """
    newest_first = query.get("sort_direction", "desc") == "desc"
    found = sorted(_fitting(runs, query, config, searched), key=_key, reverse=newest_first)
    rest = found
    if "cursor" in query:
        last = _read(query["cursor"])
        rest = [run for run in found if (_key(run) < last if newest_first else _key(run) > last)]
    limit = int(float(query.get("limit", _DEFAULT_LIMIT)))
    shown = rest[:limit]
    more = len(rest) > limit
    return RunListPage(
        runs=shown, total=len(found), next_cursor=_cursor(shown[-1]) if more else None
    )


def _fitting(
    runs: Iterable[SandboxRun],
    query: Mapping[str, str],
    config: SandboxConfig,
    searched: Callable[[str, str], str],
) -> list[SandboxRun]:
    # Every search reads every run of the account: parse the query once, not for each run.
    cased = config.answers("goal_case") == "compared"
    status, text = query.get("status"), _cased(query.get("goal", ""), cased)
    after = _instant(query["created_after"]) if "created_after" in query else None
    before = _instant(query["created_before"]) if "created_before" in query else None
    if config.answers("bounds") == "inclusive":
        after = after and after - _TICK
        before = before and before + _TICK
    if config.answers("goal_search") == "pattern":
        fits = _pattern(text)
        runs = [run for run in runs if fits.search(_cased(searched(run.goal, text), cased))]
        text = ""
    return [
        run
        for run in runs
        if text in _cased(searched(run.goal, text), cased)
        and (status is None or run.status == status)
        and (after is None or run.created_at > after)
        and (before is None or run.created_at < before)
    ]


def _cased(text: str, cased: bool) -> str:
    return text if cased else text.lower()


def _pattern(text: str) -> re.Pattern[str]:
    wild = {"%": ".*", "_": "."}
    return re.compile("".join(wild.get(each) or re.escape(each) for each in text), re.DOTALL)


def _key(run: SandboxRun) -> Key:
    return run.created_at, run.run_id


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _cursor(run: SandboxRun) -> str:
    last = {"id": run.run_id, "createdAt": instant(run.created_at)}
    return base64.b64encode(json.dumps(last, separators=(",", ":")).encode()).decode()


def _read(cursor: str) -> Key:
    try:
        last: Any = json.loads(base64.b64decode(cursor, validate=True))
        at, run_id = _instant(last["createdAt"]), last["id"]
        if at.tzinfo is None or not isinstance(run_id, str):
            raise ValueError(cursor)
    except (ValueError, KeyError, TypeError):
        raise invalid([issue("custom", ("cursor",), "Invalid cursor")]) from None
    return at, run_id
