"""Follows one run to its end by polling it, and reports what is new."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import anyio

from batchrunner.app.api_call import call_api
from batchrunner.classify import classify_fault
from batchrunner.model import ApiFault, ApiFaultKind, Failed, RequestFailed, RunStatus
from batchrunner.model.categories import CATEGORIES
from batchrunner.policy.backpressure import BARRED_PATIENCE
from batchrunner.text.terminal import term_safe

if TYPE_CHECKING:
    from batchrunner.app.api_access import ApiAccess
    from batchrunner.tinyfish.console_client import ConsoleClient
    from batchrunner.tinyfish.console_views import RunDetails, Step

#: The first polls of a run follow each other faster than the later ones.
FAST_POLLS = 30
FAST_POLL_SECONDS, SLOW_POLL_SECONDS = 2.0, 10.0


class RunStepObserver(Protocol):
    """Receives what happens to a run; each change is reported once."""

    def status_changed(self, run_id: str, status: RunStatus) -> None:
        """The run has another status."""

    def live_view_opened(self, address: str) -> None:
        """The run's browser can be watched at an address."""

    def step_done(self, number: int, step: Step) -> None:
        """The run has done a step."""

    def poll_failed(self, failure: Failed) -> None:
        """The API did not answer; the run is polled again."""


def follow_run(api: ApiAccess, run_id: str, observer: RunStepObserver | None = None) -> RunDetails:
    """
    Poll a run until it is over, and return how it ended.

    A poll that fails because the API is away or busy is repeated: it says nothing about the run.

    Raises:
        BatchrunnerError: The API does not know the run, or refuses the key.
    """
    follower = _Follower(run_id, observer)
    safe_id = term_safe(run_id)
    return call_api(api, follower.follow, about=f"run {safe_id}", where=safe_id)


class _Follower:
    """Polls one run, and remembers what it has reported."""

    def __init__(self, run_id: str, observer: RunStepObserver | None) -> None:
        self._run_id = run_id
        self._observer = observer
        self._steps = 0
        self._barred_since: float | None = None
        self._reported: set[object] = set()

    async def follow(self, client: ConsoleClient) -> RunDetails:
        """Poll until the run is over."""
        polls = 0
        while True:
            details = await self._poll(client)
            if details is not None:
                self._report(details)
                if details.run.status.is_final:
                    return details
            await anyio.sleep(FAST_POLL_SECONDS if polls < FAST_POLLS else SLOW_POLL_SECONDS)
            polls += 1

    async def _poll(self, client: ConsoleClient) -> RunDetails | None:
        try:
            details = await client.show(self._run_id)
        except RequestFailed as error:
            failure = classify_fault(error.fault)
            passing = CATEGORIES[failure.category].passes_by_itself
            if not passing or error.fault.status == 404 or self._is_barred(error.fault):
                raise
            if self._observer is not None and self._is_new(failure.message):
                self._observer.poll_failed(failure)
            return None
        self._barred_since = None
        return details

    def _is_barred(self, fault: ApiFault) -> bool:
        """Whether waiting for a secure way to the API is no use."""
        if fault.kind is not ApiFaultKind.BARRED:
            return False
        now = anyio.current_time()
        self._barred_since = now if self._barred_since is None else self._barred_since
        patience = BARRED_PATIENCE.total_seconds() if self._reported else 0.0
        return now - self._barred_since >= patience

    def _report(self, details: RunDetails) -> None:
        run, observer = details.run, self._observer
        if observer is None:
            return
        if self._is_new(run.status):
            observer.status_changed(run.run_id, run.status)
        if run.streaming_url and not run.status.is_final and self._is_new(run.streaming_url):
            observer.live_view_opened(run.streaming_url)
        for number, step in list(enumerate(details.steps, 1))[self._steps :]:
            observer.step_done(number, step)
        self._steps = max(self._steps, len(details.steps))

    def _is_new(self, item: object) -> bool:
        """Whether something was not reported before; it counts as reported now."""
        is_new = item not in self._reported
        self._reported.add(item)
        return is_new
