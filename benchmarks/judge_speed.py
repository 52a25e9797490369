"""Measures how long the judge takes: for typical results, and at most for hostile ones.

python -m benchmarks.judge_speed [--json]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from timeit import repeat
from typing import Any

from batchrunner.judge import expectations_of, judge_result
from batchrunner.model import Expectations
from benchmarks.figures import Figure

GOAL = "Read the name, the price, the currency and the offers. Write null if a value is not shown."
ROW = {"name": "Lamp 12", "price": 12.5, "currency": "EUR", "seller": "Lamps and more", "rating": 4}
#: Milliseconds that no answer may take.
MOST = 50


def typical() -> dict[str, Any]:
    """Return results as they usually are."""
    return {
        "one row": ROW,
        "one row, a value missing": {**ROW, "rating": None},
        "24 rows": {"offers": [ROW] * 24},
        "24 rows, values missing": {"offers": [{**ROW, "rating": None}] * 24},
        "a sentence": "The lamp costs 12.50 EUR and is in stock.",
        "all null": dict.fromkeys(ROW),
        "an error page": {"name": "404 Not Found", "price": None},
        "a refusal": "I was unable to find the price on the page.",
        "a wall": {"title": "Just a moment...", "price": None},
        "a row in a fenced block": f"```json\n{json.dumps(ROW)}\n```",
    }


def hostile() -> dict[str, str]:
    """Return results that would take long if nothing bounded it."""
    words = ("no ", "could not ", "access to ", "verify you are ", "ich ", "не ", "無", "a ")
    texts = {
        f"text of {word.strip()!r}, {size:,}": json.dumps({"text": word * (size // len(word))})
        for word in words
        for size in (900, 950_000)
    }
    return texts | {
        "30 MB of rows": json.dumps([ROW] * 300_000),
        "30 MB of text": json.dumps({"text": "page not found " * 2_000_000}),
        "30 MB of escapes": '{"text": "' + "\\u00e9" * 5_000_000 + '"}',
        "200,000 numbers": json.dumps(list(range(200_000))),
        "59,000 short values": json.dumps([None] * 59_000),
        "29,000 objects": json.dumps([{"a": None}] * 29_000),
        "20,000 texts": json.dumps([{"a": f"no {n}", "b": None} for n in range(9_000)]),
        "long texts in many fields": json.dumps({f"k{n}": "no " * 300 for n in range(1_000)}),
        "long names": json.dumps({"n" * 100_000 + str(n): None for n in range(9)}),
        "nested 5,000 deep": "[" * 5_000 + "]" * 5_000,
        "nested 99 deep, often": "[" + ",".join(["[" * 98 + "]" * 98] * 600) + "]",
        "brackets": "[" * 59_000,
        "quotes": '"' * 900_000,
        "fences": "```json\n{" * 50_000,
        "words before JSON": ": {" * 60_000,
        "broken JSON in many texts": json.dumps(['{"a": [' + "1," * 90] * 1_000),
        "strings in strings": json.dumps(json.dumps(json.dumps([ROW] * 900))),
        "a long number": '{"a": ' + "9" * 990_000 + "}",
    }


def seconds(result: str, expectations: Expectations, repeats: int) -> float:
    """Return the least time that judging a result took."""
    best = float("inf")
    for _ in range(repeats):
        begun = time.perf_counter()
        judge_result(result, expectations)
        best = min(best, time.perf_counter() - begun)
    return best


def figures(*, small: bool) -> Iterator[Figure]:
    """Yield the time of typical results, beside reading their JSON alone."""
    repeats = 300 if small else 3000
    expectations = replace(expectations_of(None, {}), goal=GOAL)
    for name, value in typical().items():
        text = json.dumps(value)
        floor = min(repeat(partial(json.loads, text), number=1, repeat=repeats))
        yield Figure(
            part="judge",
            name=f"judging {name}",
            unit="us",
            ours=seconds(text, expectations, repeats) * 1e6,
            floor=floor * 1e6,
            floor_name="json.loads",
        )


def main() -> None:
    """Print the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    expectations = replace(expectations_of(None, {}), goal=GOAL)
    usual = {name: json.dumps(result) for name, result in typical().items()}
    usual_times = {name: seconds(text, expectations, 300) * 1e6 for name, text in usual.items()}
    worst_times = {name: seconds(text, expectations, 3) * 1e3 for name, text in hostile().items()}
    if args.json:
        print(json.dumps({"microseconds": usual_times, "milliseconds": worst_times}, indent=1))
        return
    for name, taken in usual_times.items():
        print(f"{name:32}{taken:10.1f} µs")
    for name, taken in worst_times.items():
        print(f"{name:32}{taken:10.1f} ms{'  over the limit' if taken > MOST else ''}")


if __name__ == "__main__":
    main()
