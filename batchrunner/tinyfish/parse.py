"""Reads the API's answers leniently: errors, dates, runs and lists of runs."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, TypeVar

from batchrunner.api_facts.error_codes import STATUS_BY_CODE
from batchrunner.api_facts.limits import MAX_RUN_ID_LENGTH
from batchrunner.api_facts.run_statuses import STATUS_SPELLINGS
from batchrunner.classify import MAX_CODE_LENGTH, MAX_MESSAGE_LENGTH, shortened
from batchrunner.model import (
    ApiFault,
    ApiFaultKind,
    ProfileHint,
    RequestFailed,
    Run,
    RunError,
    RunHelp,
    RunListing,
    RunStatus,
)
from batchrunner.tinyfish.http import Reply, too_large
from batchrunner.tinyfish.raw_json import (
    LONG_TEXT_LENGTH,
    ascii_safe,
    ascii_safe_bytes,
    item_spans,
    items,
    members,
    parsed,
    parsed_members,
)
from batchrunner.tinyfish.throttling import (
    header_wait,
    throttle_in,
    wait_in,
    wait_of,
)

#: Maximum of a database's integer; runs end at 500 steps.
MAX_STEPS_READ = 2**31 - 1
#: Longest text, and longest address, that is kept of the API's advice about a run.
MAX_HELP_LENGTH = 1_000

_WEB_ADDRESS = re.compile(r"https?://[^\s<>\"'`\\]+", re.IGNORECASE)
T = TypeVar("T")


def read_members(reply: Reply) -> dict[str, str]:
    """
    Return the members of the object in a successful answer.

    Raises:
        RequestFailed: The answer is an error, or no JSON object.
    """
    try:
        found = members(text_of(reply))
    except ValueError as error:
        raise RequestFailed(_malformed(reply)) from error
    if not 200 <= reply.status < 300:
        raise RequestFailed(read_fault(reply))
    return found


def text_of(reply: Reply) -> str:
    """
    Return the answer as text; bytes that are not UTF-8 become unpaired surrogates.

    Long text is ASCII: one wide character would make it four times as large.
    """
    if len(reply.body) > LONG_TEXT_LENGTH:
        try:
            return ascii_safe_bytes(reply.body.removeprefix(codecs.BOM_UTF8))
        except OverflowError as error:
            raise too_large("The answer is too large, and not in UTF-8") from error
    return reply.body.decode("utf-8", "surrogateescape").removeprefix("\ufeff")


def read_fault(reply: Reply) -> ApiFault:
    """Return the fault in an error answer; MALFORMED if it does not have the API's shape."""
    body = parsed(text_of(reply))
    error = _error_of(body) if isinstance(body, dict) else None
    if error is None:
        return _malformed(reply)
    code = _code(error.get("code") or error.get("error_code"))
    usual = STATUS_BY_CODE.get((code or "").upper())
    status = reply.status if reply.status >= 400 else usual
    if status is None:
        return _malformed(reply)
    return ApiFault(
        kind=ApiFaultKind.STATUS,
        status=status,
        code=code,
        message=_message(error.get("message")) or code or f"HTTP {status}",
        retry_after=wait_in(reply.headers, error),
        throttle=throttle_in(error) if status == 429 else None,
        issues=_issues(error.get("details")) | _issues(error.get("errors")),
        help=read_help(error, body),
    )


def _malformed(reply: Reply) -> ApiFault:
    # A proxy, a captive portal or a truncated answer: its status is not about our request.
    return ApiFault(
        kind=ApiFaultKind.MALFORMED,
        status=reply.status,
        message=f"The answer (HTTP {reply.status}) is not the API's",
        retry_after=header_wait(reply.headers),
    )


def _error_of(body: dict[str, Any]) -> dict[str, Any] | None:
    """Return the error in any of the shapes that the documentation shows."""
    error = body.get("error")
    if isinstance(error, dict) and (error.get("message") or error.get("code")):
        return error
    several = error if isinstance(error, list) else body.get("errors")
    if isinstance(several, list):
        single = [entry for entry in several if isinstance(entry, dict)]
        if single:
            inner = single[0].get("error")
            first = inner if isinstance(inner, dict) else single[0]
            return {**first, "errors": single}
    if isinstance(body.get("error_code"), str):
        return body
    return None


def _issues(details: Any) -> dict[int, str]:
    """Return the problem of each item of a batch that the answer names, by index."""
    found: dict[int, str] = {}
    for entry in details if isinstance(details, list) else []:
        if not isinstance(entry, dict):
            continue
        inner = entry["error"] if isinstance(entry.get("error"), dict) else entry
        named = entry.get("path")
        path: list[Any] = named if isinstance(named, list) else []
        index = entry.get("index", path[1] if path[:1] == ["runs"] and len(path) > 1 else None)
        if isinstance(index, int) and not isinstance(index, bool):
            where = _code(".".join(str(step) for step in path[2:]))
            message = _message(inner.get("message")) or "is not valid"
            found.setdefault(index, f'Field "{where}": {message}' if where else message)
    return found


# ---- runs ----


def read_runs(text: str | None, shown_at: datetime | None = None) -> list[Run]:
    """Return the runs of a `data` array; entries that are no runs are skipped."""
    text = text or "[]"
    spans = item_spans(text)
    return [run for start, end in spans if (run := run_or_none(text, start, end, shown_at))]


def read_listed(text: str, shown_at: datetime | None = None) -> RunListing:
    """Return the runs of a list's `data`, and its unreadable entries; or ValueError."""
    spans = item_spans(text)
    return sorted_entries(
        (text[start:end], run_or_none(text, start, end, shown_at)) for start, end in spans
    )


def sorted_entries(entries: Iterable[tuple[str, Run | None]]) -> RunListing:
    """Return what a list's entries are, each given as its text and the run that it shows."""
    runs: list[Run] = []
    unclear: list[str] = []
    nameless = 0
    for text, run in entries:
        run_id = run.run_id if run else run_id_of(parsed(text.strip()))
        if run_id is None:
            nameless += 1
        elif run is None or f'"{run_id}"' not in text:
            unclear.append(run_id)  # other endpoints may not know it by this text
        else:
            runs.append(run)
    return RunListing(runs=tuple(runs), unclear=tuple(unclear), nameless=nameless)


def run_or_none(
    text: str, start: int = 0, end: int | None = None, shown_at: datetime | None = None
) -> Run | None:
    """Return the run in the JSON between two places; None if it shows none with an id."""
    try:
        return read_run(text, start, end, shown_at)
    except ValueError:
        return None


def run_id_of(value: Any) -> str | None:
    """Return a run's id as text that both databases can store; None if it is no id."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    valid = isinstance(text, str) and text.isprintable() and 0 < len(text) <= MAX_RUN_ID_LENGTH
    return text if valid else None


def read_cancel_answers(text: str | None) -> dict[str, RunStatus]:
    """
    Return the status of each run that the answer to a cancel names.

    A run of an unknown status is over if the answer says when or that it ended.
    """
    found: dict[str, RunStatus] = {}
    for entry in items(text or "[]"):
        if (answer := read_cancel_answer(entry)) is not None:
            found[answer[0]] = answer[1]
    return found


def read_cancel_answer(text: str) -> tuple[str, RunStatus] | None:
    """Return id and status of the run that the answer to a cancel names; None if it names none."""
    run = run_or_none(text)
    if run is None:
        return None
    fields = parsed(text)
    if run.unknown_status is not None and not run.status.is_final:
        if re.search(r"\balready\b", str(fields.get("message")), re.IGNORECASE):
            return run.run_id, RunStatus.FAILED
        if fields.get("cancelled_at"):
            return run.run_id, RunStatus.CANCELLED
    return run.run_id, run.status


def read_run(
    text: str, start: int = 0, end: int | None = None, shown_at: datetime | None = None
) -> Run | None:
    """Return the run in the JSON object between two places, None if it has no id; or ValueError."""
    fields, result = _split_result(text, start, len(text) if end is None else end)
    run_id = run_id_of(fields.get("run_id") or fields.get("runId") or fields.get("id"))
    if run_id is None:
        return None
    status, unknown = status_of(fields.get("status"))
    run = Run(
        run_id=run_id,
        status=status,
        unknown_status=unknown,
        goal=storable_text(fields.get("goal")),
        created_at=moment_of(fields.get("created_at")),
        started_at=moment_of(fields.get("started_at")),
        finished_at=moment_of(fields.get("finished_at")),
        steps=steps_of(fields.get("num_of_steps")),
        result=result,
        error=run_error_of(fields.get("error")),
        help=read_help(fields, fields.get("error")),
        schema_errors=schema_errors_of(fields.get("schema_validation")),
        streaming_url=storable_text(fields.get("streaming_url") or fields.get("streamingUrl")),
        output_schema=mapping_of(fields.get("output_schema")),
        shown_at=shown_at,
    )
    return ended_if_it_says_so(run, fields.get("status"))


def ended_if_it_says_so(run: Run, status: Any) -> Run:
    """Return a run as ended if it says when it ended and its *status* says nothing known."""
    no_known_status = run.unknown_status is not None or status is None
    return run.as_ended() if no_known_status and run.finished_at is not None else run


def _split_result(text: str, start: int, end: int) -> tuple[dict[str, Any], str | None]:
    """Return a run's parsed members, and its result as the text that was sent."""
    seen = parsed(text[start:end]) if end - start <= LONG_TEXT_LENGTH else None
    if isinstance(seen, dict) and seen.get("result", seen.get("resultJson")) is None:
        return seen, None  # most runs that are read have no result yet
    values = members(text, start, end)
    result = values.get("result", values.get("resultJson", "null"))
    seen = parsed_members(values, "result", "resultJson", "steps")
    return seen, None if result == "null" else ascii_safe(result)


def status_of(value: Any) -> tuple[RunStatus, str | None]:
    """Return a run's status, however it is spelled; RUNNING and what was sent if it is unknown."""
    if value is None:
        return RunStatus.RUNNING, None
    text = str(value).strip().upper()
    try:
        return RunStatus(STATUS_SPELLINGS.get(text, text)), None
    except ValueError:
        # An unknown status is not final by itself: the run is polled on.
        return RunStatus.RUNNING, _code(str(value)) or "''"


def mapping_of(value: Any) -> dict[str, Any] | None:
    """Return an object; None for anything else."""
    return value if isinstance(value, dict) else None


def steps_of(value: Any) -> int | None:
    """Return how many steps a run took; None if it does not show that."""
    if isinstance(value, list):  # some answers show the steps themselves while a run is RUNNING
        return len(value)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return int(value) if 0 <= value <= MAX_STEPS_READ else None


def run_error_of(value: Any) -> RunError | None:
    """Return why a run failed; None if it shows no error."""
    if not value:
        return None
    if not isinstance(value, dict):
        return RunError(message=_message(str(value)) or "No reason given")
    return RunError(
        message=_message(value.get("message")) or _code(value.get("code")) or "No reason given",
        category=_code(value.get("category")),
        code=_code(value.get("code")),
        retry_after=wait_of(value.get("retry_after", value.get("retryAfter"))),
    )


def read_help(*places: Any) -> RunHelp | None:
    """Return the advice that these objects hold, in either spelling; None if there is none."""
    found = [place for place in places if isinstance(place, dict)]
    url = _first(_web_address, found, "help_url", "helpUrl")
    message = _first(_advice, found, "help_message", "helpMessage")
    hint = _first(_profile_hint, found, "profile_hint", "profileHint")
    if url is None and message is None and hint is None:
        return None
    return RunHelp(url=url, message=message, profile_hint=hint)


def _first(read: Callable[[Any], T | None], places: list[dict[str, Any]], *names: str) -> T | None:
    values = (read(place.get(name)) for place in places for name in names)
    return next((value for value in values if value is not None), None)


def _profile_hint(value: Any) -> ProfileHint | None:
    if isinstance(value, str):
        value = {"message": value}
    if not isinstance(value, dict):
        return None
    hint = ProfileHint(
        message=_advice(value.get("message")),
        setup_url=_first(_web_address, [value], "setup_url", "setupUrl"),
        reason=_code(value.get("reason")),
    )
    return None if hint == ProfileHint() else hint


def _advice(value: Any) -> str | None:
    text = storable_text(value)
    return text and shortened(text, MAX_HELP_LENGTH)


def _web_address(value: Any) -> str | None:
    """Return an address as it was sent; None for one that a browser should not be given."""
    text = storable_text(value)
    if text is None or len(text) > MAX_HELP_LENGTH or not text.isprintable():
        return None
    return text if _WEB_ADDRESS.fullmatch(text) else None


def schema_errors_of(value: Any) -> tuple[str, ...] | None:
    """Return where a result breaks its schema; None if the API does not say that it does."""
    if not isinstance(value, dict) or value.get("valid") is not False:
        return None
    errors = value.get("errors")
    messages = [
        _schema_error(entry)
        for entry in (errors if isinstance(errors, list) else [])
        if isinstance(entry, dict)
    ]
    return tuple(messages) or ("The result does not have the shape of output_schema",)


def _schema_error(error: dict[str, Any]) -> str:
    path, message = error.get("path", "#"), error.get("message", "invalid")
    return _message(str(message) if path in ("", "#") else f"{path}: {message}") or ""


def _code(value: Any) -> str | None:
    code = storable_text(value)
    return code and shortened(code, MAX_CODE_LENGTH)


def _message(value: Any) -> str | None:
    message = storable_text(value)
    return message and shortened(message, MAX_MESSAGE_LENGTH)


def moment_of(value: Any) -> datetime | None:
    """Return a time in UTC; None for text that is no time, or has no time zone."""
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is UTC:
            return moment
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (TypeError, ValueError, OverflowError):
        return None


def storable_text(value: Any) -> str | None:
    """Return text in a form that both databases store; None if it is empty or no text."""
    if not isinstance(value, str):
        return None
    if value.isascii() and "\0" not in value:
        return value or None
    # No database stores NUL (PostgreSQL) or an unpaired surrogate.
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode() or None
