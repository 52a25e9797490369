"""Where the jobs of a file were run before: another batch, another database."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from batchrunner.model.job_file import JobFile
from batchrunner.model.question import question_digest

#: Jobs of a file that are looked for; of a larger file, as many that are spread over it.
SAMPLE_SIZE = 400


@dataclass(frozen=True, kw_only=True, slots=True)
class FileSample:
    """Some jobs of a file, by which it is recognised elsewhere."""

    jobs: int  #: of the whole file
    urls: frozenset[str]
    digests: frozenset[str]

    @classmethod
    def of(cls, job_file: JobFile) -> FileSample:
        """Return jobs that are spread evenly over a file."""
        step = max(len(job_file.specs) // SAMPLE_SIZE, 1)
        chosen = [spec for at, spec in enumerate(job_file.specs) if at % step == 0]
        digests = (question_digest(spec.url, spec.goal, spec.options) for spec in chosen)
        return cls(
            jobs=len(job_file.specs),
            urls=frozenset(spec.url for spec in chosen),
            digests=frozenset(digests),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Holding:
    """A batch that was run and has jobs of a file."""

    batch: str
    same: int  #: jobs of the sample that it has, without those that failed
    urls: int  #: urls of the sample that it has with any goal
    of_jobs: int  #: jobs of the sample
    of_urls: int  #: urls of the sample
    failed: int = 0  #: jobs of the sample that failed or were cancelled in it

    @property
    def share(self) -> float:
        """The share of the file's jobs that it has."""
        return self.same / self.of_jobs if self.of_jobs else 0.0

    @property
    def failed_share(self) -> float:
        """The share of the file's jobs that failed or were cancelled in it."""
        return self.failed / self.of_jobs if self.of_jobs else 0.0

    @property
    def url_share(self) -> float:
        """The share of the file's urls that it has with any goal."""
        return self.urls / self.of_urls if self.of_urls else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchSource:
    """The file that a batch was loaded from last."""

    batch: str  #: its name, or that of its series
    path: str | None  #: absolute; None where it is not known


def holdings_of(
    sample: FileSample, rows: Iterable[tuple[str, str, str, bool]]
) -> tuple[Holding, ...]:
    """Return the batches that have jobs of a sample; *rows* are (batch, url, digest, failed)."""
    digests: dict[str, set[str]] = {}
    failed: dict[str, set[str]] = {}
    urls: dict[str, set[str]] = {}
    for batch, url, digest, has_failed in rows:
        if has_failed:
            failed.setdefault(batch, set()).update({digest} & sample.digests)
            continue
        urls.setdefault(batch, set()).add(url)
        digests.setdefault(batch, set()).update({digest} & sample.digests)
    found = [
        Holding(
            batch=batch,
            same=len(digests[batch]),
            urls=len(urls[batch]),
            of_jobs=len(sample.digests),
            of_urls=len(sample.urls),
            failed=len(failed.get(batch, set()) - digests[batch]),
        )
        for batch in urls
    ]
    return tuple(sorted(found, key=lambda each: (-each.same, -each.urls, each.batch)))
