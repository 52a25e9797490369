"""The API's advice about a run as texts with their labels."""

from __future__ import annotations

from batchrunner.model import RunHelp


def run_help_texts(help: RunHelp | None) -> list[tuple[str, str]]:
    """Return what the API advises, each with its label; not yet safe for a terminal."""
    if help is None:
        return []
    found = [("help", _joined(help.message, help.url))]
    if (hint := help.profile_hint) is not None:
        reason = f"[{hint.reason}]" if hint.reason else None
        found.append(("profile hint", _joined(reason, hint.message, hint.setup_url)))
    return [(label, text) for label, text in found if text]


def _joined(*parts: str | None) -> str:
    return " ".join(part for part in parts if part)
