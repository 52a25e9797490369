"""Says how good the rows of a batch are, beside those of the last good edition."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from batchrunner.app.absent_values import absent_values
from batchrunner.app.run_batch import BatchRunEnded
from batchrunner.errors import UsageError
from batchrunner.model import Batch, FinishedJob
from batchrunner.model.hosts import host_of
from batchrunner.model.quality import Quality, QualityReason, QualityWord
from batchrunner.model.row_choice import ALL_FINAL
from batchrunner.quality.assessment import RowToLookAt, evidence_of, quality_by, rows_to_look_at
from batchrunner.quality.figures import FieldFigures, HostFigures, field_figures, host_figures
from batchrunner.quality.profile import Profile, ProfileRow
from batchrunner.runner.runner import ExitReason
from batchrunner.store.quality import last_good_edition, record_quality
from batchrunner.store.reports import batch_counts
from batchrunner.store.shown_jobs import shown_jobs
from batchrunner.store.store import Store
from batchrunner.text.format import exact_percent, percent


@dataclass(frozen=True, kw_only=True)
class QualityReport:
    """How good the rows of a batch are, why, and the figures behind it."""

    batch: str
    against: str | None  #: the batch that it is compared with; None: it is looked at alone
    complete: bool  #: all its jobs are final
    quality: Quality
    delivered: int  #: rows with a result
    good: int  #: of these, the rows that are not suspect
    total: int  #: all current jobs of the batch
    rows_before: int | None  #: delivered rows of the baseline
    fields: tuple[FieldFigures, ...]
    hosts: tuple[HostFigures, ...]
    rows: tuple[RowToLookAt, ...]  #: ten rows to look at

    @property
    def verdict(self) -> QualityWord:
        """The word."""
        return self.quality.verdict

    @property
    def reasons(self) -> tuple[QualityReason, ...]:
        """The reasons, the most important first."""
        return self.quality.reasons


def batch_quality(store: Store, batch: Batch, against: Batch | None = None) -> QualityReport:
    """
    Read the final jobs of a batch, and say how good their rows are.

    It is compared with *against*, else with the last good edition of its series, if there is one.

    Raises:
        UsageError: The batch is to be compared with itself.
    """
    if against is not None and against.id == batch.id:
        raise UsageError(
            f"{batch.name!r} cannot be compared with itself", next="name another batch"
        )
    base = against or store.read(last_good_edition, batch)
    bounds = batch.settings.quality
    profile = _profile(store, batch, bounds.unique)
    baseline = None if base is None else _profile(store, base)
    counts = store.read(batch_counts, batch.id)
    complete = not counts.open
    absent = absent_values(store, batch, base, profile)
    evidence = evidence_of(profile, baseline, bounds, complete=complete, more=absent)
    return QualityReport(
        batch=batch.name,
        against=None if base is None else base.name,
        complete=complete,
        quality=quality_by(evidence),
        delivered=profile.delivered,
        good=profile.good,
        total=counts.total,
        rows_before=None if baseline is None else baseline.delivered,
        fields=tuple(field_figures(profile, baseline)),
        hosts=tuple(host_figures(profile, baseline)),
        rows=tuple(rows_to_look_at(profile, evidence)),
    )


def _profile(store: Store, batch: Batch, unique: tuple[str, ...] = ()) -> Profile:
    return Profile(unique).add_all(_rows(store, batch))


def _rows(store: Store, batch: Batch) -> Iterator[ProfileRow]:
    for job in shown_jobs(store, batch.id, ALL_FINAL):
        yield profile_row(job)


def profile_row(job: FinishedJob) -> ProfileRow:
    """Return a job as quality looks at it."""
    rule = job.finding.rule if job.finding is not None and job.verdict == "suspect" else None
    return ProfileRow(
        key=job.key,
        url=job.url,
        host=host_of(job.url),
        state=str(job.state),
        verdict=job.verdict,
        reason=rule or job.category,
        result=job.result,
        columns=job.columns,
        named=job.schema_fields,
        goal=job.goal,
    )


# ---- at the end of a run ----


@dataclass(frozen=True, kw_only=True)
class QualityCheck:
    """What the end of a run says about the rows of its batch."""

    word: QualityWord | None  #: None: the batch is not finished
    reasons: tuple[QualityReason, ...] = ()
    violated: str | None = None  #: why the run ends with BAD_QUALITY, in a sentence; None: no why


def check_ended(
    store: Store, batch: Batch, ended: BatchRunEnded, fail_under: Decimal | None = None
) -> QualityCheck | None:
    """
    Check the rows of a batch whose run came to its end, and remember how good they are.

    Bounds are violated where the job file has some and the rows are bad, or where less than
    *fail_under* of the current jobs were delivered and are good. None: the run came to no end, or
    nothing was run and nothing is demanded.
    """
    came_to_end = ended.reason in (ExitReason.FINISHED, ExitReason.PART_DONE)
    demanded = batch.settings.quality.given or fail_under is not None
    if not came_to_end or (ended.nothing_run and not demanded):
        return None
    report = batch_quality(store, batch)
    if report.complete:
        store.write(record_quality, batch.id, report.verdict)
    said = _under(report, fail_under)
    bounds = batch.settings.quality
    if said is None and bounds.given and report.verdict is QualityWord.BAD:
        said = report.reasons[0].text
    return QualityCheck(
        word=report.verdict if report.complete else None, reasons=report.reasons, violated=said
    )


def _under(report: QualityReport, fail_under: Decimal | None) -> str | None:
    if fail_under is None or not report.total or report.good >= fail_under * report.total:
        return None
    share, asked = percent(report.good / report.total), exact_percent(fail_under)
    return (
        f"{report.good:,} of {report.total:,} jobs were delivered and are good "
        f"({share}), and --fail-under asks for {asked}"
    )


# ---- as JSON ----


def check_as_json(check: QualityCheck | None) -> dict[str, Any] | None:
    """Return what the end of a run says about the rows as a program wants it."""
    if check is None:
        return None
    return {
        "verdict": check.word,
        "reasons": [reason_as_json(reason) for reason in check.reasons],
        "violated": check.violated,
    }


def report_as_json(report: QualityReport) -> dict[str, Any]:
    """Return a report as a program wants it."""
    return {
        "batch": report.batch,
        "against": report.against,
        "verdict": str(report.verdict),
        "reasons": [reason_as_json(reason) for reason in report.reasons],
        "complete": report.complete,
        "jobs": report.total,
        "delivered": report.delivered,
        "good": report.good,
        "delivered_before": report.rows_before,
        "fields": [_field(each) for each in report.fields],
        "hosts": [_host(each) for each in report.hosts],
        "rows": [
            {"id": row.key, "url": row.url, "host": row.host, "why": row.why} for row in report.rows
        ],
    }


def reason_as_json(reason: QualityReason) -> dict[str, Any]:
    """Return a reason as a program wants it."""
    return {
        "kind": reason.kind,
        "column": reason.column,
        "host": reason.host,
        "count": reason.count,
        "text": reason.text,
        "verdict": str(reason.word),
        "bound": reason.bound,
    }


def _field(figures: FieldFigures) -> dict[str, Any]:
    least, middle, most = figures.numbers or (None, None, None)
    return {
        "field": figures.path,
        "filled": figures.filled,
        "coverage": round(figures.coverage, 4),
        "coverage_before": None if figures.before is None else round(figures.before, 4),
        "types": figures.types,
        "distinct": figures.distinct,
        "minimum": least,
        "median": middle,
        "maximum": most,
        "signs": figures.signs,
        "length": figures.length,
    }


def _host(figures: HostFigures) -> dict[str, Any]:
    return {
        "host": figures.host,
        "jobs": figures.rows,
        "delivered": figures.delivered,
        "suspect": figures.suspect,
        "failed": figures.failed,
        "jobs_before": figures.rows_before,
        "coverage": {
            path: {"now": round(now, 4), "before": None if before is None else round(before, 4)}
            for path, now, before in figures.coverage
        },
    }
