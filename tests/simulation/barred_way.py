"""A way to the API that is barred: its certificate is not trusted, for a while or for good."""

from __future__ import annotations

import ssl
from collections.abc import Collection
from typing import Any

import anyio
import httpx

from batchrunner.model import Settings
from batchrunner.runner.runner import ExitReason, Runner
from batchrunner.sandbox import SandboxConfig
from batchrunner.store.reports import batch_counts
from tests.simulation.checked_batch import CheckedBatch
from tests.simulator.simulated_batch import pages

JOBS = 6
#: Seconds after which a runner on a barred way has stopped, with its delays between requests.
SOON, LATE = 30.0, 600.0


class BarredWay(httpx.AsyncBaseTransport):
    """The way to the sandbox, on which a certificate is not trusted between two moments."""

    def __init__(self, simulated: CheckedBatch, begin: float, end: float) -> None:
        self._inner = simulated.sandbox.transport()
        self._begin = anyio.current_time() + begin
        self._end = anyio.current_time() + end
        self.met = 0  #: requests that met it
        self.served: dict[str, str] = {}  # nothing was poisoned

    def may(self, faults: Collection[str]) -> bool:
        """Report that no fault of the network may occur."""
        return False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Refuse the certificate, or pass the request on."""
        if not self._begin <= anyio.current_time() < self._end:
            return await self._inner.handle_async_request(request)
        self.met += 1
        error = ssl.SSLCertVerificationError("certificate verify failed")
        error.verify_code, error.verify_message = 18, "self-signed certificate"
        raise httpx.ConnectError("no TLS", request=request) from error


class Observed(CheckedBatch):
    """A batch that keeps its newest runner, to see why it stopped."""

    newest: Runner

    def runner(self, *args: Any, **kwargs: Any) -> Runner:
        """Return a runner, and keep it."""
        self.newest = super().runner(*args, **kwargs)
        return self.newest


def barred_batch(begin: float, end: float) -> tuple[Observed, BarredWay]:
    """Return a batch of long runs whose way is barred between two moments."""
    settings = Settings(concurrency=3)
    simulated = Observed.of(pages(JOBS), SandboxConfig(durations=(200, 200)), settings)
    assert isinstance(simulated, Observed)
    way = BarredWay(simulated, begin, end)
    simulated.network = way  # type: ignore[assignment]
    return simulated, way


async def barred_from_the_start() -> None:
    """Stop at once, with nothing created; go on when the certificate is trusted."""
    simulated, way = barred_batch(0, 1000)
    with anyio.move_on_after(SOON) as limit:
        assert await simulated.run() is ExitReason.STOPPED
    assert not limit.cancelled_caught, "it did not stop at once"
    await _check_stopped(simulated, way)
    assert not simulated.sandbox.journal.runs
    await _goes_on(simulated)


async def barred_for_good() -> None:
    """Stop after two minutes; the runs in flight are collected later."""
    simulated, way = barred_batch(50, 10_000)
    with anyio.move_on_after(LATE) as limit:
        assert await simulated.run() is ExitReason.STOPPED
    assert not limit.cancelled_caught, "it waited for ever"
    await _check_stopped(simulated, way)
    await anyio.sleep(10_000)
    await _goes_on(simulated)


async def barred_for_a_minute() -> None:
    """Wait for what passes, again and again."""
    simulated, way = barred_batch(50, 110)
    assert await simulated.run() is ExitReason.FINISHED, "a hiccup ended the batch run"
    assert way.met > 1
    simulated.check_end()
    assert len(simulated.sandbox.journal.runs) == JOBS


async def _check_stopped(simulated: Observed, way: BarredWay) -> None:
    failure = simulated.newest.stop_failure
    assert way.met
    assert failure is not None
    assert "not trusted: self-signed certificate" in failure.message
    assert "SSL_CERT_FILE" in failure.advice
    assert not simulated.store.read(batch_counts, simulated.batch.id).failed


async def _goes_on(simulated: Observed) -> None:
    await anyio.sleep(1000)
    assert await simulated.run() is ExitReason.FINISHED
    simulated.check_end()
    assert len(simulated.sandbox.journal.runs) == JOBS
