"""Lists the artifacts of a batch: where they are, or why they are not here."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from batchrunner.model import Batch
from batchrunner.model.artifacts import Artifact, ArtifactKind
from batchrunner.store.artifacts import artifact_rows
from batchrunner.store.store import Store


def list_artifacts(
    store: Store, batch: Batch, key: str | None = None, kinds: Collection[ArtifactKind] = ()
) -> Iterator[Artifact]:
    """Yield the artifacts of a batch; *key* chooses one job, and no *kinds* mean all kinds."""
    yield from store.read(artifact_rows, batch.id, key, kinds)
