"""A batch on virtual time: the real runner, store, client and sandbox, and a kill switch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count
from typing import Any, Self, TypeVar

import anyio
import httpx
import trio
from sqlalchemy import Engine, event
from trio.testing import MockClock

from batchrunner.model import Batch, JobFile, JobSpec, JobState, Owner, Settings
from batchrunner.model.audit import AuditReport, AuditStop, DifferenceKind
from batchrunner.model.comparison import EditDecision
from batchrunner.policy.audit import CLOSED_FOR
from batchrunner.runner.events import Event
from batchrunner.runner.runner import ExitReason, Runner
from batchrunner.sandbox import Sandbox, SandboxConfig
from batchrunner.sandbox.sandbox import Middleware, no_middleware
from batchrunner.sandbox.service import Performer
from batchrunner.selftest.invariants import (
    check_always,
    check_audit,
    check_creates,
    check_end,
    check_waits,
    hidden_runs,
    invariant,
    undecided,
)
from batchrunner.selftest.row_invariants import check_rows
from batchrunner.store.batches import load_jobs
from batchrunner.store.database import Database
from batchrunner.store.reports import batch_counts
from batchrunner.store.store import Store
from batchrunner.tinyfish.client import TinyFishClient
from tests.simulator.network.proxy import FaultyNetwork

EPOCH = datetime(2026, 11, 21, 22, tzinfo=UTC)

T = TypeVar("T")

#: Seconds within which no process sends the API the same request again.
REPEAT_SECONDS = 1.0


def now() -> datetime:
    """Return the virtual time."""
    return EPOCH + timedelta(seconds=anyio.current_time())


class ProcessKilled(BaseException):
    """The process was killed."""


class _AlreadyKilled(Exception):
    """Like ProcessKilled, inside a transaction: for that, SQLAlchemy would drop the connection."""


#: The process whose transaction the database runs.
_AT_WORK: ContextVar[KillSwitch | None] = ContextVar("_AT_WORK", default=None)


def _step_inside(*_: object) -> None:
    kill_switch = _AT_WORK.get()
    if kill_switch is not None:
        try:
            kill_switch.step()
        except ProcessKilled:
            raise _AlreadyKilled from None


def open_memory_store(first_token: int = 1) -> Store:
    """Open an empty store in memory; a process may be killed in its transactions."""
    tokens = (f"{number:09x}" for number in count(first_token))
    database = Database.connect(":memory:")
    engine, model = database._engine, _empty()
    # SQLAlchemy caches compiled statements by dialect; they are the same for each batch.
    engine.dialect = model.dialect
    engine.update_execution_options(compiled_cache=_COMPILED)
    _copy(model, engine)
    event.listen(engine, "before_cursor_execute", _step_inside)
    event.listen(engine, "commit", _step_inside)
    return Store(database, new_token=lambda: next(tokens))


def copy_of(store: Store, first_token: int) -> Store:
    """Return a copy of a store in memory, as somebody restores it; its new tokens are its own."""
    copied = open_memory_store(first_token)
    _copy(store._database._engine, copied._database._engine)
    return copied


#: The compiled statements of the store.
_COMPILED: dict[Any, Any] = {}


@cache
def _empty() -> Engine:
    """Return a database without rows: copying it takes a thousandth of a migration."""
    return Database.open(":memory:")._engine


def _copy(source: Engine, target: Engine) -> None:
    model: Any
    copy: Any
    with closing(source.raw_connection()) as model, closing(target.raw_connection()) as copy:
        model.driver_connection.backup(copy.driver_connection)


@dataclass
class KillSwitch:
    """
    Kills a process at its n-th step.

    A step is taken before and after each transaction and each request, before each statement of
    a transaction, and before its commit.
    """

    kill_at: int | None = None  #: the step at which it is killed, if it is
    steps: int = 0
    dead: bool = False
    in_transaction: bool = False  #: now, or when it was killed

    def step(self) -> None:
        """Take one step; from the last one on, every step raises ProcessKilled."""
        self.steps += 1
        if self.kill_at is not None and self.steps >= self.kill_at:
            self.dead = True
        if self.dead:
            raise ProcessKilled

    async def offload(self, call: Callable[[], T], /) -> T:
        """Run a transaction; the process may be killed before it, in it or after it."""
        self.step()
        result = self.transact(call)
        self.step()
        return result

    def transact(self, call: Callable[[], T]) -> T:
        """Run a transaction; each of its statements is a step."""
        at_work = _AT_WORK.set(self)
        self.in_transaction = True
        try:
            result = call()
        except _AlreadyKilled:
            raise ProcessKilled from None
        finally:
            _AT_WORK.reset(at_work)
            self.in_transaction = self.dead
        return result

    async def send(self) -> None:
        """Let a request go; the process may be killed before."""
        self.step()

    async def receive(self, response: httpx.Response) -> None:
        """Receive the answer to a request; the process may be killed while it waits."""
        self.step()


class ProcessTransport(httpx.AsyncBaseTransport):
    """The requests of one process, which may be killed before each, or while it waits."""

    def __init__(self, inner: httpx.AsyncBaseTransport, kill_switch: KillSwitch) -> None:
        self._inner = inner
        self._kill_switch = kill_switch
        self.requests: Counter[str] = Counter()
        self._sent_at: dict[tuple[str, str, bytes], float] = {}

    def _check_repeat(self, request: httpx.Request) -> None:
        """Check that the process did not send the same request less than a second ago."""
        key, sent_at = (request.method, str(request.url), request.content), anyio.current_time()
        since = sent_at - self._sent_at.get(key, -REPEAT_SECONDS)
        invariant(since > REPEAT_SECONDS - 1e-6, "a request was sent twice within a second", key[1])
        self._sent_at[key] = sent_at

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass a request on and count it."""
        self.requests[f"{request.method} {request.url.path}"] += 1
        self._check_repeat(request)
        await self._kill_switch.send()
        response = await self._inner.handle_async_request(request)
        await self._kill_switch.receive(response)
        return response


@dataclass
class SimulatedBatch:
    """One batch on one sandbox, worked on by any number of runners."""

    sandbox: Sandbox
    store: Store
    batch: Batch
    loaded: int
    config: SandboxConfig = field(default_factory=SandboxConfig)
    events: list[Event] = field(default_factory=list)
    requests: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    network: FaultyNetwork | None = None  #: between the runners and the sandbox
    alive: set[str] = field(default_factory=set)  #: owners whose processes run
    one_clock: bool = True  #: runners and sandbox have the same time: no clock is set
    webhook: str | None = None  #: the webhook that runners add to jobs that name none
    audit_report: AuditReport | None = None  #: of the newest runner that was not killed
    audit_stop: AuditStop | None = None  #: what stopped it
    waits: bool = True  #: Retry-After is checked: no runner forgets it in a kill or a clock jump

    @classmethod
    def of(
        cls,
        urls: Iterable[str],
        config: SandboxConfig,
        settings: Settings,
        keys: frozenset[str] | None = None,
        agent: Performer | None = None,
        middleware: Middleware = no_middleware,
        **job: Any,
    ) -> Self:
        """
        Load one job for each url; the sandbox accepts the *keys*, or any key.

        The *agent* is the real one, which reads the sample sites, unless another one is given.
        """
        specs = tuple(
            JobSpec(key=f"job-{n}", url=url, goal="Read the name and the price", **job)
            for n, url in enumerate(urls)
        )
        store = open_memory_store()
        loaded = store.write(
            load_jobs, JobFile(name="batch", settings=settings, specs=specs), now()
        )
        if agent is None:
            sandbox = Sandbox.in_process(config, now, keys=keys, middleware=middleware)
        else:
            sandbox = Sandbox(config=config, now=now, agent=agent, keys=keys, middleware=middleware)
        return cls(sandbox, store, loaded.batch, loaded.added, config)

    def add(self, specs: Sequence[JobSpec]) -> None:
        """Load more jobs beside those that are there."""
        file = JobFile(name=self.batch.name, settings=self.batch.settings, specs=tuple(specs))
        only_add = EditDecision(withdraw=False)
        self.loaded += self.store.write(load_jobs, file, now(), only_add).added

    async def run(self, kill_switch: KillSwitch | None = None, **kwargs: Any) -> ExitReason:
        """
        Start a runner as a new process would.

        Raises:
            ProcessKilled: Its kill switch was reached.
        """
        self.starts += 1
        kill_switch = kill_switch or KillSwitch()
        line = ProcessTransport(self.network or self.sandbox.transport(), kill_switch)
        me = Owner(
            id=f"owner-{self.starts}", machine="here", pid=self.starts, process_started_at="x"
        )
        self.alive.add(me.id)
        try:
            async with TinyFishClient("http://127.0.0.1", "key", transport=line) as api:
                runner = self.runner(api, me, kill_switch, **kwargs)
                reason = await runner.run()
                self.audit_report, self.audit_stop = runner.audit_report, runner.audit_stop
                self._check_report()
                return reason
        except BaseExceptionGroup as group:
            killed, rest = group.split(ProcessKilled)
            if rest or killed is None:
                raise
            raise ProcessKilled from None
        finally:
            self.alive.discard(me.id)
            self.requests.update(line.requests)

    def _check_report(self) -> None:
        """Check that the runner's own audit named no run that is as the database says."""
        shown = {run.run_id for run in self.sandbox.journal.runs if run.fault != "lost"}
        for each in self.audit_report.differences if self.audit_report else ():
            missing = each.kind is DifferenceKind.MISSING
            invariant(not missing or each.run_id not in shown, "an audit's false alarm", each)

    def exited(self, owners: Sequence[Owner]) -> list[str]:
        """Return the ids of the owners whose processes no longer run."""
        return [owner.id for owner in owners if owner.id not in self.alive]

    def runner(
        self, api: TinyFishClient, me: Owner, kill_switch: KillSwitch, **kwargs: Any
    ) -> Runner:
        """Return a runner; without *exited_owners*, it knows all other owners to be dead."""
        kwargs.setdefault("exited_owners", lambda owners: [owner.id for owner in owners])
        kwargs.setdefault("now", now)
        kwargs.setdefault("monotonic", anyio.current_time)
        return Runner(
            store=self.store,
            api=api,
            batch=self.batch,
            owner=me,
            offload=kill_switch.offload,
            notify=self.events.append,
            **kwargs,
        )

    def check_always(self) -> None:
        """Check every invariant that holds at every moment."""
        check_always(self.store, self.batch.id, self.loaded)
        journal = self.sandbox.journal
        certain = not self.config.visibility.late_spread
        check_creates(self.store, self.batch, journal.runs, certain=certain)
        if self.waits:
            check_waits(journal.requests, self.config.retry_after)

    def check_end(self) -> None:
        """Check every invariant, now that the batch has ended."""
        self.check_always()
        runs, served = self.sandbox.journal.runs, self.network.served if self.network else {}
        unseen = hidden_runs(runs, self.config.late, now())
        unseen |= undecided(self.store, self.batch.id, runs)
        check_end(self.store, self.batch.id, self.loaded, runs, unseen)
        snapshot = (self.store, self.batch.id, runs, unseen, served)
        check_rows(*snapshot, one_clock=self.one_clock, webhook=self.webhook)
        check_audit(self.store, runs, unseen, now() + CLOSED_FOR)

    def jobs(self) -> Mapping[JobState, int]:
        """Count jobs by state; states without jobs are left out."""
        counts = self.store.read(batch_counts, self.batch.id)
        return {state: count for state, count in counts.jobs.items() if count}

    @property
    def creates(self) -> int:
        """Create requests that were sent."""
        return sum(n for path, n in self.requests.items() if "/automation/" in path)


def pages(count: int) -> list[str]:
    """Return different urls of the sample shop."""
    return [f"http://shop.test/products/{n % 26 + 1}?job={n}" for n in range(count)]


def simulate(scenario: Callable[[], Any]) -> Any:
    """
    Run an async function on trio's virtual clock, which jumps whenever no task is busy.

    Tasks take turns in the same order each time, so that a failure occurs again.
    """
    # Trio has no public way to make the order of tasks the same each time.
    scheduler: Any = trio._core._run
    scheduler._ALLOW_DETERMINISTIC_SCHEDULING = True
    scheduler._r.seed(0)
    clock = MockClock(autojump_threshold=0)
    return anyio.run(scenario, backend="trio", backend_options={"clock": clock})
