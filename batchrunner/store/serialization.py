"""Converts between stored JSON and settings, rules, counts and budgets."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from batchrunner.model import (
    Budget,
    Canary,
    FailureCategory,
    Finding,
    HostRule,
    ProfileHint,
    RetryRule,
    Run,
    RunHelp,
    RunStatus,
    Settings,
    StopLoss,
    TimeLimits,
    Verdict,
)
from batchrunner.model.categories import RuleKey
from batchrunner.model.diff_settings import DiffSettings
from batchrunner.model.grounding_rule import GROUNDING_WANTED, GroundingRule
from batchrunner.model.job_file import Looks
from batchrunner.model.markers import old_marker
from batchrunner.model.quality import (
    OnBad,
    QualityBounds,
    QualityReason,
    QualityStop,
    QualityWord,
)

#: Paths of absent values that a row names.
MAX_ABSENT = 3

_encoded = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def json_text(value: Any) -> str:
    """Return *value* as JSON; equal values give equal texts."""
    return _encoded(value)


def marker_of(row: Any) -> str | None:
    """Return the marker that was sent with an attempt; a runner of an older version stores none."""
    text: str | None = row.marker
    if text is None and row.marked:
        return old_marker(row.marker_token, row.batch_index)
    return text


# Few different texts, parsed again for each poll; no caller changes the values.
@lru_cache(maxsize=1024)
def counts_of(stored: str) -> Mapping[FailureCategory, int]:
    """Parse numbers by category."""
    return {FailureCategory(category): number for category, number in json.loads(stored).items()}


@lru_cache(maxsize=1024)
def rules_of(stored: str | None) -> Mapping[RuleKey, RetryRule]:
    """Parse rules."""
    plain = json.loads(stored or "{}")
    return {
        _rule_key(key): RetryRule(
            attempts=rule.get("attempts"),
            wait=_span(rule.get("wait")),
            backoff=_span(rule.get("backoff")),
            then=tuple(rule["then"]) if "then" in rule else None,
        )
        for key, rule in plain.items()
    }


def _rule_key(text: str) -> RuleKey:
    return Verdict.SUSPECT if text == Verdict.SUSPECT else FailureCategory(text)


def _span(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


def plain_rules(rules: Mapping[RuleKey, RetryRule]) -> dict[str, dict[str, Any]]:
    """Return rules as JSON can represent them, without unset fields."""
    return {category.value: _plain_rule(rule) for category, rule in rules.items()}


def _plain_rule(rule: RetryRule) -> dict[str, Any]:
    plain = {
        "attempts": rule.attempts,
        "wait": rule.wait and rule.wait.total_seconds(),
        "backoff": rule.backoff and rule.backoff.total_seconds(),
        "then": None if rule.then is None else [dict(step) for step in rule.then],
    }
    return {name: value for name, value in plain.items() if value is not None}


@lru_cache(maxsize=256)
def accepted_in(stored: str | None) -> frozenset[tuple[str, str]]:
    """Parse the findings that a person accepted."""
    return frozenset((rule, path) for rule, path in json.loads(stored or "[]"))


def accepted_text(accepted: Iterable[tuple[str, str]]) -> str | None:
    """Return accepted findings as JSON; None without any."""
    pairs = sorted(set(accepted))
    return json_text(pairs) if pairs else None


def findings_text(findings: tuple[Finding, ...]) -> str | None:
    """Return findings as JSON; None without any."""
    return json_text([asdict(finding) for finding in findings]) if findings else None


def findings_of(stored: str | None) -> tuple[Finding, ...]:
    """Parse findings."""
    return tuple(Finding(**plain) for plain in json.loads(stored or "[]"))


def help_text(help: RunHelp | None) -> str | None:
    """Return the API's advice as JSON; equal advice gives equal texts."""
    return json_text(asdict(help)) if help else None


def help_of(stored: str | None) -> RunHelp | None:
    """Parse the API's advice."""
    if stored is None:
        return None
    plain = json.loads(stored)
    hint = plain["profile_hint"]
    return RunHelp(**{**plain, "profile_hint": ProfileHint(**hint) if hint else None})


def run_error_text(run: Run | None) -> str | None:
    """Return the error beside a run's result as JSON; None if it is the failure itself."""
    if run is None or run.error is None or run.status is RunStatus.FAILED:
        return None
    error = run.error
    said = {"category": error.category, "code": error.code, "message": error.message}
    return json_text({name: text for name, text in said.items() if text is not None})


def options_of(stored: str, overrides: str | None) -> dict[str, Any]:
    """Return the options of an attempt: its job's, with the overrides."""
    return {**json.loads(stored), **json.loads(overrides or "{}")}


# ---- settings that are values of more than one part ----


def plain_budget(budget: Budget | None) -> dict[str, Any] | None:
    """Return a budget as JSON can represent it: `{"steps": 500}` or `{"dollars": "20"}`."""
    if budget is None:
        return None
    if budget.money is not None:
        return {"dollars": f"{budget.money:f}"}
    return {"steps": budget.steps}


def budget_of(plain: Mapping[str, Any] | None) -> Budget | None:
    """Return the budget that *plain* represents; None: no budget."""
    if not plain:
        return None
    if "dollars" in plain:
        return Budget(money=Decimal(plain["dollars"]))
    return Budget(steps=int(plain["steps"]))


def plain_hosts(rules: Mapping[str, HostRule]) -> dict[str, Any]:
    """Return rules for hosts as JSON can represent them."""
    return {
        host: {**asdict(rule), "spacing": rule.spacing and rule.spacing.total_seconds()}
        for host, rule in rules.items()
    }


def hosts_of(plain: Mapping[str, Any]) -> dict[str, HostRule]:
    """Return the rules for hosts that *plain* represents."""
    return {
        host: HostRule(**{**rule, "spacing": _span(rule.get("spacing"))})
        for host, rule in plain.items()
    }


def plain_canary(canary: Canary | None) -> dict[str, Any] | None:
    """Return a canary as JSON can represent it."""
    if canary is None:
        return None
    rate, cost = canary.success_rate, canary.row_cost
    return {
        "jobs": canary.jobs,
        "success_rate": None if rate is None else str(rate),
        "row_cost": plain_budget(cost),
    }


def canary_of(plain: Mapping[str, Any] | None) -> Canary | None:
    """Return the canary that *plain* represents."""
    if plain is None:
        return None
    rate = plain["success_rate"]
    return Canary(
        jobs=plain["jobs"],
        success_rate=None if rate is None else Decimal(rate),
        row_cost=budget_of(plain["row_cost"]),
    )


def plain_stop_loss(rule: StopLoss) -> dict[str, Any]:
    """Return a stop-loss as JSON can represent it."""
    share = None if rule.share is None else str(rule.share)
    return {"share": share, "cost": plain_budget(rule.cost)}


def stop_loss_of(plain: Mapping[str, Any] | None) -> StopLoss:
    """Return the stop-loss that *plain* represents; None: an older version did not write it."""
    if plain is None:
        return StopLoss()
    share = None if plain["share"] is None else Decimal(plain["share"])
    return StopLoss(share=share, cost=budget_of(plain["cost"]))


def plain_quality(bounds: QualityBounds) -> dict[str, Any]:
    """Return the bounds of a batch's quality as JSON can represent them."""
    return {
        "rows": bounds.rows,
        "rows_share": _text_of(bounds.rows_share),
        "coverage": {path: str(share) for path, share in bounds.coverage.items()},
        "unique": list(bounds.unique),
        "duplicates": _text_of(bounds.duplicates),
        "drift": _text_of(bounds.drift),
        "on_bad": str(bounds.on_bad),
        "given": bounds.given,
    }


def quality_of(plain: Mapping[str, Any] | None) -> QualityBounds:
    """Return the bounds that *plain* represents; None: an older version did not write them."""
    if plain is None:
        return QualityBounds()
    return QualityBounds(
        rows=plain["rows"],
        rows_share=_decimal_of(plain["rows_share"]),
        coverage={path: Decimal(share) for path, share in plain["coverage"].items()},
        unique=tuple(plain["unique"]),
        duplicates=_decimal_of(plain["duplicates"]),
        drift=_decimal_of(plain["drift"]),
        on_bad=OnBad(plain["on_bad"]),
        given=plain.get("given", True),
    )


def quality_stop_text(stop: QualityStop) -> str:
    """Return why a batch was stopped as JSON."""
    reasons = [{**asdict(each), "word": str(each.word)} for each in stop.reasons]
    return json_text({"at": stop.at.isoformat(), "reasons": reasons})


def quality_stop_of(stored: str | None) -> QualityStop | None:
    """Parse why a batch was stopped; None: it was not."""
    if stored is None:
        return None
    plain = json.loads(stored)
    words = ({**each, "word": QualityWord(each["word"])} for each in plain["reasons"])
    reasons = tuple(QualityReason(**each) for each in words)
    return QualityStop(at=datetime.fromisoformat(plain["at"]), reasons=reasons)


def plain_diff(diff: DiffSettings) -> dict[str, Any]:
    """Return what comparisons overlook as JSON can represent it."""
    return {
        "tolerance": dict(diff.tolerance),
        "ignore": list(diff.ignore),
        "keys": dict(diff.keys),
    }


def diff_of(plain: Mapping[str, Any] | None) -> DiffSettings:
    """Return the settings that *plain* represents; None: an older version did not write them."""
    if plain is None:
        return DiffSettings()
    return DiffSettings(
        tolerance=plain["tolerance"], ignore=tuple(plain["ignore"]), keys=plain["keys"]
    )


def grounding_in_words(stored: str | None) -> str | None:
    """Return how much of a result is in its pages; None: it was not checked (yet)."""
    if stored is None or stored == GROUNDING_WANTED:
        return None
    plain = json.loads(stored)
    if problem := plain.get("problem"):
        return f"not checked: {problem}"
    status = {path: parts[0] for path, parts in plain["values"].items()}
    counts = Counter(status.values())
    absent = [path for path, each in status.items() if each == "absent"]
    words = [f"{counts[each]} {each}" for each in ("grounded", "derived") if counts[each]]
    if absent:
        more = f" and {len(absent) - MAX_ABSENT} more" if len(absent) > MAX_ABSENT else ""
        words.append(f"{len(absent)} absent: {', '.join(absent[:MAX_ABSENT])}{more}")
    return ", ".join(words) or "nothing to check"


def plain_grounding_rule(rule: GroundingRule) -> dict[str, Any]:
    """Return which jobs are checked against their pages as JSON can represent it."""
    return {"sample": str(rule.sample), "with_profiles": rule.with_profiles}


def grounding_rule_of(plain: Mapping[str, Any] | None) -> GroundingRule:
    """Return the rule that *plain* represents; None: an older version did not write it."""
    if plain is None:
        return GroundingRule()
    return GroundingRule(
        sample=Decimal(plain["sample"]), with_profiles=bool(plain["with_profiles"])
    )


def _text_of(number: Decimal | None) -> str | None:
    return None if number is None else str(number)


def _decimal_of(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


@lru_cache(maxsize=1024)
def limits_of(stored: str | None) -> TimeLimits:
    """Parse a job's own time limits."""
    plain = json.loads(stored or "{}")
    return TimeLimits(queued=_span(plain.get("queued")), running=_span(plain.get("running")))


def limits_text(limits: TimeLimits) -> str | None:
    """Return a job's own time limits as JSON; None without any."""
    plain = {
        name: span.total_seconds()
        for name, span in (("queued", limits.queued), ("running", limits.running))
        if span is not None
    }
    return json_text(plain) if plain else None


@lru_cache(maxsize=64)
def settings_of(stored: str) -> Settings:
    """Parse settings; a setting that an older version did not write has its default."""
    plain = json.loads(stored)
    for name in ("backoff", "queued_limit", "running_limit"):
        plain[name] = timedelta(seconds=plain[name])
    plain["policy"] = rules_of(json_text(plain.get("policy", {})))
    plain["budget"] = budget_of(plain.get("budget"))
    plain["rate"] = Decimal(plain["rate"]) if plain.get("rate") else None
    plain["hosts"] = hosts_of(plain.get("hosts") or {})
    plain["canary"] = canary_of(plain.get("canary"))
    plain["stop_loss"] = stop_loss_of(plain.get("stop_loss"))
    plain["quality"] = quality_of(plain.get("quality"))
    plain["grounding"] = grounding_rule_of(plain.get("grounding"))
    plain["diff"] = diff_of(plain.get("diff"))
    plain["looks"] = Looks(plain.get("looks", Looks.USUAL))
    return Settings(**plain)


def settings_text(settings: Settings) -> str:
    """Return settings as JSON."""
    return json_text(
        {
            "concurrency": settings.concurrency,
            "max_attempts": settings.max_attempts,
            "backoff": settings.backoff.total_seconds(),
            "queued_limit": settings.queued_limit.total_seconds(),
            "running_limit": settings.running_limit.total_seconds(),
            "stuck_after": settings.stuck_after,
            "looks": str(settings.looks),
            "marker": settings.marker,
            "policy": plain_rules(settings.policy),
            "budget": plain_budget(settings.budget),
            "rate": f"{settings.rate:f}" if settings.rate else None,
            "hosts": plain_hosts(settings.hosts),
            "canary": plain_canary(settings.canary),
            "stop_loss": plain_stop_loss(settings.stop_loss),
            "every": settings.every,
            "time_zone": settings.time_zone,
            "keep_editions": settings.keep_editions,
            "quality": plain_quality(settings.quality),
            "grounding": plain_grounding_rule(settings.grounding),
            "diff": plain_diff(settings.diff),
        }
    )
