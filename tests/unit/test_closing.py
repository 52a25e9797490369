"""What a runner reports and keeps when it closes attempts or stops."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from batchrunner.model import Failed, FailureCategory
from batchrunner.runner.stop_state import StopState
from batchrunner.runner.submission_record import report_closed, settle_submission
from batchrunner.runner.wakeup import WakeUp
from batchrunner.store.schema import SubmissionState


class CountingWakeUp(WakeUp):
    """Counts how often it was notified."""

    count = 0

    def notify(self) -> None:
        """Count, too."""
        super().notify()
        self.count += 1


class StoreWithoutAttempts:
    """A store in which every attempt belongs to another owner."""

    def write(self, *_: object, **__: object) -> list[object]:
        """Apply nothing."""
        return []


def context(events: list[object]) -> Any:
    async def offload(call: Any) -> Any:
        return call()

    return SimpleNamespace(
        notify=events.append,
        work_changed=CountingWakeUp(),
        offload=offload,
        store=StoreWithoutAttempts(),
        owner=SimpleNamespace(id="alice"),
        now=lambda: None,
    )


@pytest.mark.anyio
async def test_nothing_is_reported_where_nothing_was_closed() -> None:
    events: list[object] = []
    runner = context(events)
    report_closed(runner, [])
    assert (events, runner.work_changed.count) == ([], 0)
    submission: Any = SimpleNamespace(marked=True)
    await settle_submission(runner, submission, SubmissionState.REFUSED, [], "refused")
    assert events == []
    assert runner.work_changed.count == 1, "the submission itself is settled"


@pytest.mark.anyio
async def test_the_first_failure_stays_and_a_later_one_does_not_enable_polls() -> None:
    refused = Failed(category=FailureCategory.UNAUTHORIZED, message="the key was refused")
    later = Failed(category=FailureCategory.UNREACHABLE, message="no creates here")
    stop = StopState(WakeUp())
    stop.stop(refused, polling_disabled=True)
    stop.stop(later, polling_disabled=False)
    assert (stop.failure, stop.polling_disabled) == (refused, True)
