"""What a job file should say so that the judge agrees with what a person said of results."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import yaml

from batchrunner.app.atomic_file import replace_when_complete
from batchrunner.app.error_translation import errors_for_people
from batchrunner.errors import UsageError
from batchrunner.judge import GENERAL_RULES
from batchrunner.judge.answer import Answer, read_answer
from batchrunner.judge.learned_rules import (
    breaks,
    merged,
    rule_of_acceptance,
    rule_of_rejection,
)
from batchrunner.model import Batch, Finding, StoredResult
from batchrunner.model.reviews import Review, ReviewDecision
from batchrunner.store.judgements import results_of_jobs
from batchrunner.store.reviews import expects_and_goals, review_details, reviewed_jobs
from batchrunner.store.store import Store
from batchrunner.text.terminal import term_safe

#: Results that are read in one round.
_AT_ONCE = 100
_FIRST_LINE = "# Written by `batchrunner review`"
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A line that is not among the others, because it contradicts what a person said."""

    expect: Mapping[str, Any]
    contradicts: str  #: the id of a job: its result was accepted, or for `allow` rejected


@dataclass(frozen=True, kw_only=True)
class LearnedRules:
    """What a job file should have below `expect`, from what a person said of results."""

    batch: str
    accepted: int
    rejected: int
    expect: Mapping[str, Any]  #: together with what all jobs of the batch expect now
    left_out: tuple[LeftOut, ...] = ()
    without_line: tuple[str, ...] = ()  #: ids of rejected results for which no line can be made
    jobs_differ: bool = False  #: jobs expect different things: `expect` has only what is new
    goals_differ: bool = False  #: the lines may not suit every job

    @property
    def text(self) -> str:
        """Return `expect` as a job file has it, in YAML that is safe for a terminal."""
        return _yaml({"expect": dict(self.expect)}) if self.expect else ""


def learned_rules(store: Store, batch: Batch) -> LearnedRules:
    """Return what a job file should say, by all that a person said of a batch's results."""
    ids = store.read(reviewed_jobs, batch.id)
    learning = _Learning()
    for decision in (ReviewDecision.REJECTED, ReviewDecision.ACCEPTED):
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            found = store.read(review_details, some)
            said = {id: each.review for id, each in found.items() if each.review}
            chosen = [id for id in some if id in said and said[id].decision is decision]
            for result in results_of_jobs(store, chosen):
                learning.add(result, said[result.job_id])
    expects, goals_differ = store.read(expects_and_goals, batch.id)
    return replace(learning.result(batch.name, expects), goals_differ=goals_differ)


class _Learning:
    """Collects lines from rejections, then checks them against acceptances."""

    def __init__(self) -> None:
        self.accepted = self.rejected = 0
        self._lines: dict[str, Mapping[str, Any]] = {}
        self._left_out: dict[str, LeftOut] = {}
        self._without: list[str] = []
        self._rejected_by: dict[str, str] = {}  # rule → job whose result it flagged rightly

    def add(self, result: StoredResult, review: Review) -> None:
        """Take a review into account: all rejections first."""
        answer = read_answer(result.result)
        findings = [_in_answer(each, answer) for each in review.findings]
        if review.decision is ReviewDecision.REJECTED:
            self.rejected += 1
            for each in findings:
                self._rejected_by.setdefault(each.rule, result.key)
            self._reject(result, answer.value, findings, review.because)
        else:
            self.accepted += 1
            self._accept(result, answer.value, findings)

    def _reject(
        self, result: StoredResult, value: Any, findings: Sequence[Finding], because: str
    ) -> None:
        schema = result.expectations.schema or {}
        asked = f"{result.goal} {' '.join(schema.get('properties') or ())}"
        line = rule_of_rejection(value, findings, because, asked)
        if line is None:
            self._without.append(result.key)
        else:
            self._lines[json.dumps(line)] = line

    def _accept(self, result: StoredResult, value: Any, findings: Sequence[Finding]) -> None:
        for text, line in list(self._lines.items()):
            if "allow" not in line and breaks(value, line):
                self._left_out[text] = LeftOut(expect=line, contradicts=result.key)
                del self._lines[text]
        disputed = GENERAL_RULES.keys() & self._rejected_by.keys()
        for rule in sorted({each.rule for each in findings} & disputed):
            line = {"allow": [rule]}
            self._left_out[json.dumps(line)] = LeftOut(
                expect=line, contradicts=self._rejected_by[rule]
            )
        if (allowed := rule_of_acceptance(findings, GENERAL_RULES.keys() - disputed)) is not None:
            self._lines[json.dumps(allowed)] = allowed

    def result(self, batch: str, expects: Sequence[str | None]) -> LearnedRules:
        """Return what was learned, together with what all jobs expect already."""
        common = [json.loads(expects[0])] if len(expects) == 1 and expects[0] else []
        return LearnedRules(
            batch=batch,
            accepted=self.accepted,
            rejected=self.rejected,
            expect=merged([*common, *self._lines.values()]) if self._lines else {},
            left_out=tuple(self._left_out.values()),
            without_line=tuple(self._without),
            jobs_differ=len(expects) > 1,
        )


def _in_answer(finding: Finding, answer: Answer) -> Finding:
    """Return a finding with its path inside the answer, without what the answer is wrapped in."""
    path = finding.path
    if answer.path and path == answer.path:
        path = "."
    elif answer.path and path.startswith((f"{answer.path}.", f"{answer.path}[")):
        path = path.removeprefix(answer.path).removeprefix(".")
    return Finding(rule=finding.rule, path=path, seen=finding.seen, wanted=finding.wanted)


def _yaml(value: Any) -> str:
    for allow_unicode in (True, False):
        text: str = yaml.dump(
            value, Dumper=_DUMPER, allow_unicode=allow_unicode, sort_keys=False, width=1_000_000
        )
        if all(term_safe(line) == line for line in text.splitlines()):
            break
    return text


def write_learned_rules(learned: LearnedRules, path: Path) -> None:
    """
    Write what was learned to a file that `batchrunner judge --expect` reads.

    A file is replaced only if an earlier review wrote it: a job file has comments to be kept.

    Raises:
        UsageError: There is nothing to write, or another file is there.
    """
    if not learned.expect:
        raise UsageError(
            "there is nothing to write: no line follows from what was accepted and rejected",
            next=f"reject results first: batchrunner review {shlex.quote(learned.batch)}",
        )
    with errors_for_people():
        if path.exists() and not _is_ours(path):
            raise UsageError(
                f"{path} is there, and no review wrote it; it was not changed",
                next=f"name another file: --write {shlex.quote(str(_other(path)))}",
                where=str(path),
            )
        replace_when_complete(path, lambda file: _write(learned, file))


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_FIRST_LINE)) == _FIRST_LINE.encode()


def _other(path: Path) -> Path:
    return path.with_name(f"{path.stem}-expect{path.suffix or '.yaml'}")


def _write(learned: LearnedRules, file: IO[bytes]) -> None:
    reviewed = f"{learned.rejected} rejected and {learned.accepted} accepted results"
    head = f"{_FIRST_LINE}, from {reviewed}: below `expect:` in a job file,\n"
    file.write(f"{head}# or given to `batchrunner judge --expect`.\n".encode())
    file.write(_yaml(dict(learned.expect)).encode())
