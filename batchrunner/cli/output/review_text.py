"""What a person sees of a result under review, and of what was learned."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from io import BytesIO
from typing import Any

from batchrunner.app.review import ReviewRow
from batchrunner.app.review_rules import LearnedRules
from batchrunner.cli.output.result_lines import result_lines
from batchrunner.cli.output.run_help_text import run_help_texts
from batchrunner.judge.answer import read_answer
from batchrunner.model import Finding
from batchrunner.outputs.jsonl import write_jsonl
from batchrunner.outputs.table import ExportTable
from batchrunner.text.format import counted
from batchrunner.text.terminal import SHOWN, shorten, term_safe

KEYS = "a accept · r reject · r FIELD reject because of a field · s skip · b back · q quit"
_LABEL = 12


def row_lines(row: ReviewRow, number: int, total: int) -> Iterator[str]:
    """Give a result with all that helps to decide on it; a terminal may print each line."""
    job = row.job
    kind = "suspect" if row.is_suspect else "sample"
    yield f"[{number}/{total}] {kind}  {_safe(job.key)}"
    yield from _labelled("page", job.url)
    yield from _labelled("goal", job.goal)
    for name, cell in job.columns.items():
        text = cell if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False)
        yield from _labelled("input", f"{name}: {text}")
    for finding in row.findings:
        yield from _labelled("finding", _finding(finding))
    for label, text in run_help_texts(job.help):
        yield from _labelled(label, text)
    yield from _labelled("run error", job.run_error or "")
    yield from _labelled("screenshot", row.screenshot or "")
    if row.review is not None:
        yield from _labelled("you said", f"{row.review.decision} {row.review.because}".strip())
    yield "  result"
    yield from _result(row)


def _result(row: ReviewRow) -> Iterator[str]:
    if row.job.result is None:
        return
    answer = read_answer(row.job.result)
    if answer.set_aside:
        size = f"{len(row.job.result) / 1e6:.1f} MB"
        job = shlex.quote(_safe(row.job.key))
        yield f"    {size}, too large to be shown: batchrunner result --job {job} prints it"
        return
    if answer.path:
        yield f"    in {_safe(answer.path)}:"
    marked = frozenset(finding.path for finding in row.findings if finding.path != ".")
    yield from (f"  {line}" for line in result_lines(answer, marked))


def _labelled(label: str, text: str) -> Iterator[str]:
    if text:
        yield f"  {label:<{_LABEL}} {_safe(text)}"


def _finding(finding: Finding) -> str:
    return f"{finding.rule}: {finding.sentence}"


def _safe(text: str) -> str:
    return shorten(term_safe(text[: 4 * SHOWN]), SHOWN)


def learned_lines(learned: LearnedRules, name: str) -> Iterator[str]:
    """Give what a job file could say, and what no line was made of; *name* is for commands."""
    reviewed = f"{learned.rejected} rejected, {learned.accepted} accepted"
    yield f"{term_safe(learned.batch)}: {reviewed} in all"
    if learned.without_line:
        ids = ", ".join(_safe(key) for key in learned.without_line[:3])
        more = " …" if len(learned.without_line) > 3 else ""
        count = counted(len(learned.without_line), "rejection")
        yield (
            f"no line follows from {count} ({ids}{more}): name the field that is wrong, with "
            "`r FIELD` or --because FIELD"
        )
    for each in learned.left_out:
        line = _safe(json.dumps(each.expect, ensure_ascii=False))
        is_allow = "allow" in each.expect
        why = "let pass {}, which was rejected" if is_allow else "fail {}, which was accepted"
        yield f"left out: {line} would also {why.format(_safe(each.contradicts))}"
    if not learned.expect:
        return
    if learned.jobs_differ:
        yield "jobs of this batch expect different things: add these lines to theirs"
    if learned.goals_differ:
        yield "jobs of this batch have different goals: a line suits those that ask for its field"
    if learned.expect.get("allow"):
        yield "`allow` turns a rule off for all jobs; the accepted ones need no such line"
    yield "for the job file, in `defaults` or in a job:"
    yield ""
    yield from learned.text.splitlines()
    yield ""
    yield f"write it to a file: batchrunner review {name} --write expect.yaml"
    yield f"then judge again, for free: batchrunner judge {name} --expect expect.yaml"


def row_json(row: ReviewRow) -> str:
    """Return a result under review as JSON: the line of an export, and why it is shown."""
    line = BytesIO()
    write_jsonl(ExportTable(jobs=lambda: [row.job]), line)
    more = {
        "columns": dict(row.job.columns),
        "kind": "suspect" if row.is_suspect else "sample",
        "findings": [asdict(finding) for finding in row.findings],
        "screenshot": row.screenshot,
    }
    # The numbers of the result stay as the API sent them.
    exported = line.getvalue().decode("ascii").rstrip("\n")
    return f"{exported[:-1]}, {json.dumps(more)[1:]}"


def learned_as_json(learned: LearnedRules) -> Mapping[str, Any]:
    """Return what was learned as a program wants it."""
    return {
        "accepted": learned.accepted,
        "rejected": learned.rejected,
        "expect": learned.expect,
        "left_out": [asdict(each) for each in learned.left_out],
        "without_line": list(learned.without_line),
        "jobs_differ": learned.jobs_differ,
        "goals_differ": learned.goals_differ,
    }
