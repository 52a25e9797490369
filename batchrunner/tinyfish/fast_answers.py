"""Reads answers that show many runs with msgspec, and leaves whatever is unusual to `parse`.

Two readers exist because reading is a large part of a runner's work. The lenient one scans an
answer member by member, so that one odd value spoils no other run. That takes half a millisecond
for a run. This one takes a fiftieth of that, because it is strict: a single value that JSON does
not allow, or that has another type than the API documents, makes it stop. The lenient reader then
reads that run, or the whole answer. So both always return the same, which tests hold them to.
Members that may be of any type or depth are kept as raw text, and are parsed as the lenient reader
parses them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from msgspec import Raw

from batchrunner.model import Run, RunHelp, RunListing
from batchrunner.tinyfish.http import Reply
from batchrunner.tinyfish.parse import (
    ended_if_it_says_so,
    mapping_of,
    moment_of,
    read_help,
    run_error_of,
    run_id_of,
    run_or_none,
    schema_errors_of,
    sorted_entries,
    status_of,
    steps_of,
    storable_text,
)
from batchrunner.tinyfish.raw_json import LONG_TEXT_LENGTH, MAX_ENTRIES, ascii_safe, parsed

_ABSENT, _NULL = Raw(b""), Raw(b"null")
#: An object with more bytes beside its long values may have more members than are read.
_MAX_BYTES_OF_MEMBERS = 5 * MAX_ENTRIES
#: What msgspec raises about JSON that it does not read.
_NOT_READ = (msgspec.MsgspecError, ValueError, RecursionError)


class Page(msgspec.Struct, gc=False):
    """A successful answer that shows many runs, with its members as raw text."""

    data: list[Raw]
    not_found: Raw = _ABSENT
    pagination: Raw = _ABSENT


class _ShownRun(msgspec.Struct, gc=False):
    """The members of a run that are read, in all spellings."""

    run_id: str | None = None
    runId: str | None = None
    id: str | None = None
    status: str | None = None
    goal: str | None = None
    created_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    num_of_steps: int | None = None
    streaming_url: str | None = None
    streamingUrl: str | None = None
    result: Raw = _ABSENT
    resultJson: Raw = _ABSENT
    error: Raw = _ABSENT
    schema_validation: Raw = _ABSENT
    output_schema: Raw = _ABSENT
    help_url: Raw = _ABSENT
    helpUrl: Raw = _ABSENT
    help_message: Raw = _ABSENT
    helpMessage: Raw = _ABSENT
    profile_hint: Raw = _ABSENT
    profileHint: Raw = _ABSENT


_PAGE, _SHOWN_RUN = msgspec.json.Decoder(Page), msgspec.json.Decoder(_ShownRun)


def page_of(reply: Reply) -> Page | None:
    """Return an answer that shows many runs; None if only the lenient reader can read it."""
    body = reply.body
    if not 200 <= reply.status < 300 or (len(body) > LONG_TEXT_LENGTH and not body.isascii()):
        return None
    try:
        page = _PAGE.decode(body)
    except _NOT_READ:
        return None
    members = len(body) - sum(map(len, page.data))
    return None if max(len(page.data) * 5, members) >= _MAX_BYTES_OF_MEMBERS else page


def runs_of(page: Page, shown_at: datetime | None) -> list[Run]:
    """Return the runs of a page; entries that are no runs are skipped."""
    return [run for entry in page.data if (run := _run_or_none(entry, shown_at))]


def listing_of(page: Page, shown_at: datetime | None) -> RunListing:
    """Return the runs of a page of the list, and its unreadable entries."""
    return sorted_entries((_text(entry), _run_or_none(entry, shown_at)) for entry in page.data)


def _run_or_none(entry: Raw, shown_at: datetime | None) -> Run | None:
    try:
        shown = _SHOWN_RUN.decode(entry)
    except _NOT_READ:
        return run_or_none(_text(entry), shown_at=shown_at)
    result = shown.result or shown.resultJson
    if len(entry) - len(result) >= _MAX_BYTES_OF_MEMBERS:
        return run_or_none(_text(entry), shown_at=shown_at)
    run_id = run_id_of(shown.run_id or shown.runId or shown.id)
    return None if run_id is None else _run(run_id, shown, result, shown_at)


def _run(run_id: str, shown: _ShownRun, result: Raw, shown_at: datetime | None) -> Run:
    status, unknown = status_of(shown.status)
    error = value_of(shown.error)
    run = Run(
        run_id=run_id,
        status=status,
        unknown_status=unknown,
        goal=storable_text(shown.goal),
        created_at=moment_of(shown.created_at),
        started_at=moment_of(shown.started_at),
        finished_at=moment_of(shown.finished_at),
        steps=steps_of(shown.num_of_steps),
        result=None if not result or result == _NULL else ascii_safe(_text(result)),
        error=run_error_of(error),
        help=_help_in(shown, error),
        schema_errors=schema_errors_of(value_of(shown.schema_validation)),
        streaming_url=storable_text(shown.streaming_url or shown.streamingUrl),
        output_schema=mapping_of(value_of(shown.output_schema)),
        shown_at=shown_at,
    )
    return ended_if_it_says_so(run, shown.status)


def _help_in(shown: _ShownRun, error: Any) -> RunHelp | None:
    url, message = value_of(shown.help_url), value_of(shown.help_message)
    url_camel, message_camel = value_of(shown.helpUrl), value_of(shown.helpMessage)
    hint, hint_camel = value_of(shown.profile_hint), value_of(shown.profileHint)
    if not (error or url or url_camel or message or message_camel or hint or hint_camel):
        return None
    told = {"help_url": url, "helpUrl": url_camel, "profile_hint": hint, "profileHint": hint_camel}
    return read_help({**told, "help_message": message, "helpMessage": message_camel}, error)


def value_of(raw: Raw) -> Any:
    """Return the value of raw text as the lenient reader parses it; None where it is absent."""
    return None if not raw or raw == _NULL else parsed(_text(raw))


def _text(raw: Raw) -> str:
    """Return raw text as the lenient reader sees it."""
    return str(memoryview(raw), "utf-8", "surrogateescape")
