"""Browser profiles of an account, and the sessions in which users sign in for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from batchrunner.sandbox.http.errors import invalid, not_found
from batchrunner.sandbox.http.response_bodies import instant
from batchrunner.sandbox.http.validators import issue
from batchrunner.sandbox.scenario import SandboxConfig
from batchrunner.sandbox.seeded_random import seeded_id

#: How many seconds a setup session waits for a user, unless the request names fewer.
_SETUP_SECONDS = 600


class Profiles:
    """The profiles, in memory: a new sandbox has those of its config."""

    def __init__(self, config: SandboxConfig, home: str, now: datetime) -> None:
        self._seed = config.seed
        self._home = home
        self._made = self._sessions_made = 0
        self._profiles: dict[str, dict[str, Any]] = {}
        self._sessions: dict[str, str] = {}  # profile by session
        if config.answers("profiles") == "one":
            self.create({"name": "Sandbox", "set_as_default": True}, now)

    def shown(self) -> dict[str, Any]:
        """Show all profiles."""
        return {"profiles": list(self._profiles.values())}

    def create(self, body: Mapping[str, Any], now: datetime) -> dict[str, Any]:
        """Create a profile without a login."""
        lot = seeded_id(self._seed, "profile", self._made)
        self._made += 1
        is_default = body.get("set_as_default", False)
        if is_default:
            for other in self._profiles.values():
                other["is_default"] = False
        profile = {
            "id": f"prof_{lot[:8]}",
            "name": body["name"],
            "proxy_country_code": body.get("proxy_country_code"),
            "fingerprint_seed": int(lot[:6], 16),
            "domain_count": 0,
            "created_at": instant(now),
            "updated_at": instant(now),
            "is_default": is_default,
        }
        self._profiles[profile["id"]] = profile
        return profile

    def start(self, profile: str, body: Mapping[str, Any], now: datetime) -> dict[str, Any]:
        """Open a browser for a user to sign in; nothing answers at its address."""
        self._check(profile)
        session = seeded_id(self._seed, "session", self._sessions_made)
        self._sessions_made += 1
        self._sessions[session] = profile
        seconds = min(int(body.get("timeout_seconds", _SETUP_SECONDS)), _SETUP_SECONDS)
        return {
            "session_id": session,
            "cdp_url": f"ws{self._home.removeprefix('http')}/session/{session}/cdp",
            "base_url": f"{self._home}/session/{session}",
            "timeout_seconds": seconds,
            "expires_at": instant(now + timedelta(seconds=seconds)),
        }

    def save(self, profile: str, body: Mapping[str, Any], now: datetime) -> dict[str, Any]:
        """Close the browser and save its logins: none, because nobody signed in."""
        self._end(profile, body["session_id"])
        self._profiles[profile]["updated_at"] = instant(now)
        sites = body.get("signed_in_sites", [])
        rejected = [{"site": site, "reason": "not_saved"} for site in sites]
        skipped = ("cookies_skipped", "local_storage_skipped", "session_storage_skipped")
        return {
            "domains_updated": [],
            "domains_failed": [],
            "cookie_count": 0,
            "domains_skipped": {**{name: [] for name in skipped}, "blob_too_large": []},
            "signed_in_sites": [],
            "user_confirmed_sites": {"recorded": [], "rejected": rejected},
        }

    def cancel(self, profile: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Close the browser without saving."""
        self._end(profile, body["session_id"])
        return {"cancelled": True}

    def admit(self, body: Mapping[str, Any], path: Sequence[str | int]) -> None:
        """Refuse a run that names a profile that does not exist."""
        if not body.get("use_profile"):
            return
        if "profile_id" in body:
            if body["profile_id"] not in self._profiles:
                raise invalid([issue("custom", (*path, "profile_id"), "Profile not found")])
        elif self.default is None:
            message = "No default profile exists"
            raise invalid([issue("custom", (*path, "use_profile"), message)])

    @property
    def default(self) -> str | None:
        """The id of the profile of a run that names none."""
        ids = (key for key, profile in self._profiles.items() if profile["is_default"])
        return next(ids, None)

    def _check(self, profile: str) -> None:
        if profile not in self._profiles:
            raise not_found("Profile not found")

    def _end(self, profile: str, session: str) -> None:
        self._check(profile)
        if self._sessions.get(session) != profile:
            raise not_found("Session not found")
        del self._sessions[session]
