"""Checks the content of a database: schema, damage, consistency, open work and workers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING

from batchrunner.app.doctor.finding import (
    MAX_CLOCK_DIFFERENCE,
    SET_CLOCK,
    Finding,
    apart,
    bad,
    ok,
    warning,
)
from batchrunner.store.counter_names import NUMBERS_AGREE

if TYPE_CHECKING:
    from batchrunner.store.batch_reads import Worker
    from batchrunner.store.disk_usage import DiskUsage
    from batchrunner.store.health import ForeignChanges, Health, OpenWork

#: Damaged places, batches and workers that are named.
MAX_NAMED = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreFacts:
    """What could be read from the database."""

    path: str | None  #: of the file; None: the database is on a server
    head: str  #: the newest schema that this program knows
    health: Health | None = None  #: None: it could not be read
    trouble: str | None = None  #: why the rest could not be read
    remedy: str = ""  #: the command that puts that right, if the error has one
    passing: bool = False  #: whether this may pass without help
    server_check: str = "pg_isready"  #: a command that tests a server which cannot be read
    damage: tuple[str, ...] = ()
    foreign_changes: ForeignChanges | None = None  #: None: not checked
    thorough: bool = True  #: whether the file was checked in full
    recounted: tuple[str, ...] = ()  #: batches whose numbers were wrong, and were counted again
    inconsistencies: Mapping[str, int] | None = None  #: rule → rows against it; None: not checked
    usage: DiskUsage | None = None  #: None: not measured
    exited: frozenset[str] = frozenset()  #: ids of owners whose process has ended


def findings(facts: StoreFacts, db: str) -> Iterator[Finding]:
    """Check the content of the database; *db* is the option that names it in a command."""
    if facts.health is not None:
        yield from _schema(facts.health, facts.head, db)
        yield from _clock(facts.health)
    if facts.damage:
        yield _damage(facts)
    elif facts.path is not None and facts.health is not None and facts.trouble is None:
        check = "integrity_check" if facts.thorough else "quick_check, as it is large"
        yield ok("integrity", f"the file is whole ({check})")
    if facts.foreign_changes is not None:
        yield from _foreign_changes(facts, facts.foreign_changes)
    if facts.trouble is not None:
        yield bad("reading", facts.trouble, facts.remedy or _diagnosis_command(facts))
    if facts.inconsistencies is not None:
        yield from _consistency(facts, db)
    if facts.health is not None and facts.inconsistencies is not None:
        yield _open_work(facts.health.open_work)
        yield from _workers(facts.health.workers, facts.exited, db)


def _schema(health: Health, head: str, db: str) -> Iterator[Finding]:
    if health.revision == head:
        yield ok("schema", f"schema {head}, the newest")
    elif health.revision is None:
        yield ok("schema", "nothing is in it yet: the first run makes the tables")
    elif health.revision < head:
        found = f"schema {health.revision}; the next command brings it to {head}"
        yield warning("schema", found, f"batchrunner status{db}")
    else:
        found = f"schema {health.revision}: made by a newer batchrunner"
        yield bad("schema", found, "pip install -U batchrunner")


def _clock(health: Health) -> Iterator[Finding]:
    # A server's own clock has its own check.
    if health.server is None and health.ahead > MAX_CLOCK_DIFFERENCE:
        yield warning("ledger_clock", apart(health.ahead, "the database's"), SET_CLOCK)


def _damage(facts: StoreFacts) -> Finding:
    shown = "; ".join(facts.damage[:MAX_NAMED])
    found = f"the file is damaged: {shown}; run nothing on it, keep a copy"
    return bad("integrity", found, _copy_command(facts))


def _foreign_changes(facts: StoreFacts, found: ForeignChanges) -> Iterator[Finding]:
    """Name what another program has changed; odd results may have another cause."""
    for about, places in (("tables", found.unlike), ("cells", found.garbled)):
        if places:
            more = f" and {len(places) - MAX_NAMED} more" if len(places) > MAX_NAMED else ""
            what = f"{'; '.join(places[:MAX_NAMED])}{more}: another program wrote here"
            yield bad(about, f"{what}; run nothing on it, keep a copy", _copy_command(facts))
    if found.odd_results:
        named = ", ".join(map(str, found.odd_results[:MAX_NAMED]))
        what = f"results that are no JSON, of the attempts {named}: exported as text"
        yield warning("results", what, _copy_command(facts))


def _consistency(facts: StoreFacts, db: str) -> Iterator[Finding]:
    if facts.recounted:
        named = ", ".join(facts.recounted[:MAX_NAMED])
        more = f" and {len(facts.recounted) - MAX_NAMED} more"
        more = more if len(facts.recounted) > MAX_NAMED else ""
        yield ok("recount", f"the numbers were wrong, and were counted again: {named}{more}")
    if not facts.inconsistencies:
        yield ok("books", "the records agree")
    for rule, count in (facts.inconsistencies or {}).items():
        if rule == NUMBERS_AGREE:
            found = f"the records do not agree ({count}): {rule}; count them again and report it"
            yield bad("books", found, f"batchrunner doctor --recount{db}")
            continue
        found = f"the records do not agree ({count}): {rule}; keep the file and report it"
        yield bad("books", found, _copy_command(facts))


def _copy_command(facts: StoreFacts) -> str:
    if facts.path is None:
        return "pg_dump -Fc -f batchrunner.dump"
    return f"cp -p {quote(facts.path)} {quote(f'{facts.path}.kept')}"


def _diagnosis_command(facts: StoreFacts) -> str:
    if facts.path is None:
        return facts.server_check
    return f"fuser -v {quote(facts.path)}" if facts.passing else _copy_command(facts)


def _open_work(work: tuple[OpenWork, ...]) -> Finding:
    if not work:
        return ok("open_work", "no batch has open jobs")
    named = ", ".join(f"{each.name} {each.open} of {each.total}" for each in work[:MAX_NAMED])
    more = f" and {len(work) - MAX_NAMED} more" if len(work) > MAX_NAMED else ""
    return ok("open_work", f"open jobs: {named}{more}")


def _workers(workers: tuple[Worker, ...], exited: frozenset[str], db: str) -> Iterator[Finding]:
    at_work = [each for each in workers if each.leased and each.owner.id not in exited]
    names = ", ".join(_name(each) for each in at_work[:MAX_NAMED])
    more = f" and {len(at_work) - MAX_NAMED} more" if len(at_work) > MAX_NAMED else ""
    yield ok("workers", f"at work: {names or 'nobody'}{more}")
    for each in workers:
        if each not in at_work and each.in_flight:
            runs = "1 run" if each.in_flight == 1 else f"{each.in_flight} runs"
            state = "has died" if each.owner.id in exited else "gives no sign of life"
            found = f"{_name(each)} {state}, with {runs} in flight: run its batch again"
            yield warning("dead_workers", found, f"batchrunner run FILE{db}")


def _name(worker: Worker) -> str:
    return f"process {worker.owner.pid} on {worker.owner.machine.partition(' ')[0]}"
