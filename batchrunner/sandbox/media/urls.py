"""Addresses that runs carry: live views, screenshots, pages, recordings; some are signed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from batchrunner.sandbox.faults import Status
from batchrunner.sandbox.journal import Run
from batchrunner.sandbox.scenario import SandboxConfig
from batchrunner.sandbox.seeded_random import seeded_id

#: How long a signed address works.
LIFETIME = timedelta(minutes=15)
#: How long a live view outlives its run, where it does.
_A_DAY = timedelta(days=1)
#: A host that is not the API's; no name server knows it.
ELSEWHERE = "https://artifacts.elsewhere.test"


class ArtifactUrls:
    """Write addresses of artifacts, and tell which of them work now."""

    def __init__(self, *, home: str, world: SandboxConfig, now: Callable[[], datetime]) -> None:
        self.home = home
        self._world = world
        self._now = now
        self._lasts = _A_DAY if world.answers("live_view") == "day" else timedelta(0)
        self._signs = world.answers("step_addresses") == "signed"

    def live(self, run: Run) -> str | None:
        """Give the address of the live view, None when there is nothing to see."""
        return f"{self.home}/live/{run.run_id}" if self.is_live(run) else None

    def is_live(self, run: Run) -> bool:
        """Tell whether the run's live view works."""
        if run.finished_at is None or run.started_at is None:
            return run.status is Status.RUNNING
        return self._now() < run.finished_at + self._lasts

    def step(self, run: Run, step_id: str, what: str, fate: str | None) -> str:
        """Give the address of a step's screenshot or HTML; it has the short form of the step."""
        path = f"/runs/{run.run_id}/steps/{step_id[:8]}/{what}"
        return self._at(path, fate, signed=self._signs)

    def video(self, run: Run, fate: str | None) -> str:
        """Give an address of the recording that works from now on for 15 minutes."""
        return self._at(f"/artifacts/{run.run_id}/recording.mp4", fate, signed=True)

    def works(self, path: str, query: Mapping[str, str]) -> bool:
        """Tell whether a signed address is ours and not too old."""
        expires = query.get("expires", "")
        if query.get("signature") != self._signature(path, expires):
            return False
        return self._now().timestamp() < int(expires)

    def _at(self, path: str, fate: str | None, *, signed: bool) -> str:
        home = ELSEWHERE if fate == "artifact_elsewhere" else self.home
        if not signed:
            return home + path
        end = self._now() + (timedelta(0) if fate == "artifact_expired" else LIFETIME)
        expires = str(int(end.timestamp()))
        return f"{home}{path}?expires={expires}&signature={self._signature(path, expires)}"

    def _signature(self, path: str, expires: str) -> str:
        return seeded_id(self._world.seed, "signature", path, expires).replace("-", "")
