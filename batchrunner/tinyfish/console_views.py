"""What the API shows to people: a run with all that stands in it, pages of runs, plain lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from batchrunner.api_facts import endpoints
from batchrunner.model import ApiError, ApiFault, FaultKind, Run
from batchrunner.tinyfish.http import Reply
from batchrunner.tinyfish.parse import read_members, read_run, text_of, words_of
from batchrunner.tinyfish.raw_json import ascii_safe, items, members, plain, plain_members

#: Members that stand under an older name in some answers.
OLDER_NAMES = {
    "runId": "run_id",
    "id": "run_id",
    "resultJson": "result",
    "streamingUrl": "streaming_url",
    "videoUrl": "video_url",
}
#: More steps than this no run has; who shows more is not believed.
MAX_SHOWN_LENGTH = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One thing that the agent did; what the API does not say is None."""

    action: str | None
    id: str | None = None
    status: str | None = None
    at: str | None = None
    duration: str | None = None
    screenshot: str | None = None
    html: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunDetails:
    """A run, and all that the API said of it."""

    run: Run
    text: str  #: the JSON object as the API sent it, in ASCII and on one line

    @property
    def more(self) -> dict[str, Any]:
        """Its members by their newest names, without the result and the steps."""
        values = members(self.text)
        named = {OLDER_NAMES.get(name, name): values[name] for name in values}
        return plain_members(named, "result", "steps")

    @property
    def steps(self) -> tuple[Step, ...]:
        """What the agent did, in order; entries that are no steps are passed over."""
        try:
            listed = items(members(self.text).get("steps", "[]"))
        except ValueError:
            return ()
        return tuple(step for entry in listed[:MAX_SHOWN_LENGTH] if (step := _step(plain(entry))))


def _step(entry: Any) -> Step | None:
    if not isinstance(entry, dict):
        return None
    return Step(
        action=words_of(entry.get("action")),
        id=words_of(entry.get("id")),
        status=words_of(entry.get("status")),
        at=words_of(entry.get("timestamp")),
        duration=words_of(entry.get("duration")),
        screenshot=words_of(entry.get("screenshot")),
        html=words_of(entry.get("html")),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPage:
    """A part of the list of runs."""

    runs: tuple[RunDetails, ...]
    text: str  #: the JSON object as the API sent it, in ASCII and on one line
    cursor: str | None = None  #: where the next part begins; None after the last one
    total: int | None = None  #: runs on all pages; None where unsaid


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountListing:
    """A list of things of an account, of which only these members are taken: no secret is one."""

    path: str
    member: str
    fields: tuple[str, ...]
    parts: Mapping[str, tuple[str, ...]]  #: members that hold objects → what is taken of those


VAULT_ITEMS = AccountListing(
    path=endpoints.VAULT_ITEMS,
    member="items",
    fields=("itemId", "label", "vaultName", "domains", "hasTotp", "connectionId"),
    parts={"fieldMetadata": ("fieldId", "label", "type")},
)
VAULT_CONNECTIONS = AccountListing(
    path=endpoints.VAULT_CONNECTIONS,
    member="connections",
    fields=("connectionId", "id", "provider", "label", "name", "status", "expiresAt", "createdAt"),
    parts={},
)
PROFILES = AccountListing(
    path=endpoints.PROFILES,
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


def read_shown(text: str) -> RunDetails | None:
    """Return the run that this object shows, None if it has no id; or ValueError."""
    run = read_run(text)
    return None if run is None else RunDetails(run=run, text=_one_line(text))


def read_page(reply: Reply) -> RunPage:
    """Return a part of the list of runs; entries that are no runs are passed over."""
    found = read_members(reply)
    try:
        listed = items(found["data"])
    except (KeyError, ValueError) as error:
        raise _malformed("The answer shows no list of runs") from error
    page = plain(found.get("pagination"))
    said: Mapping[str, Any] = page if isinstance(page, dict) else {}
    cursor = said.get("next_cursor") if said.get("has_more") is not False else None
    total = said.get("total")
    return RunPage(
        runs=tuple(shown for entry in listed if (shown := _shown_or_none(entry))),
        text=_one_line(text_of(reply)),
        cursor=cursor if isinstance(cursor, str) and cursor else None,
        total=total if isinstance(total, int) and not isinstance(total, bool) else None,
    )


def read_entries(reply: Reply, listing: AccountListing) -> list[dict[str, Any]]:
    """Return the entries of a list, each with the members that may be shown."""
    listed = plain(read_members(reply).get(listing.member))
    if not isinstance(listed, list):
        raise _malformed(f"The answer has no list of {listing.member}")
    return [_taken(entry, listing) for entry in listed if isinstance(entry, dict)]


def _taken(entry: Mapping[str, Any], listing: AccountListing) -> dict[str, Any]:
    taken = {name: _flat(entry[name]) for name in listing.fields if name in entry}
    for name, fields in listing.parts.items():
        parts = entry.get(name)
        taken[name] = [
            {field: _flat(part[field]) for field in fields if field in part}
            for part in (parts if isinstance(parts, list) else [])
            if isinstance(part, dict)
        ]
    return taken


def _flat(value: Any) -> Any:
    """Return a plain value or a list of such; what is deeper was not announced, and is left out."""
    if isinstance(value, list):
        return [one for one in value if not isinstance(one, dict | list)]
    return None if isinstance(value, dict) else value


def _shown_or_none(entry: str) -> RunDetails | None:
    try:
        return read_shown(entry)
    except ValueError:
        return None


def _one_line(text: str) -> str:
    # A control character inside a string is none that JSON allows; outside it is a blank.
    return " ".join(ascii_safe(text).split("\n")).replace("\r", " ")


def _malformed(message: str) -> ApiError:
    return ApiError(ApiFault(kind=FaultKind.MALFORMED, message=message))
