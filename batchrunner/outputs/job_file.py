"""Jobs → a job file, with the reason of each failure as a comment: to be fixed and run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from datetime import timedelta
from decimal import Decimal
from typing import IO, Any

import yaml

from batchrunner.model import RetryRule, Settings
from batchrunner.model.diff_settings import DiffSettings
from batchrunner.model.grounding_rule import GroundingRule
from batchrunner.model.job_entry import JobEntry
from batchrunner.model.job_file import AUTO, HostRule, StopLoss
from batchrunner.model.quality import QualityBounds
from batchrunner.text.format import exact_percent

_MAX_COMMENT = 300
#: A key that the program gave: it follows from the job, and no file may say it.
_OWN_KEY = re.compile("[0-9a-f]{32}")
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def write_job_file(
    entries: Iterable[JobEntry], settings: Settings, notes: Iterable[str], file: IO[bytes]
) -> int:
    """
    Write a job file of these jobs, and return their number.

    Every text comes back as it is when the file is read, whatever it contains.
    """
    for note in notes:
        file.write(_comment(note))
    if plain := plain_settings(settings):
        file.write(_yaml({"settings": plain}))
    file.write(b"jobs:\n")
    count = 0
    for count, entry in enumerate(entries, 1):  # noqa: B007
        file.write(_comment(_reason(entry)))
        for name, value in entry.columns.items():
            file.write(_comment(f"  {name}: {value}"))
        file.write(_yaml([_job(entry)]))
    return count


def _yaml(value: Any) -> bytes:
    text: str = yaml.dump(
        value, Dumper=_DUMPER, allow_unicode=True, sort_keys=False, width=1_000_000
    )
    return text.encode("utf-8")


def _comment(text: str) -> bytes:
    one_line = "".join(char if char.isprintable() else " " for char in text[: 2 * _MAX_COMMENT])
    if len(one_line) > _MAX_COMMENT:
        one_line = f"{one_line[:_MAX_COMMENT]} …"
    return f"# {one_line}".rstrip().encode() + b"\n"


def _reason(entry: JobEntry) -> str:
    attempts = f"{entry.attempts} attempt{'' if entry.attempts == 1 else 's'}"
    run = f", run {entry.run_id}" if entry.run_id else ""
    why = f"{entry.category or entry.state}{': ' if entry.message else ''}{entry.message or ''}"
    return f"{why} ({attempts}{run})"


def _job(entry: JobEntry) -> dict[str, Any]:
    job: dict[str, Any] = {} if _OWN_KEY.fullmatch(entry.key) else {"id": entry.key}
    job |= {"url": entry.url, "goal": entry.goal, **entry.options}
    job |= {f"{name}_limit": _seconds(seconds) for name, seconds in entry.limits.items()}
    parts = {"policy": entry.policy, "expect": entry.expect}
    return job | {name: part for name, part in parts.items() if part}


def plain_settings(settings: Settings) -> dict[str, Any]:
    """
    Return the settings that differ from the defaults, as a job file says them.

    A canary is left out: jobs that failed once would hardly pass it. So is the least number of
    rows, which a part of the jobs cannot have.
    """
    usual = asdict(Settings())
    said = {
        name: _plain(name, getattr(settings, name))
        for name in usual
        if name != "canary" and getattr(settings, name) != getattr(Settings(), name)
    }
    return {name: value for name, value in said.items() if value not in (None, {})}


def _plain(name: str, value: Any) -> Any:
    if name == "concurrency":
        return "auto" if value == AUTO else value
    if name == "stuck_after":
        return f"{value:g}x"
    if name == "rate":
        return f"${value:f}"
    if name == "policy":
        return {str(category): _rule(rule) for category, rule in value.items()}
    if name == "hosts":
        return {host: _host(rule) for host, rule in value.items()}
    if plain := _PLAIN_RULES.get(type(value)):
        return plain(value)
    if isinstance(value, timedelta):
        return _seconds(value.total_seconds())
    return value if isinstance(value, bool | int) else str(value)


def _rule(rule: RetryRule) -> dict[str, Any]:
    said = {
        "attempts": rule.attempts,
        "wait": rule.wait and _seconds(rule.wait.total_seconds()),
        "backoff": rule.backoff and _seconds(rule.backoff.total_seconds()),
        "then": rule.then and [_deep(step) for step in rule.then],
    }
    return {name: value for name, value in said.items() if value is not None}


def _host(rule: HostRule) -> dict[str, Any]:
    parked = "never" if rule.park_after == 0 else rule.park_after
    spacing = rule.spacing and _seconds(rule.spacing.total_seconds())
    said = {"concurrency": rule.concurrency, "spacing": spacing, "park_after": parked}
    return {name: value for name, value in said.items() if value is not None}


def _stop_loss(rule: StopLoss) -> Any:
    if rule.share is None and rule.cost is None:
        return "never"
    share = None if rule.share is None else exact_percent(rule.share)
    said = {"share": share, "cost": None if rule.cost is None else str(rule.cost)}
    return {name: value for name, value in said.items() if value is not None}


def _quality(bounds: QualityBounds) -> dict[str, Any]:
    usual = QualityBounds()
    said = {
        "coverage": {path: exact_percent(share) for path, share in bounds.coverage.items()} or None,
        "unique": list(bounds.unique) or None,
        "duplicates": None if bounds.duplicates is None else exact_percent(bounds.duplicates),
        "drift": "off" if bounds.drift is None else exact_percent(bounds.drift),
        "on_bad": str(bounds.on_bad),
    }
    same = {name for name in ("drift", "on_bad") if getattr(bounds, name) == getattr(usual, name)}
    return {name: value for name, value in said.items() if value is not None and name not in same}


def _diff(diff: DiffSettings) -> dict[str, Any]:
    keys = {path: name or None for path, name in diff.keys.items()}
    said = {"tolerance": dict(diff.tolerance), "ignore": list(diff.ignore), "keys": keys}
    return {name: value for name, value in said.items() if value}


def _grounding(rule: GroundingRule) -> Any:
    words = {Decimal(0): "off", Decimal(1): "all"}
    sample = words.get(rule.sample) or exact_percent(rule.sample)
    return {"sample": sample, "with_profiles": True} if rule.with_profiles else sample


#: Kind of a rule → what writes it as a job file does.
_PLAIN_RULES: Mapping[type, Callable[[Any], Any]] = {
    StopLoss: _stop_loss,
    QualityBounds: _quality,
    GroundingRule: _grounding,
    DiffSettings: _diff,
}


def _deep(value: Any) -> Any:
    """Return a value with plain mappings and lists."""
    if isinstance(value, Mapping):
        return {name: _deep(item) for name, item in value.items()}
    return [_deep(item) for item in value] if isinstance(value, list | tuple) else value


def _seconds(seconds: float) -> float | int:
    return int(seconds) if seconds == int(seconds) else seconds
