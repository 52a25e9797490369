"""Facts about machine, database and account → findings: fit for a night, or what to mend."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from batchrunner.app.doctor import check_api, check_file, check_machine, check_server, check_store
from batchrunner.app.doctor.check_api import ApiFacts
from batchrunner.app.doctor.check_file import DatabaseFile
from batchrunner.app.doctor.check_machine import MachineFacts
from batchrunner.app.doctor.check_store import StoreFacts
from batchrunner.app.doctor.finding import Finding, Mark

__all__ = ["Facts", "Finding", "Mark", "Parts", "findings", "verdict"]

#: Part of the checkup → what was found there.
Parts = dict[str, list[Finding]]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that a checkup is about."""

    db: str  #: the option that names the database in a command, or nothing
    machine: MachineFacts
    place: DatabaseFile | None  #: None: the database is on a server
    books: StoreFacts | None  #: None: there is no ledger to look into
    contact: ApiFacts


def findings(facts: Facts) -> Parts:
    """Judge the facts, part by part."""
    return {
        "this machine": list(check_machine.findings(facts.machine)),
        "the database": list(_database(facts)),
        "the ledger": list(check_store.findings(facts.books, facts.db)) if facts.books else [],
        "the API": list(check_api.findings(facts.contact)),
    }


def _database(facts: Facts) -> Iterator[Finding]:
    health = facts.books.health if facts.books else None
    if facts.place is not None:
        yield from check_file.findings(facts.place, facts.machine.sqlite, health)
    if health is not None and health.server is not None:
        yield from check_server.findings(health.server)


def verdict(parts: Parts) -> Finding:
    """Sum up: fit for a night or not."""
    every = [finding for part in parts.values() for finding in part]
    bad = sum(finding.mark is Mark.BAD for finding in every)
    warnings = sum(finding.mark is Mark.WARNING for finding in every)
    more = f"{warnings} warning" + ("" if warnings == 1 else "s")
    no_key = any(finding.about == "key" and finding.mark is Mark.WARNING for finding in every)
    if bad:
        found = f"not fit for a night: {bad} bad, {more}"
        return Finding(about="verdict", mark=Mark.BAD, found=found)
    if no_key:
        found = f"fit for the sandbox only, as there is no key; {more}"
        return Finding(about="verdict", mark=Mark.WARNING, found=found)
    if warnings:
        found = f"fit for a night, with {more}"
        return Finding(about="verdict", mark=Mark.WARNING, found=found)
    return Finding(about="verdict", mark=Mark.OK, found="fit for a night")
