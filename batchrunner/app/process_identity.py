"""Identifies this process, and finds out which other owners have exited."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from batchrunner.model import Owner


def this_process() -> Owner:
    """Return a new owner for this process."""
    pid = os.getpid()
    return Owner(
        id=str(uuid.uuid4()),
        machine=_machine(),
        pid=pid,
        process_started_at=_process_started_at(pid) or "",
    )


def exited_owners(owners: Sequence[Owner]) -> list[str]:
    """
    Return the ids of those *owners* that certainly do not run any more.

    Only owners of this machine are known; others count as alive until their lease ends.
    """
    here = _machine()
    return [
        owner.id
        for owner in owners
        if owner.machine == here
        and owner.process_started_at
        and _process_started_at(owner.pid) != owner.process_started_at
    ]


def running_owners(owners: Sequence[Owner]) -> list[Owner]:
    """Return those *owners* that are not known to be gone."""
    dead = exited_owners(owners)
    return [owner for owner in owners if owner.id not in dead]


def _machine() -> str:
    """Name the space in which process ids mean something: this boot, this container."""
    parts = [socket.gethostname(), _read("/proc/sys/kernel/random/boot_id")]
    with suppress(OSError):  # no Linux: the host name must do
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(part for part in parts if part)[:200]


def _process_started_at(pid: int) -> str | None:
    """Return when a process started, in ticks since boot; None if there is no such process."""
    # The command's name may hold anything, brackets included: what counts follows the last one.
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 and fields[0] not in "ZX" else None


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
