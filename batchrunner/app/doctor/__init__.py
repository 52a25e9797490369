"""Checks whether machine, database and account are ready to run: facts in, findings out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from batchrunner.app.doctor import (
    check_api,
    check_file,
    check_machine,
    check_server,
    check_size,
    check_store,
)
from batchrunner.app.doctor.check_api import ApiFacts
from batchrunner.app.doctor.check_file import FileFacts
from batchrunner.app.doctor.check_machine import MachineFacts
from batchrunner.app.doctor.check_store import StoreFacts
from batchrunner.app.doctor.finding import Finding, Mark

__all__ = ["Facts", "Finding", "Mark", "Parts", "findings", "summary"]

#: Part that was checked → what was found there.
Parts = dict[str, list[Finding]]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything that the checks are about."""

    db: str  #: the option that names the database in a command, or nothing
    machine: MachineFacts
    file: FileFacts | None  #: None: the database is on a server
    store: StoreFacts | None  #: None: there is no content to read
    api: ApiFacts


def findings(facts: Facts) -> Parts:
    """Check the facts, part by part."""
    return {
        "this machine": list(check_machine.findings(facts.machine)),
        "the database": list(_database(facts)),
        "its content": list(check_store.findings(facts.store, facts.db)) if facts.store else [],
        "its size": list(_size(facts)),
        "the API": list(check_api.findings(facts.api)),
    }


def _database(facts: Facts) -> Iterator[Finding]:
    health = facts.store.health if facts.store else None
    if facts.file is not None:
        yield from check_file.findings(facts.file, facts.machine.sqlite, health)
    if health is not None and health.server is not None:
        yield from check_server.findings(health.server)


def _size(facts: Facts) -> Iterator[Finding]:
    if facts.store is not None and facts.store.usage is not None:
        journal = facts.file.journal_now if facts.file else 0
        yield from check_size.findings(facts.store.usage, facts.db, journal)


def summary(parts: Parts) -> Finding:
    """Sum up whether everything is ready to run."""
    every = [finding for part in parts.values() for finding in part]
    bad = sum(finding.mark is Mark.BAD for finding in every)
    warnings = sum(finding.mark is Mark.WARNING for finding in every)
    more = f"{warnings} warning" + ("" if warnings == 1 else "s")
    no_key = any(finding.about == "key" and finding.mark is Mark.WARNING for finding in every)
    if bad:
        found = f"not ready to run: {bad} bad, {more}"
        return Finding(about="verdict", mark=Mark.BAD, found=found)
    if no_key:
        found = f"ready for the sandbox only, as there is no key; {more}"
        return Finding(about="verdict", mark=Mark.WARNING, found=found)
    if warnings:
        found = f"ready to run, with {more}"
        return Finding(about="verdict", mark=Mark.WARNING, found=found)
    return Finding(about="verdict", mark=Mark.OK, found="ready to run")
