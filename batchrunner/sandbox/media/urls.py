"""The addresses of live views, screenshots, pages and recordings; some are signed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from batchrunner.sandbox.faults import Status
from batchrunner.sandbox.journal import SandboxRun
from batchrunner.sandbox.scenario import SandboxConfig
from batchrunner.sandbox.seeded_random import seeded_id

#: How long a signed address works.
LIFETIME = timedelta(minutes=15)
#: How long a live view works after its run has ended, in the variant `day`.
_A_DAY = timedelta(days=1)
#: A host that is not the API's and does not exist.
ELSEWHERE = "https://artifacts.elsewhere.test"


class ArtifactUrls:
    """Writes addresses of artifacts, and knows which of them work now."""

    def __init__(self, *, home: str, config: SandboxConfig, now: Callable[[], datetime]) -> None:
        self.home = home
        self._config = config
        self._now = now
        self._lasts = _A_DAY if config.answers("live_view") == "day" else timedelta(0)
        self._signs = config.answers("step_addresses") == "signed"

    def live(self, run: SandboxRun) -> str | None:
        """Return the address of the live view; None if there is none."""
        return f"{self.home}/live/{run.run_id}" if self.is_live(run) else None

    def is_live(self, run: SandboxRun) -> bool:
        """Return whether the run's live view works."""
        if run.finished_at is None or run.started_at is None:
            return run.status is Status.RUNNING
        return self._now() < run.finished_at + self._lasts

    def step(self, run: SandboxRun, step_id: str, what: str, fault: str | None) -> str:
        """Return the address of a step's screenshot or HTML."""
        path = f"/runs/{run.run_id}/steps/{step_id[:8]}/{what}"
        return self._at(path, fault, signed=self._signs)

    def video(self, run: SandboxRun, fault: str | None) -> str:
        """Return an address of the recording that works for 15 minutes from now."""
        return self._at(f"/artifacts/{run.run_id}/recording.mp4", fault, signed=True)

    def works(self, path: str, query: Mapping[str, str]) -> bool:
        """Return whether a signed address is ours and has not expired."""
        expires = query.get("expires", "")
        if query.get("signature") != self._signature(path, expires):
            return False
        return self._now().timestamp() < int(expires)

    def _at(self, path: str, fault: str | None, *, signed: bool) -> str:
        home = ELSEWHERE if fault == "artifact_elsewhere" else self.home
        if not signed:
            return home + path
        end = self._now() + (timedelta(0) if fault == "artifact_expired" else LIFETIME)
        expires = str(int(end.timestamp()))
        return f"{home}{path}?expires={expires}&signature={self._signature(path, expires)}"

    def _signature(self, path: str, expires: str) -> str:
        return seeded_id(self._config.seed, "signature", path, expires).replace("-", "")
