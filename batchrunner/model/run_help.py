"""What the API suggests to the user about a run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileHint:
    """The API's advice to use a browser profile, for a page that wants a login or no robots."""

    message: str | None = None
    setup_url: str | None = None
    reason: str | None = None  #: in the API's words: auth_wall, bot_challenge, …


@dataclass(frozen=True, kw_only=True, slots=True)
class RunHelp:
    """The API's advice about a run that did not bring what was asked."""

    url: str | None = None  #: a page to read; always http or https
    message: str | None = None
    profile_hint: ProfileHint | None = None
