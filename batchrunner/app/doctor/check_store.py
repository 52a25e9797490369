"""The ledger: its schema, whether it is whole, whether it adds up, and who works on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING

from batchrunner.app.doctor.finding import CLOCKS_APART, SET_CLOCK, Finding, apart, bad, ok, warning

if TYPE_CHECKING:
    from batchrunner.store.health import ForeignChanges, Health, OpenWork, Worker

#: Places of damage, and batches with open work, that are named.
MAX_NAMED = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreFacts:
    """What could be read of a ledger."""

    path: str | None  #: of its file; None: it is on a server
    head: str  #: the newest schema that is known
    health: Health | None = None  #: None: it could not be read
    trouble: str | None = None  #: why the rest could not be read
    passing: bool = False  #: whether that may pass by itself
    look: str = "pg_isready"  #: a command that tells more of a server that cannot be read
    damage: tuple[str, ...] = ()
    tampering: ForeignChanges | None = None  #: None: it was not looked for
    thorough: bool = True  #: whether the file was checked in full
    broken: Mapping[str, int] | None = None  #: broken laws; None: the books were not read
    gone: frozenset[str] = frozenset()  #: ids of owners whose process is known to be dead


def findings(books: StoreFacts, db: str) -> Iterator[Finding]:
    """Judge the ledger; *db* names it in a command."""
    if books.health is not None:
        yield from _schema(books.health, books.head, db)
        yield from _clock(books.health)
    if books.damage:
        yield _damage(books)
    elif books.path is not None and books.health is not None and books.trouble is None:
        check = "integrity_check" if books.thorough else "quick_check, as it is large"
        yield ok("integrity", f"the file is whole ({check})")
    if books.tampering is not None:
        yield from _tampering(books, books.tampering)
    if books.trouble is not None:
        yield bad("reading", books.trouble, _seen(books))
    if books.broken is not None:
        yield from _laws(books)
    if books.health is not None and books.broken is not None:
        yield _open_work(books.health.open_work)
        yield from _workers(books.health.workers, books.gone, db)


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
    # A server's own clock is judged by itself.
    if health.server is None and health.ahead > CLOCKS_APART:
        yield warning("ledger_clock", apart(health.ahead, "the ledger's"), SET_CLOCK)


def _damage(books: StoreFacts) -> Finding:
    shown = "; ".join(books.damage[:MAX_NAMED])
    found = f"the file is damaged: {shown}; run nothing on it, keep a copy"
    return bad("integrity", found, _kept(books))


def _tampering(books: StoreFacts, found: ForeignChanges) -> Iterator[Finding]:
    """Name what another program did to the ledger; only results may be odd by themselves."""
    for about, places in (("tables", found.unlike), ("cells", found.garbled)):
        if places:
            more = f" and {len(places) - MAX_NAMED} more" if len(places) > MAX_NAMED else ""
            said = f"{'; '.join(places[:MAX_NAMED])}{more}: another program wrote here"
            yield bad(about, f"{said}; run nothing on it, keep a copy", _kept(books))
    if found.odd_results:
        named = ", ".join(map(str, found.odd_results[:MAX_NAMED]))
        said = f"results that are no JSON, of the attempts {named}: exported as text"
        yield warning("results", said, _kept(books))


def _laws(books: StoreFacts) -> Iterator[Finding]:
    if not books.broken:
        yield ok("books", "the books add up")
    for law, count in (books.broken or {}).items():
        found = f"the books do not add up ({count}): {law}; keep the file and report it"
        yield bad("books", found, _kept(books))


def _kept(books: StoreFacts) -> str:
    if books.path is None:
        return "pg_dump -Fc -f batchrunner.dump"
    return f"cp -p {quote(books.path)} {quote(f'{books.path}.kept')}"


def _seen(books: StoreFacts) -> str:
    if books.path is None:
        return books.look
    return f"fuser -v {quote(books.path)}" if books.passing else _kept(books)


def _open_work(work: tuple[OpenWork, ...]) -> Finding:
    if not work:
        return ok("open_work", "no batch has open jobs")
    named = ", ".join(f"{each.name} {each.open} of {each.total}" for each in work[:MAX_NAMED])
    more = f" and {len(work) - MAX_NAMED} more" if len(work) > MAX_NAMED else ""
    return ok("open_work", f"open jobs: {named}{more}")


def _workers(workers: tuple[Worker, ...], gone: frozenset[str], db: str) -> Iterator[Finding]:
    living = [each for each in workers if each.leased and each.owner.id not in gone]
    names = ", ".join(_name(each) for each in living[:MAX_NAMED])
    more = f" and {len(living) - MAX_NAMED} more" if len(living) > MAX_NAMED else ""
    yield ok("workers", f"at work: {names or 'nobody'}{more}")
    for each in workers:
        if each not in living and each.in_flight:
            runs = "1 run" if each.in_flight == 1 else f"{each.in_flight} runs"
            fate = "has died" if each.owner.id in gone else "gives no sign of life"
            found = f"{_name(each)} {fate}, with {runs} in flight: run its batch again"
            yield warning("dead_workers", found, f"batchrunner run FILE{db}")


def _name(worker: Worker) -> str:
    return f"process {worker.owner.pid} on {worker.owner.machine.partition(' ')[0]}"
