"""Judges labelled results with their goals, and prints how often the judge is right.

python -m benchmarks.judge_accuracy [FILE ...] [--json]

Without a file it judges those in tests/judge_cases. Each line of a file is a case. `label` is
`good` (deliver it), `bad` (a careful person wants a flag at least; `certain`: the job has to fail)
or `doubtful` (nobody can say without a look at the page).
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from batchrunner.judge import expectations_of, judge_result

CASES = Path(__file__).parent.parent / "tests" / "judge_cases"
LABELS = ("good", "bad", "doubtful")
VERDICTS = ("good", "suspect", "bad")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One labelled result, as a line of a file has it."""

    id: str
    label: str
    language: str
    domain: str
    url: str
    goal: str
    result: str | None  #: the text of the API's `result`; None: it was null
    why: str  #: why it has this label
    certain: bool = False  #: of a bad one: suspect is not enough
    output_schema: dict[str, Any] | None = None
    expect: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A case and what the judge says about it."""

    case: Case
    verdict: str
    rule: str = ""
    path: str = ""
    seen: str = ""

    @property
    def mistake(self) -> str:
        """Which mistake it is; empty: none."""
        match self.case.label, self.verdict:
            case "good" | "doubtful", "bad":
                return "paid for again"
            case "good", "suspect":
                return "flagged"
            case "bad", "good":
                return "not flagged"
            case "bad", "suspect" if self.case.certain:
                return "did not fail"
        return ""


def read_cases(*files: Path) -> list[Case]:
    """Return the cases of files; without any, all of the project's."""
    return [
        Case(**json.loads(line))
        for file in files or sorted(CASES.glob("*.jsonl"))
        for line in file.read_text(encoding="utf-8").split("\n")
        if line
    ]


def judged(case: Case) -> Judged:
    """Judge one case, as the program does after a run."""
    expectations = replace(expectations_of(case.output_schema, case.expect), goal=case.goal)
    judgement = judge_result(case.result, expectations)
    first = judgement.findings[0] if judgement.findings else None
    return Judged(
        case=case,
        verdict=str(judgement.verdict),
        rule=str(first.rule) if first else "",
        path=first.path if first else "",
        seen=str(first.seen)[:80] if first else "",
    )


def confusion(results: Iterable[Judged]) -> dict[str, dict[str, int]]:
    """Count the verdicts of each label."""
    counts = Counter((each.case.label, each.verdict) for each in results)
    return {label: {verdict: counts[label, verdict] for verdict in VERDICTS} for label in LABELS}


def figures(results: Sequence[Judged]) -> dict[str, Any]:
    """Return the counts and shares of one measurement."""
    table = confusion(results)
    good, bad = table["good"], table["bad"]
    flagged_good, flagged_bad = good["suspect"] + good["bad"], bad["suspect"] + bad["bad"]
    certain = [each for each in results if each.case.certain]
    return {
        "cases": len(results),
        "verdicts": table,
        "good_paid_again": good["bad"],
        "good_flagged": _share(flagged_good, sum(good.values())),
        "bad_not_flagged": _share(bad["good"], sum(bad.values())),
        "certain_failed": _share(sum(each.verdict == "bad" for each in certain), len(certain)),
        "doubtful_paid_again": table["doubtful"]["bad"],
        "precision": _share(flagged_bad, flagged_bad + flagged_good),
        "recall": _share(flagged_bad, sum(bad.values())),
    }


def groups(results: Sequence[Judged], name: str) -> dict[str, dict[str, list[int]]]:
    """Count, by language or domain, each label's cases and those that the judge has wrong."""
    found: dict[str, dict[str, list[int]]] = {}
    for each in results:
        counts = found.setdefault(getattr(each.case, name), {label: [0, 0] for label in LABELS})
        counts[each.case.label][0] += 1
        counts[each.case.label][1] += each.mistake not in ("", "did not fail")
    return dict(sorted(found.items(), key=lambda group: (-_size(group[1]), group[0])))


def _size(counts: dict[str, list[int]]) -> int:
    return sum(of for of, _ in counts.values())


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


def _print_text(results: Sequence[Judged]) -> None:
    shown = figures(results)
    print(f"{'':10}{'cases':>8}" + "".join(f"{verdict:>9}" for verdict in VERDICTS))
    for label, row in shown["verdicts"].items():
        print(f"{label:10}{sum(row.values()):>8}" + "".join(f"{row[each]:>9}" for each in VERDICTS))
    print()
    print(f"good: {shown['good_paid_again']} paid for again, {shown['good_flagged']:.1%} flagged")
    print(f"bad: {shown['bad_not_flagged']:.1%} delivered without a flag")
    print(f"bad for certain: {shown['certain_failed']:.1%} fail the job")
    print(f"doubtful: {shown['doubtful_paid_again']} paid for again")
    print(f"needs a flag: precision {shown['precision']:.3f}, recall {shown['recall']:.3f}")
    print(f"\n{'wrong/all':10}" + "".join(f"{label:>10}" for label in LABELS))
    for language, counts in groups(results, "language").items():
        cells = (f"{counts[label][1]}/{counts[label][0]}" for label in LABELS)
        print(f"{language:10}" + "".join(f"{cell:>10}" for cell in cells))
    _print_mistakes(results)


def _print_mistakes(results: Sequence[Judged]) -> None:
    for label in LABELS:
        for each in results:
            if each.mistake and each.case.label == label:
                seen = f" by {each.rule} at {each.path or '.'}: {each.seen!r}" if each.rule else ""
                print(f"\n{each.case.id}: {label}, {each.mistake}{seen}\n   {each.case.why}")


def _as_json(results: Sequence[Judged]) -> str:
    mistakes = [asdict(each) | {"mistake": each.mistake} for each in results if each.mistake]
    shown = figures(results) | {
        "languages": groups(results, "language"),
        "domains": groups(results, "domain"),
        "mistakes": mistakes,
    }
    return json.dumps(shown, ensure_ascii=False, indent=1)


def main() -> None:
    """Print the figures of files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    results = [judged(case) for case in read_cases(*args.files)]
    if args.json:
        print(_as_json(results))
    else:
        _print_text(results)


if __name__ == "__main__":
    main()
