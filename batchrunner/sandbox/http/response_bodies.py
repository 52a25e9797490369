"""JSON bodies of answers: runs, pages of runs and the wallet, in the shapes of the variants."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from batchrunner.sandbox.faults import Status
from batchrunner.sandbox.journal import SandboxRun
from batchrunner.sandbox.media.jpeg import jpeg_of
from batchrunner.sandbox.media.mp4 import mp4_of
from batchrunner.sandbox.media.urls import ArtifactUrls
from batchrunner.sandbox.scenario import SandboxConfig
from batchrunner.sandbox.seeded_random import seeded_id

Shown = dict[str, Any]

#: Advice about a run that did not bring what was asked, in either spelling.
_ADVICE = ("help_url", "help_message", "profile_hint", "helpUrl", "helpMessage", "profileHint")
#: The fields of a run in the short form of the list.
_SHORT = ("run_id", "status", "goal", "created_at", "started_at", "finished_at")


def instant(at: datetime) -> str:
    """Return an instant as the API writes it: UTC, in milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def cancelled(run: SandboxRun, *, was_open: bool) -> Shown:
    """Show the outcome of a cancel request; a run that had ended is shown as it ended."""
    is_cancelled = run.status is Status.CANCELLED
    message = "Run already cancelled" if is_cancelled else "Run already finished"
    return {
        "run_id": run.run_id,
        "status": _status(run),
        "cancelled_at": _instant_or_none(run.finished_at) if is_cancelled else None,
        "message": None if was_open else message,
    }


def wallet(balance: Decimal, config: SandboxConfig, now: datetime) -> Shown:
    """Show the wallet of an account that pays for each step."""
    meter = {
        "label": "Agent step",
        "unit_amount": f"{config.price:f}",
        "currency": "USD",
        "per": "step",
    }
    shown = {
        "available_balance": f"{balance:f}",
        "currency": "USD",
        "as_of": instant(now),
    }
    if config.answers("wallet") == "short":
        return shown
    return {
        **shown,
        "auto_reload": {"state": "unconfigured"},
        "pending_top_up": None,
        "rates": {"meters": [meter], "as_of": instant(now)},
    }


class View:
    """Shows runs as they are now, in the shapes that the config's variants choose.

    `fault_of` returns the fault of a run's artifacts.
    """

    def __init__(
        self,
        config: SandboxConfig,
        addresses: ArtifactUrls,
        fault_of: Callable[[SandboxRun], str | None],
    ) -> None:
        self._addresses = addresses
        self._fault_of = fault_of
        self._shots = config.answers("screenshots")
        self._short = config.answers("listed_runs") == "short"
        self._captures_all = config.answers("captures") == "screenshots"
        self._changes = [
            change for (name, answer), change in _CHANGES.items() if config.answers(name) == answer
        ]

    def full(self, run: SandboxRun, *, screenshots: str | None = None, html: str = "url") -> Shown:
        """Show a run with its steps, as GET /v1/runs/{id} and POST /v1/runs/batch do."""
        steps = self._steps(run, screenshots=screenshots or self._shots, html=html)
        recorded = self.has(run, "recording")
        video = self._addresses.video(run, self._fault_of(run)) if recorded else None
        return self._changed(run, {**self._core(run), "video_url": video, "steps": steps})

    def page(self, runs: Iterable[SandboxRun], *, total: int, next_cursor: str | None) -> Shown:
        """Show one page of the list of runs."""
        pagination = {
            "total": total,
            "next_cursor": next_cursor,
            "has_more": next_cursor is not None,
        }
        return {"data": [self._summary(run) for run in runs], "pagination": pagination}

    def waited(self, run: SandboxRun) -> Shown:
        """Show an ended run as `/run` answers; a cancelled run is shown as FAILED."""
        shown = self._changed(run, self._core(run))
        keys = ("run_id", "status", "started_at", "finished_at", "num_of_steps", "result", "error")
        body = {key: shown[key] for key in keys}
        body |= {key: shown[key] for key in _ADVICE if key in shown}
        if run.status is Status.CANCELLED:
            error = {"code": "CANCELLED", "message": "The run was cancelled"}
            body["error"] = {**error, "category": "UNKNOWN", "retry_after": None}
            body["status"] = Status.FAILED.value
        return body

    def event(self, run: SandboxRun) -> Shown:
        """Show an ended run as a webhook reports it."""
        return {
            "event": f"run.{run.status.value.lower()}",
            "run_id": run.run_id,
            "status": run.status.value,
            "data": self.full(run, screenshots="none"),
        }

    def has(self, run: SandboxRun, what: str) -> bool:
        """Return whether something was captured of a run and is available."""
        if run.started_at is None or not run.status.is_final:
            return False
        return self._captures(run, what)

    def step_ids(self, run: SandboxRun) -> list[str]:
        """Return the ids of a run's steps in order."""
        ids = [seeded_id(run.run_id, index) for index in range(run.steps)]
        if self._captured(run) and self._fault_of(run) == "artifact_traversal":
            return [f"../../../{each}" for each in ids]
        return ids

    def _summary(self, run: SandboxRun) -> Shown:
        shown = self._changed(run, self._core(run))
        return {key: shown[key] for key in _SHORT} if self._short else shown

    def _core(self, run: SandboxRun) -> Shown:
        return {
            "run_id": run.run_id,
            "status": _status(run),
            "goal": run.goal,
            "created_at": instant(run.created_at),
            "started_at": _instant_or_none(run.started_at),
            "finished_at": _instant_or_none(run.finished_at) if _shows_end(run) else None,
            "num_of_steps": run.steps if run.status.is_final else None,
            "result": run.result,
            "output_schema": run.body.get("output_schema"),
            "schema_validation": _schema_validation(run),
            "profile_attached": run.body.get("use_profile", False),
            "profile_id": run.body.get("profile_id"),
            "error": run.error,
            "streaming_url": self._addresses.live(run),
            "browser_config": _browser_config(run),
        }

    def _changed(self, run: SandboxRun, shown: Shown) -> Shown:
        for change in self._changes:
            change(shown, run)
        return shown

    def _captured(self, run: SandboxRun) -> bool:
        return self._captures_all or "capture_config" in run.body

    def _captures(self, run: SandboxRun, what: str) -> bool:
        usual = what == "screenshots" and self._captures_all
        return bool(run.body.get("capture_config", {}).get(what, usual))

    def _steps(self, run: SandboxRun, *, screenshots: str, html: str) -> list[Shown]:
        if run.started_at is None or run.finished_at is None:
            return []
        step_duration = (run.finished_at - run.started_at) / max(run.steps, 1)
        fault = self._fault_of(run) if self._captured(run) else None
        shows_screenshots = screenshots != "none" and self._captures(run, "screenshots")
        shows_html = html != "none" and self._captures(run, "html")
        address = self._addresses.step
        return [
            {
                "id": step_id,
                "timestamp": instant(run.started_at + index * step_duration),
                "status": Status.COMPLETED.value,
                "action": action,
                "screenshot": (
                    inline_screenshot(run, index)
                    if shows_screenshots and screenshots == "base64"
                    else address(run, seeded_id(run.run_id, index), "screenshot", fault)
                    if shows_screenshots
                    else None
                ),
                "html": (
                    address(run, seeded_id(run.run_id, index), "html", fault)
                    if shows_html
                    else None
                ),
                "duration": f"{step_duration.total_seconds():.1f}s",
            }
            for index, (step_id, action) in enumerate(
                zip(self.step_ids(run), run.actions, strict=True)
            )
        ]


def inline_screenshot(run: SandboxRun, index: int) -> str:
    """Return the screenshot of a step as a data URI."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg_of(run.html, index)).decode()


def recording(run: SandboxRun) -> bytes:
    """Return the recording of a run: one frame for each step, at least one."""
    return mp4_of([jpeg_of(run.html, index) for index in range(max(run.steps, 1))])


def _instant_or_none(at: datetime | None) -> str | None:
    return None if at is None else instant(at)


def _status(run: SandboxRun) -> str:
    """Return a run's status as it is spelled; a cancelled run has no other spelling."""
    has_ended = run.status in (Status.COMPLETED, Status.FAILED)
    return (has_ended and run.course.spelled) or run.status.value


def _shows_end(run: SandboxRun) -> bool:
    return run.course.shows_end or run.status is Status.CANCELLED


def _browser_config(run: SandboxRun) -> Shown:
    proxy: Mapping[str, Any] = run.body.get("proxy_config", {"enabled": False})
    enabled = proxy["enabled"]
    country = proxy.get("country_code") if enabled else None
    return {"proxy_enabled": enabled, "proxy_country_code": country}


def _schema_validation(run: SandboxRun) -> Shown | None:
    if run.status is not Status.COMPLETED or "output_schema" not in run.body:
        return None
    errors = list(run.schema_errors)
    return {"valid": not errors, "re_prompt_attempts": 2 if errors else 0, "errors": errors}


# ---- what other sources show ----


_CAMEL = {
    "streaming_url": "streamingUrl",
    "help_url": "helpUrl",
    "help_message": "helpMessage",
    "profile_hint": "profileHint",
    "setup_url": "setupUrl",
}


def _camel(shown: Shown, run: SandboxRun) -> None:
    for name, camel in _CAMEL.items():
        if name in shown:
            shown[camel] = shown.pop(name)
    for part in ("error", "profileHint"):
        if shown.get(part) is not None:
            shown[part] = {_CAMEL.get(key, key): value for key, value in shown[part].items()}


def _bare_error(shown: Shown, run: SandboxRun) -> None:
    if run.error is not None:
        shown["error"] = {"message": run.error["message"]}


def _no_wait(shown: Shown, run: SandboxRun) -> None:
    if (error := shown["error"]) is not None:
        shown["error"] = {key: error[key] for key in error if key != "retry_after"}


def _null_wait(shown: Shown, run: SandboxRun) -> None:
    if shown["error"] is not None:
        shown["error"] = {**shown["error"], "retry_after": None}


_HELP = {
    "help_url": "https://docs.tinyfish.ai/prompting-guide",
    "help_message": "Need help? Check out our goal prompting guide for tips and examples.",
}


def _help_in_error(shown: Shown, run: SandboxRun) -> None:
    if shown["error"] is not None:
        shown["error"] = {**shown["error"], **_HELP}


def _help_beside(shown: Shown, run: SandboxRun) -> None:
    if shown["error"] is not None:
        shown.update(_HELP)


def _profile_hint(shown: Shown, run: SandboxRun) -> None:
    stopped = run.status.is_final and run.fault in ("blocked", "agent_failure")
    shown["profile_hint"] = None
    if stopped:
        shown["profile_hint"] = {
            "message": "This site may work with a browser profile",
            "setup_url": "https://agent.tinyfish.ai/profiles",
            "reason": "bot_challenge" if run.fault == "blocked" else "auth_wall",
        }


def _error_beside(shown: Shown, run: SandboxRun) -> None:
    if run.status is Status.COMPLETED and run.result is not None:
        shown["error"] = {
            "code": "service_busy",
            "message": "The recording could not be kept",
            "category": "SYSTEM_FAILURE",
            "retry_after": None,
        }


def _cased(case: Callable[[str], str]) -> Callable[[Shown, SandboxRun], None]:
    def change(shown: Shown, run: SandboxRun) -> None:
        if run.error is not None and "code" in run.error:
            shown["error"] = {**run.error, "code": case(run.error["code"])}

    return change


def _as_text(shown: Shown, run: SandboxRun) -> None:
    shown["result"] = None if run.result is None else json.dumps(run.result)


def _nested(shown: Shown, run: SandboxRun) -> None:
    shown["result"] = None if run.result is None else {"result": run.result}


def _listed_steps(shown: Shown, run: SandboxRun) -> None:
    if run.status is Status.RUNNING:
        shown["num_of_steps"] = [{"action": f"Open {run.url}", "status": run.status.value}]


def _without(*keys: str) -> Callable[[Shown, SandboxRun], None]:
    def change(shown: Shown, run: SandboxRun) -> None:
        for key in keys:
            del shown[key]

    return change


#: Changes to the usual shape of a run, by variant and answer, in this order.
_CHANGES: Mapping[tuple[str, str], Callable[[Shown, SandboxRun], None]] = {
    ("error_code", "lower"): _cased(str.lower),
    ("error_code", "upper"): _cased(str.upper),
    ("failure_wait", "null"): _null_wait,
    ("failure_wait", "missing"): _no_wait,
    ("result_error", "beside"): _error_beside,
    ("run_help", "error"): _help_in_error,
    ("run_help", "beside"): _help_beside,
    ("profile_hint", "shown"): _profile_hint,
    ("run_error", "bare"): _bare_error,
    ("result", "text"): _as_text,
    ("result", "nested"): _nested,
    ("steps_so_far", "list"): _listed_steps,
    ("schema_validation", "absent"): _without("schema_validation"),
    ("profile_keys", "absent"): _without("profile_attached", "profile_id"),
    ("names", "camel"): _camel,
}
