"""What the judge says about results with known labels, which were found without their goals.

Each line of `seen.jsonl` and `held_out.jsonl` is a result with its label. The words of the rules
were looked up in the first file only. Results with their goals are in `tests/judge_cases`.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batchrunner.judge import expectations_of, judge_result
from batchrunner.judge.outliers import PeerResult, outliers
from tests.bounds import HUNG

FOLDER = Path(__file__).parent
LABELS = {
    "good",
    "bot_wall",
    "login_wall",
    "refusal",
    "empty",
    "placeholder",
    "shape",
    "copied",
}
#: Least share of the results with a bad label that are flagged, and largest of the good ones: a
#: goal would say of many good ones that they are what was asked for.
FLAGGED = {"seen": (0.95, 0.15), "held_out": (0.93, 0.13)}


def rows_of(name: str) -> list[dict[str, Any]]:
    lines = (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def verdicts_of(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Give the judge's verdict on each row; outliers are suspect."""
    copied = outliers(
        (index, PeerResult(row["url"], row["goal"], json.dumps(row["result"])))
        for index, row in enumerate(rows)
        if "batch" in row
    )
    for index, row in enumerate(rows):
        expectations = expectations_of(row.get("schema"), row.get("expect", {}))
        verdict = judge_result(json.dumps(row["result"]), expectations).verdict.value
        yield "suspect" if verdict == "good" and index in copied else verdict


@pytest.mark.sweep
@pytest.mark.parametrize("name", FLAGGED)
def test_no_good_result_fails_and_most_others_are_flagged(name: str) -> None:
    rows = rows_of(name)
    counts = Counter(zip((row["label"] for row in rows), verdicts_of(rows), strict=True))
    for label, verdict in sorted(counts):
        sys.stdout.write(f"{name:9} {label:12} {verdict:8} {counts[label, verdict]}\n")
    assert counts["good", "bad"] == 0
    good = sum(count for (label, _), count in counts.items() if label == "good")
    missed = (
        sum(count for (label, said), count in counts.items() if said == "good")
        - (counts["good", "good"])
    )
    least, most = FLAGGED[name]
    assert 1 - missed / (len(rows) - good) >= least
    assert counts["good", "suspect"] / good <= most


def test_results_of_two_kilobytes_are_judged_without_hanging() -> None:
    walls = [row["result"] for row in rows_of("seen") if row["label"] in ("bot_wall", "refusal")]
    said = [wall for wall in walls if isinstance(wall, str)]
    results = []
    for index in range(100):
        shown = " ".join(said[(index + step) % len(said)] for step in range(60))
        results.append(json.dumps({"text": shown[:1000], "note": shown[1000:2000], "price": None}))
    begun = time.process_time()
    for result in results:
        judge_result(result, expectations_of(None, {}))
    assert time.process_time() - begun < HUNG


def test_the_labelled_results_are_many_have_every_label_and_are_not_repeated() -> None:
    seen, held_out = rows_of("seen"), rows_of("held_out")
    assert len(seen) >= 1000
    assert len(held_out) >= 300
    assert {row["label"] for row in seen} == {row["label"] for row in held_out} == LABELS
    apart = [
        json.dumps(row["result"]) for row in seen if "batch" not in row and "schema" not in row
    ]
    repeated = {json.dumps(row["result"]) for row in held_out} & set(apart)
    assert repeated == set()


def test_there_are_many_good_results_and_they_are_hard() -> None:
    good = [json.dumps(row["result"]).lower() for row in rows_of("seen") if row["label"] == "good"]
    assert len(good) > 100
    hard = ("captcha", "denied", "log in", "unable", "blocked", "robot", "unknown", "n/a", "403")
    assert all(any(word in result for result in good) for word in hard)
