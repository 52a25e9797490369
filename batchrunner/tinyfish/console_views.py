"""Reads answers for the terminal: a run with all its details, pages of runs, account lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from batchrunner.api_facts import endpoint_paths
from batchrunner.model import Run
from batchrunner.tinyfish.http import Reply, malformed
from batchrunner.tinyfish.parse import read_members, read_run, storable_text, text_of
from batchrunner.tinyfish.raw_json import ascii_safe, items, members, parsed, parsed_members

#: Older names of members, which some answers use → the newest name.
OLDER_NAMES = {
    "runId": "run_id",
    "id": "run_id",
    "resultJson": "result",
    "streamingUrl": "streaming_url",
    "videoUrl": "video_url",
    "helpUrl": "help_url",
    "helpMessage": "help_message",
    "profileHint": "profile_hint",
}
#: Maximum steps of a run that are shown; no run has more.
MAX_STEPS_SHOWN = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One action of the agent; what the API does not give is None."""

    action: str | None
    id: str | None = None
    status: str | None = None
    at: str | None = None
    duration: str | None = None
    screenshot: str | None = None
    html: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunDetails:
    """A run, and the whole JSON object that the API sent of it."""

    run: Run
    text: str  #: the JSON object as the API sent it, in ASCII and on one line

    @property
    def more(self) -> dict[str, Any]:
        """Return its members by their newest names, without the result and the steps."""
        values = members(self.text, without=("result", "resultJson", "steps"))
        named = {OLDER_NAMES.get(name, name): values[name] for name in values}
        return parsed_members(named, "result", "steps")

    @property
    def steps(self) -> tuple[Step, ...]:
        """Return the actions of the agent in order; entries that are no steps are skipped."""
        try:
            listed = items(members(self.text, without=("result", "resultJson")).get("steps", "[]"))
        except ValueError:
            return ()
        return tuple(step for entry in listed[:MAX_STEPS_SHOWN] if (step := _step(parsed(entry))))


def _step(entry: Any) -> Step | None:
    if not isinstance(entry, dict):
        return None
    return Step(
        action=storable_text(entry.get("action")),
        id=storable_text(entry.get("id")),
        status=storable_text(entry.get("status")),
        at=storable_text(entry.get("timestamp")),
        duration=storable_text(entry.get("duration")),
        screenshot=storable_text(entry.get("screenshot")),
        html=storable_text(entry.get("html")),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class RunListPage:
    """One page of the list of runs."""

    runs: tuple[RunDetails, ...]
    text: str  #: the JSON object as the API sent it, in ASCII and on one line
    cursor: str | None = None  #: where the next page begins; None on the last page
    total: int | None = None  #: runs on all pages; None if not given


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountListing:
    """A list of an account's things, and the members of its entries to show: never a secret."""

    path: str
    member: str
    fields: tuple[str, ...]
    parts: Mapping[
        str, tuple[str, ...]
    ]  #: members that are lists of objects → the members of those


VAULT_ITEMS = AccountListing(
    path=endpoint_paths.VAULT_ITEMS,
    member="items",
    fields=("itemId", "label", "vaultName", "domains", "hasTotp", "connectionId"),
    parts={"fieldMetadata": ("fieldId", "label", "type")},
)
VAULT_CONNECTIONS = AccountListing(
    path=endpoint_paths.VAULT_CONNECTIONS,
    member="connections",
    fields=("connectionId", "id", "provider", "label", "name", "status", "expiresAt", "createdAt"),
    parts={},
)
PROFILES = AccountListing(
    path=endpoint_paths.PROFILES,
    member="profiles",
    fields=(
        "id",
        "name",
        "proxy_country_code",
        "domain_count",
        "created_at",
        "updated_at",
        "is_default",
    ),
    parts={},
)


def read_run_details(text: str) -> RunDetails | None:
    """Return the run in this JSON object, None if it has no id; or ValueError."""
    run = read_run(text)
    return None if run is None else RunDetails(run=run, text=_one_line(text))


def read_page(reply: Reply) -> RunListPage:
    """Return one page of the list of runs; entries that are no runs are skipped."""
    found = read_members(reply)
    try:
        listed = items(found["data"])
    except (KeyError, ValueError) as error:
        raise malformed("The answer shows no list of runs") from error
    value = parsed(found.get("pagination"))
    pagination: Mapping[str, Any] = value if isinstance(value, dict) else {}
    cursor = pagination.get("next_cursor") if pagination.get("has_more") is not False else None
    total = pagination.get("total")
    return RunListPage(
        runs=tuple(shown for entry in listed if (shown := _details_or_none(entry))),
        text=_one_line(text_of(reply)),
        cursor=cursor if isinstance(cursor, str) and cursor else None,
        total=total if isinstance(total, int) and not isinstance(total, bool) else None,
    )


def read_entries(reply: Reply, listing: AccountListing) -> list[dict[str, Any]]:
    """Return the entries of a list, each with only the members that may be shown."""
    listed = parsed(read_members(reply).get(listing.member))
    if not isinstance(listed, list):
        raise malformed(f"The answer has no list of {listing.member}")
    return [_shown_members(entry, listing) for entry in listed if isinstance(entry, dict)]


def _shown_members(entry: Mapping[str, Any], listing: AccountListing) -> dict[str, Any]:
    shown = {name: _flat(entry[name]) for name in listing.fields if name in entry}
    for name, fields in listing.parts.items():
        parts = entry.get(name)
        shown[name] = [
            {field: _flat(part[field]) for field in fields if field in part}
            for part in (parts if isinstance(parts, list) else [])
            if isinstance(part, dict)
        ]
    return shown


def _flat(value: Any) -> Any:
    """Return a plain value or a list of such; deeper values are not documented, and left out."""
    if isinstance(value, list):
        return [item for item in value if not isinstance(item, dict | list)]
    return None if isinstance(value, dict) else value


def _details_or_none(entry: str) -> RunDetails | None:
    try:
        return read_run_details(entry)
    except ValueError:
        return None


def _one_line(text: str) -> str:
    # JSON allows no line break inside a string, and outside of one it is white space.
    return ascii_safe(text).replace("\n", " ").replace("\r", " ")
