"""A report of quality as lines for a terminal: the word, the reasons, the tables, ten rows."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from batchrunner.app.quality import QualityCheck, QualityReport
from batchrunner.cli.output.batch_text import db_given
from batchrunner.model import Batch
from batchrunner.quality.figures import FieldFigures
from batchrunner.text.format import counted, percent
from batchrunner.text.terminal import shorten, term_safe

#: Reasons that are shown first.
MAX_REASONS = 3
#: Fields, hosts and fields of a host that are shown.
MAX_FIELDS, MAX_HOSTS, MAX_LOST = 25, 10, 4
#: A host's coverage is shown where it is this far below that of the baseline.
LOST = 0.1
_FIELD_WIDTH = 28


def report_lines(report: QualityReport, db: str) -> Iterator[str]:
    """Give a report line by line, and what to do next; a terminal may print each as it is."""
    yield str(report.verdict)
    for reason in report.reasons[:MAX_REASONS]:
        yield term_safe(f"  {reason.text}")
    if (more := len(report.reasons) - MAX_REASONS) > 0:
        yield f"  … and {counted(more, 'more reason')} (all of them: --json)"
    yield ""
    yield term_safe(_scope(report))
    yield from _field_lines(report)
    yield from _host_lines(report)
    if report.rows:
        yield ""
        yield "rows to look at"
    for row in report.rows:
        yield term_safe(f"  {shorten(row.url, 80)}  {shorten(row.why, 120)}")
    if report.reasons:
        yield ""
        yield from (term_safe(line) for line in _next_lines(report, db))


def _next_lines(report: QualityReport, db: str) -> Iterator[str]:
    kinds = {reason.kind for reason in report.reasons}
    name = f"{shlex.quote(report.batch)}{db_given(db)}"
    if report.good < report.delivered:
        yield f"accept or reject the suspect results: batchrunner review {name}"
    if "absent" in kinds:
        yield f"the values that are not in their pages: batchrunner grounding {name}"
    if report.delivered < report.total:
        yield f"why jobs failed, and what may help: batchrunner status {name}"
    if report.against is not None:
        yield f"what changed: batchrunner diff {shlex.quote(report.against)} {name}"
    yield f"all rows: batchrunner export {name} -o results.xlsx"


def _scope(report: QualityReport) -> str:
    jobs = "job" if report.total == 1 else "jobs"
    rows = f"{report.batch}: {report.delivered:,} of {report.total:,} {jobs} delivered"
    rows += f", {report.good:,} of them good"
    if not report.complete:
        rows += "; not finished"
    if report.against is None:
        return f"{rows}; it has no good earlier edition to be compared with (else: --against NAME)"
    return f"{rows}; compared with {report.against} ({report.rows_before:,} delivered)"


def _field_lines(report: QualityReport) -> Iterator[str]:
    if not report.fields:
        return
    yield ""
    yield f"{'field':<{_FIELD_WIDTH}}  {'filled':>7}  {'before':>7}  values"
    for figures in report.fields[:MAX_FIELDS]:
        before = "" if figures.before is None else percent(figures.before)
        name = shorten(term_safe(figures.path), _FIELD_WIDTH)
        yield (
            f"{name:<{_FIELD_WIDTH}}  {percent(figures.coverage):>7}  {before:>7}  "
            f"{term_safe(_values(figures))}"
        ).rstrip()
    if more := len(report.fields[MAX_FIELDS:]):
        yield f"… and {counted(more, 'more field')} (all of them: --json)"


def _values(figures: FieldFigures) -> str:
    said = [" or ".join(figures.types[:2]), *figures.signs]
    if figures.numbers:
        least, middle, most = figures.numbers
        said.append(f"{least:g} … {middle:g} … {most:g}")
    if figures.length is not None:
        said.append(f"{figures.length:g} entries")
    elif figures.distinct:
        said.append(f"{figures.distinct:,} different")
    return ", ".join(each for each in said if each)


def _host_lines(report: QualityReport) -> Iterator[str]:
    if not report.hosts:
        return
    yield ""
    width = min(max(len(each.host) for each in report.hosts[:MAX_HOSTS]), 40)
    yield f"{'host':<{width}}  {'jobs':>7}  {'before':>7}  {'suspect':>7}  {'failed':>7}  lost"
    for each in report.hosts[:MAX_HOSTS]:
        before = "" if each.rows_before is None else f"{each.rows_before:,}"
        lost = [
            f"{path} {percent(now)} ({percent(was)})"
            for path, now, was in each.coverage
            if was is not None and was - now > LOST
        ]
        name = shorten(term_safe(each.host), width)
        yield (
            f"{name:<{width}}  {each.rows:>7,}  {before:>7}  {each.suspect:>7,}  "
            f"{each.failed:>7,}  {term_safe(', '.join(lost[:MAX_LOST]))}"
        ).rstrip()
    if more := len(report.hosts[MAX_HOSTS:]):
        yield f"… and {counted(more, 'more host')} (all of them: --json)"


def check_lines(check: QualityCheck | None, batch: Batch, db: str) -> Iterator[str]:
    """Give what the end of a run says about its rows; nothing where they are simply good."""
    if check is None:
        return
    command = f"batchrunner quality {shlex.quote(batch.name)}{db_given(db)}"
    if check.violated is not None:
        yield term_safe(f"bad quality: {check.violated}")
        yield f"look at it with: {command}"
    elif check.word is not None and check.reasons:
        yield term_safe(f"quality: {check.word}: {check.reasons[0].text} (more: {command})")
