"""Why a runner submits nothing more: it was asked to stop, has no budget, or cannot go on."""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio

from batchrunner.model import Failed
from batchrunner.model.audit import AuditStop
from batchrunner.runner.wakeup import WakeUp


@dataclass
class StopState:
    """Whether this runner still submits and polls, and why not."""

    work_changed: WakeUp
    draining: bool = False  #: submit nothing more
    asked: bool = False  #: by the user: runs that have not started are cancelled
    failure: Failed | None = None  #: why nothing more can be submitted
    polling_disabled: bool = False  #: polls fail for good as well, so do not even poll
    audit_stop: AuditStop | None = None  #: what an audit found, after which nothing is submitted
    audited: anyio.Event = field(default_factory=anyio.Event)  #: set after the first audit
    budget_used_up: bool = False  #: the budget covers no other run; a budget can be raised

    def drain(self) -> None:
        """Submit nothing more; runs in flight are polled to their end."""
        self.draining = True
        self.work_changed.notify()

    def drain_as_asked(self) -> None:
        """Submit nothing more, and cancel runs that have not started, as the user asked."""
        self.asked = True
        self.drain()

    @property
    def knows_its_runs(self) -> bool:
        """Whether the first audit found no sign that another database has the same runs."""
        return self.audited.is_set() and self.audit_stop is None

    def stop(self, failure: Failed, *, polling_disabled: bool) -> None:
        """
        Submit nothing more because of a failure that is not the fault of any job.

        The first failure stays the reason, and polls that are disabled stay so.
        """
        self.failure = self.failure or failure
        self.polling_disabled |= polling_disabled
        self.drain()

    def stop_for_audit(self, reason: AuditStop) -> None:
        """Submit nothing more because of what an audit found; runs in flight are polled."""
        self.audit_stop = self.audit_stop or reason
        self.drain()
