"""Draws docs/run.svg: the display as it really is half-way through jobs.example.yaml.

python docs/picture.py
"""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console, Group

from batchrunner.app.account_check import bind
from batchrunner.app.api_access import open_api
from batchrunner.app.run_batch import work
from batchrunner.cli.options import read_job_file
from batchrunner.cli.output.progress import LiveDisplay
from batchrunner.model import BatchCounts, JobState, ParkedHost
from batchrunner.store.batches import load_jobs
from batchrunner.store.store import Store

ROOT = Path(__file__).parent.parent
WIDTH = 96


class Camera(LiveDisplay):
    """The live display, which also keeps the frame in which most is going on."""

    def __init__(self) -> None:
        super().__init__(Console(file=io.StringIO(), force_terminal=True, width=WIDTH), "example")
        self.frame: Group | None = None
        self.best = 0

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Draw nothing on this terminal."""
        yield

    def update(self, counts: BatchCounts, now: datetime, parked: Sequence[ParkedHost] = ()) -> None:
        """Keep this frame if it shows more than the best one."""
        super().update(counts, now, parked)
        shows = 10 * min(counts.retrying, 2) + counts.jobs[JobState.RUNNING] + min(counts.done, 5)
        if shows >= self.best:
            self.best, self.frame = shows, self._live.get_renderable()  # type: ignore[assignment]


def main() -> None:
    """Run the example batch and draw it."""
    with tempfile.TemporaryDirectory() as folder:
        db = str(Path(folder) / "picture.db")
        camera = Camera()
        with open_api(sandboxed=True, api_url=None, api_key_file=None, db=db) as api:
            store = Store.open(db)
            batch = store.write(
                load_jobs, read_job_file(ROOT / "jobs.example.yaml"), datetime.now(UTC)
            ).batch
            work(store, batch, api, camera, key=bind(store, batch, api))
            store.close()
    console = Console(record=True, file=io.StringIO(), force_terminal=True, width=WIDTH)
    console.print("$ batchrunner run jobs.example.yaml --sandbox -o results.csv", style="bold")
    console.print(camera.frame)
    svg = console.export_svg(title="batchrunner", unique_id="run")
    # The picture is to load nothing from elsewhere: without these it has the reader's own font.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    (ROOT / "docs" / "run.svg").write_text(svg)


if __name__ == "__main__":
    main()
