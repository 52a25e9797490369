"""Runs, pages and wallets in the shapes that the API sends."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from batchrunner.sandbox.fates import Status
from batchrunner.sandbox.ledger import Run
from batchrunner.sandbox.seeded import identifier
from batchrunner.sandbox.world import World

#: The picture of every step: one grey pixel.
JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQEASABIAAD/2wBD" + "AP" + "/" * 86 + "wgALCAABAAEBAREA"
    "/8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAAgBAQABPxD/2Q=="
)
_SITE = "https://agent.tinyfish.ai"


def instant(at: datetime) -> str:
    """Write an instant as the API does: UTC, in milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def full(run: Run, *, screenshots: str = "url", html: str = "url") -> dict[str, Any]:
    """Show a run with its steps, as GET /v1/runs/{id} and POST /v1/runs/batch do."""
    recorded = run.status is Status.COMPLETED and _captures(run, "recording")
    video = f"{_SITE}/runs/{run.run_id}/video.mp4?expires=900" if recorded else None
    steps = _steps(run, screenshots=screenshots, html=html)
    return {**summary(run), "video_url": video, "steps": steps}


def summary(run: Run) -> dict[str, Any]:
    """Show a run without its steps, as the list does."""
    live = run.status is Status.RUNNING
    return {
        "run_id": run.run_id,
        "status": run.status.value,
        "goal": run.goal,
        "created_at": instant(run.created_at),
        "started_at": _instant_or_none(run.started_at),
        "finished_at": _instant_or_none(run.finished_at),
        "num_of_steps": run.steps if run.status.is_final else None,
        "result": run.result,
        "output_schema": run.body.get("output_schema"),
        "schema_validation": _schema_validation(run),
        "profile_attached": run.body.get("use_profile", False),
        "profile_id": run.body.get("profile_id"),
        "error": run.error,
        "streaming_url": f"{_SITE}/live/{run.run_id}" if live else None,
        "browser_config": _browser_config(run),
    }


def step_ids(run: Run) -> list[str]:
    """Give the ids of a run's steps in order."""
    return [identifier(run.run_id, place) for place in range(run.steps)]


def page(runs: Iterable[Run], *, total: int, next_cursor: str | None) -> dict[str, Any]:
    """Show one page of the list of runs."""
    pagination = {
        "total": total,
        "next_cursor": next_cursor,
        "has_more": next_cursor is not None,
    }
    return {"data": [summary(run) for run in runs], "pagination": pagination}


def cancelled(run: Run, *, was_open: bool) -> dict[str, Any]:
    """Show what became of a cancel: a run that had ended is told as it ended."""
    is_cancelled = run.status is Status.CANCELLED
    told = "Run already cancelled" if is_cancelled else "Run already finished"
    return {
        "run_id": run.run_id,
        "status": run.status.value,
        "cancelled_at": _instant_or_none(run.finished_at) if is_cancelled else None,
        "message": None if was_open else told,
    }


def wallet(balance: Decimal, world: World, now: datetime) -> dict[str, Any]:
    """Show the wallet of an account that pays for each step."""
    meter = {
        "label": "Agent step",
        "unit_amount": f"{world.price:f}",
        "currency": "USD",
        "per": "step",
    }
    return {
        "available_balance": f"{balance:f}",
        "currency": "USD",
        "as_of": instant(now),
        "auto_reload": {"state": "unconfigured"},
        "pending_top_up": None,
        "rates": {"meters": [meter], "as_of": instant(now)},
    }


def _instant_or_none(at: datetime | None) -> str | None:
    return None if at is None else instant(at)


def _captures(run: Run, what: str) -> bool:
    return bool(run.body.get("capture_config", {}).get(what, False))


def _browser_config(run: Run) -> dict[str, Any]:
    proxy: Mapping[str, Any] = run.body.get("proxy_config", {"enabled": False})
    enabled = proxy["enabled"]
    country = proxy.get("country_code") if enabled else None
    return {"proxy_enabled": enabled, "proxy_country_code": country}


def _schema_validation(run: Run) -> dict[str, Any] | None:
    if run.status is not Status.COMPLETED or "output_schema" not in run.body:
        return None
    errors = list(run.schema_errors)
    return {"valid": not errors, "re_prompt_attempts": 2 if errors else 0, "errors": errors}


def _steps(run: Run, *, screenshots: str, html: str) -> list[dict[str, Any]]:
    if run.started_at is None or run.finished_at is None:
        return []
    lasts = (run.finished_at - run.started_at) / max(run.steps, 1)
    return [
        {
            "id": step_id,
            "timestamp": instant(run.started_at + place * lasts),
            "status": Status.COMPLETED.value,
            "action": action,
            "screenshot": _screenshot(run, step_id, screenshots),
            "html": _html(run, step_id, html),
            "duration": f"{lasts.total_seconds():.1f}s",
        }
        for place, (step_id, action) in enumerate(zip(step_ids(run), run.actions, strict=True))
    ]


def _screenshot(run: Run, step_id: str, form: str) -> str | None:
    if form == "none" or not _captures(run, "screenshots"):
        return None
    if form == "base64":
        return "data:image/jpeg;base64," + base64.b64encode(JPEG).decode()
    return f"{_SITE}/runs/{run.run_id}/steps/{step_id[:8]}/screenshot"


def _html(run: Run, step_id: str, form: str) -> str | None:
    if form == "none" or not _captures(run, "html"):
        return None
    return f"{_SITE}/runs/{run.run_id}/steps/{step_id[:8]}/html"
