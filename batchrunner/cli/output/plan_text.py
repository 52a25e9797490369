"""A plan as people read it: what changes, what it costs, when it is done."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from batchrunner.app.budget import money
from batchrunner.app.outlook import Outlook
from batchrunner.app.plan import Plan
from batchrunner.model.comparison import Comparison, Guard
from batchrunner.text.format import clock, counted
from batchrunner.text.terminal import term_safe

#: Warnings about the file that are shown.
MAX_WARNINGS = 20
#: Jobs to try first where nothing is known, and the most jobs for which this is no use.
FIRST_TRY_JOBS = 20
#: With fewer finished jobs, a rare expensive job may not be among them.
SHORT_PAST = 60


def plan_lines(plan: Plan) -> Iterator[str]:
    """Give a whole plan."""
    where = "a new batch" if plan.is_new else "an existing batch"
    yield f"batch {plan.batch!r}, {where}: {change_line(plan.comparison)}"
    for line in plan.notes:
        yield term_safe(line)
    for place in plan.places:
        yield term_safe(f"stop: {place.says}: a new batch pays again (--new-batch)")
        yield f"  go on there: {shlex.join(place.options)}"
    for line in plan.warnings[:MAX_WARNINGS]:
        yield term_safe(f"odd: {line}")
    if more := len(plan.warnings[MAX_WARNINGS:]):
        yield f"odd: … and {more} more of the like"
    if plan.duplicates:
        yield f"odd: {counted(plan.duplicates, 'row')} repeat others, and count once"
    yield from guard_lines(plan)
    yield from outlook_lines(plan.outlook, whole=True)


def change_line(found: Comparison) -> str:
    """Return what a load would change, in one line."""
    parts = [f"new {found.new:,}", f"same {found.same:,}"]
    fields = ", ".join(found.fields)
    parts.append(f"changed {found.changed:,}" + (f" ({fields})" if fields else ""))
    parts.append(f"withdrawn {found.withdrawn:,}")
    return term_safe(" · ".join(parts))


def guard_lines(plan: Plan) -> Iterator[str]:
    """Give what the user must decide before the load."""
    found = plan.comparison
    if Guard.CHANGED in plan.guards:
        cost = f"{found.steps_before:,} steps so far"
        yield (
            f"decide: {counted(found.changed_final, 'finished job')} changed, and would be bought "
            f"again ({cost}): --rerun changed, or --keep changed"
        )
    if Guard.WITHDRAWN in plan.guards:
        yield (
            f"decide: {counted(found.withdrawn, 'job')} would be withdrawn: --withdraw, or --append"
        )


def outlook_lines(found: Outlook, *, whole: bool = False) -> Iterator[str]:
    """Give what the jobs to run cost and when they are done; *whole* adds what it is based on."""
    hosts = f" on {counted(found.hosts, 'host')}" if found.jobs else ""
    yield f"to run: {found.jobs:,} {'job' if found.jobs == 1 else 'jobs'}{hosts}"
    if not found.jobs:
        return
    yield from _cost_lines(found)
    yield _time_line(found)
    if whole:
        yield from _base_lines(found)


def _cost_lines(found: Outlook) -> Iterator[str]:
    low, high = found.steps
    budget = f"; {_budget(found)}" if found.budget else ""
    if found.forecast is None:
        once = _steps(found.worst.once, found)
        yield f"cost: unknown here; at most {once} if each job runs once{budget}"
        return
    each = f"{_range(f'{low / found.jobs:.1f}', f'{high / found.jobs:.1f}')} a job"
    price = f", {_range(*(money(cost) for cost in found.cost))}" if found.cost is not None else ""
    yield f"cost: {_range(f'{low:,}', f'{high:,}')} steps{price}, {each}{budget}"


def _range(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"


def _steps(steps: int, found: Outlook) -> str:
    price = f" ({money(steps * found.rate.amount)})" if found.rate else ""
    return f"{steps:,} steps{price}"


def _budget(found: Outlook) -> str:
    low, high = found.covers
    if low >= found.jobs:
        return f"the budget of {found.budget} covers it"
    if high >= found.jobs:
        return f"the budget of {found.budget} may end before the jobs do ({low:,} jobs are sure)"
    covered = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return f"the budget of {found.budget} covers {covered} of the {found.jobs:,} jobs"


def _time_line(found: Outlook) -> str:
    at_once = f"{found.slots} at once"
    if found.forecast is None or found.finish is None:
        longest = clock(timedelta(seconds=found.worst.seconds))
        return f"time: unknown here; at most {longest} with {at_once}"
    soonest, latest = (clock(timedelta(seconds=end)) for end in found.forecast.seconds)
    line = f"time: {_range(soonest, latest)} with {at_once}: done {_between(*found.finish)}"
    low, high = found.forecast.in_time
    if found.closes is None or low >= found.jobs:
        return line
    until = f"{found.closes.astimezone():%H:%M}"
    if high >= found.jobs:
        return f"{line}; not all may end by {until}: the same command goes on later"
    return f"{line}; {low:,} to {high:,} jobs end by {until}: the same command goes on later"


def _between(soonest: datetime, latest: datetime) -> str:
    """Return two moments in the user's time zone; the day once where it is the same."""
    low, high = soonest.astimezone(), latest.astimezone()
    day = "" if low.date() == high.date() else f"{high:%a} "
    end = f"{day}{high:%H:%M}"
    return f"{low:%a} {_range(f'{low:%H:%M}', end)}"


def _base_lines(found: Outlook) -> Iterator[str]:
    known = found.forecast
    if known is None:
        yield "based on nothing: this database has too few finished jobs on this API"
    else:
        own = f", for {counted(known.own, 'job')} on those of their own hosts" if known.own else ""
        share = round(known.share * 10)
        yield (
            f"based on {counted(known.past, 'finished job')} here{own}; {share} of 10 such "
            "batches end within these ranges"
        )
        if known.past < SHORT_PAST:
            yield "that is a short past: rare expensive jobs may not be in it"
    yield (
        f"at the very most: {_steps(found.worst.once, found)} if each job runs once, "
        f"{_steps(found.worst.steps, found)} with all attempts that the policy allows"
    )


def wants_sample(found: Outlook) -> bool:
    """Whether a few jobs are worth trying first, because nothing is known."""
    return found.forecast is None and found.jobs > FIRST_TRY_JOBS


# ---- for programs ----


def plan_as_json(plan: Plan, command: str) -> dict[str, Any]:
    """Return a plan as a program wants it."""
    found = plan.comparison
    return {
        "batch": plan.batch,
        "is_new": plan.is_new,
        "rows": found.rows,
        "new": found.new,
        "same": found.same,
        "changed": found.changed,
        "changed_final": found.changed_final,
        "changed_fields": {name: change.jobs for name, change in found.fields.items()},
        "withdrawn": found.withdrawn,
        "withdrawn_final": found.withdrawn_final,
        "decide": [str(guard) for guard in plan.guards],
        "elsewhere": [
            {"kind": str(each.kind), "says": each.says, "options": list(each.options)}
            for each in plan.places
        ],
        "warnings": list(plan.warnings),
        "notes": list(plan.notes),
        "duplicates": plan.duplicates,
        **outlook_as_json(plan.outlook),
        "next": command,
    }


def outlook_as_json(found: Outlook) -> dict[str, Any]:
    """Return an outlook as a program wants it; ranges are lists of two."""
    known, finish = found.forecast, found.finish
    return {
        "jobs": found.jobs,
        "hosts": found.hosts,
        "concurrency": found.slots,
        "share": known.share if known else None,
        "steps": list(known.steps) if known else None,
        "cost": _dollars(found.cost) if known else None,
        "seconds": [round(end) for end in known.seconds] if known else None,
        "finish": [end.isoformat(timespec="seconds") for end in finish] if finish else None,
        "past": known.past if known else 0,
        "by_host": known.own if known else 0,
        "most_once": found.worst.once,
        "most": found.worst.steps,
        "most_seconds": round(found.worst.seconds),
        "rate": f"{found.rate.amount:f}" if found.rate else None,
        "budget": str(found.budget) if found.budget else None,
        "covers": list(found.covers) if found.budget else None,
        "in_time": list(known.in_time) if known and found.closes else None,
    }


def _dollars(cost: tuple[Decimal, Decimal] | None) -> list[str] | None:
    return None if cost is None else [f"{end:f}" for end in cost]
