"""Facts about machine, database and account → findings: fit for a night, or what to mend."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from batchrunner.cli.checkup import account, books, machine, place, server
from batchrunner.cli.checkup.account import Contact
from batchrunner.cli.checkup.books import Books
from batchrunner.cli.checkup.finding import Finding, Mark
from batchrunner.cli.checkup.machine import Machine
from batchrunner.cli.checkup.place import Place

__all__ = ["Facts", "Finding", "Mark", "Parts", "findings", "verdict"]

#: Part of the checkup → what was found there.
Parts = dict[str, list[Finding]]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that a checkup is about."""

    db: str  #: the option that names the database in a command, or nothing
    machine: Machine
    place: Place | None  #: None: the database is on a server
    books: Books | None  #: None: there is no ledger to look into
    contact: Contact


def findings(facts: Facts) -> Parts:
    """Judge the facts, part by part."""
    return {
        "this machine": list(machine.findings(facts.machine)),
        "the database": list(_database(facts)),
        "the ledger": list(books.findings(facts.books, facts.db)) if facts.books else [],
        "the API": list(account.findings(facts.contact)),
    }


def _database(facts: Facts) -> Iterator[Finding]:
    health = facts.books.health if facts.books else None
    if facts.place is not None:
        yield from place.findings(facts.place, facts.machine.sqlite, health)
    if health is not None and health.server is not None:
        yield from server.findings(health.server)


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
