"""Decides which jobs are checked against the pages that their runs saw; pure."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from batchrunner.model.grounding_rule import GroundingRule

#: Options of a run that starts with what belongs to a person: its pages may show secrets.
PERSONAL_OPTIONS = ("use_vault", "use_profile")
_SPACE = 2**64


def is_sampled(rule: GroundingRule, key: str, options: Mapping[str, Any]) -> bool:
    """
    Return whether a job with these options is checked; the same job is in every edition.

    A run that uses credentials or a saved browser profile is checked only if the rule says so.
    """
    if not rule.sample or (not rule.with_profiles and any(map(options.get, PERSONAL_OPTIONS))):
        return False
    drawn = int.from_bytes(blake2b(key.encode("utf-8", "replace"), digest_size=8).digest())
    return drawn < rule.sample * _SPACE


def with_html(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options of a run that also keeps the HTML of each page."""
    captured = options.get("capture_config")
    given = captured if isinstance(captured, Mapping) else {}
    return {**options, "capture_config": {**given, "html": True}}
