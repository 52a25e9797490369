"""The one-line status of a batch, and of what holds it back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

from batchrunner.model import BatchCounts, JobState, ParkedHost, Pause
from batchrunner.model.time_and_cost import Hold
from batchrunner.text.format import counted, local

#: Key of a job to which the user gave no id of their own.
DIGEST = re.compile("[0-9a-f]{32}")


def summary(counts: BatchCounts) -> str:
    """Return a batch in one line."""
    return f"{counts.done}/{counts.total} done: " + ", ".join(
        text.partition(" ")[2] if text[0] in "✔▶○↻✘⊘?!" else text for text, _ in parts(counts)
    )


def parts(counts: BatchCounts) -> list[tuple[str, str]]:
    """Return what there is to say of a batch, each with the style that suits it."""
    running = counts.jobs[JobState.RUNNING]
    queued = f" ({counts.queued} queued)" if counts.queued else ""
    said = [
        (f"✔ {counts.jobs[JobState.SUCCEEDED]} succeeded{_suspect(counts)}", "green"),
        (f"▶ {running} running{queued}", "cyan" if running else "dim"),
        (f"○ {counts.jobs[JobState.AVAILABLE] - counts.retrying} not started", "dim"),
        (f"↻ {counts.retrying} waiting", "yellow" if counts.retrying else ""),
        (
            f"✘ {counts.jobs[JobState.FAILED]} failed{_named(counts)}",
            "red" if counts.failed else "",
        ),
        (f"⊘ {counts.jobs[JobState.CANCELLED]} cancelled", ""),
        (f"? {counts.unsettled} being searched for", "magenta"),
        (f"! {counted(counts.orphans, 'orphan')} cancelled", "magenta"),
        (f"{counts.steps} steps", "dim"),
    ]
    return [
        (text, style)
        for text, style in said
        if text.startswith("✔") or text.endswith("steps") or text.split()[1] != "0"
    ]


def _suspect(counts: BatchCounts) -> str:
    return f" ({sum(counts.suspect.values())} suspect)" if counts.suspect else ""


def _named(counts: BatchCounts) -> str:
    named = [f"{count} {category}" for category, count in sorted(counts.failed.items())]
    return f" ({', '.join(named)})" if named else ""


def stopping(counts: BatchCounts, since: timedelta) -> str:
    """Return what a runner waits for that was asked to stop, and since how many minutes."""
    unanswered = counts.unsettled
    in_flight = counts.jobs[JobState.RUNNING] - unanswered
    what = [f"{counted(in_flight, 'run')} in flight"] if in_flight > 0 else []
    if unanswered:
        what.append(f"{counted(unanswered, 'run')} that may exist: the API has yet to say")
    minutes = int(since.total_seconds() // 60)
    waited = f"for {counted(minutes, 'minute')} " if minutes else ""
    waits = " and ".join(what) or "the last writes"
    return f"stopping: waits {waited}for {waits} (Ctrl-C again leaves that to the next start)"


def parked_line(host: ParkedHost) -> str:
    """Return that a host is kept back, since when and why, and when it is tried again."""
    probes = f", {counted(host.failed_probes, 'probe')} failed" if host.failed_probes else ""
    return (
        f"{host.host} is parked since {local(host.since)}: {host.failures} failures in a row"
        f"{probes}; {_waiting(host.waiting)}, the next probe is at {local(host.probe_at)}"
    )


def standing_still(hosts: Sequence[ParkedHost]) -> str:
    """Return in one short line which hosts are parked: the one that is tried next, and how many."""
    first = min(hosts, key=lambda host: host.probe_at)
    waits = _waiting(sum(host.waiting for host in hosts))
    others = f" (+{counted(len(hosts) - 1, 'host')})" if len(hosts) > 1 else ""
    return f"{first.host} is parked until {local(first.probe_at)}, {waits}{others}"


def _waiting(jobs: int) -> str:
    return f"{counted(jobs, 'job')} wait{'s' if jobs == 1 else ''}"


def paused(pause: Pause) -> str:
    """Return that a batch is paused, since when and why, and what ends that."""
    why = f": {pause.reason}" if pause.reason else ""
    return f"paused since {local(pause.since)}{why} (batchrunner resume lets it go on)"


def held(hold: Hold) -> str:
    """Return since when and why there are no credits, and when that is checked again."""
    again = f"checked again at {local(hold.check_at)}"
    return f"no credits since {local(hold.since)}: {hold.reason} ({again}, nothing fails meanwhile)"
