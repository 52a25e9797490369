"""
Goes over hostile results under a memory limit, in a process of its own, and prints a table.

    python -m tests.hostile_results [--mb 31] [SHAPE …]

Each row is a shape, with the peak of memory above the answer itself, in MB, of each step from the
API's answer to the exports.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from batchrunner.app.job_results import job_results, result_rows
from batchrunner.classify import classify
from batchrunner.cli.output.run_text import run_lines
from batchrunner.judge import expectations_of
from batchrunner.judge.outliers import PeerResult, outliers
from batchrunner.model import Failed, FinishedJob, JobState, Outcome, Run
from batchrunner.outputs import FORMATS, ExportTable
from batchrunner.text import json_size
from batchrunner.text.json_size import is_parsable
from batchrunner.tinyfish import client, raw_json
from batchrunner.tinyfish.console_views import read_run_details
from batchrunner.tinyfish.http import Reply

#: Memory that each step may take beside the answer.
ALLOWED_MB = 256

_SCHEMA = {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "number"}}}}
_EXPECT = {"required": ["a"], "fields": {"a[].b": {"pattern": "x+"}}}


def _filled(before: str, part: str, after: str) -> Callable[[int], str]:
    """Return a text with as many parts, separated by commas, as a size takes."""
    return lambda size: f"{before}{','.join([part] * (size // (len(part) + 1)))}{after}"


def _numbered(before: str, part: str, after: str) -> Callable[[int], str]:
    """The same with a number in each part."""

    def text(size: int) -> str:
        count = size // (len(part % 1_000_000) + 1)
        numbers = range(1_000_000, 1_000_000 + count)
        return f"{before}{','.join(part % number for number in numbers)}{after}"

    return text


def _nested(opening: str, inner: str, closing: str) -> Callable[[int], str]:
    def text(size: int) -> str:
        depth = size // (len(opening) + len(closing))
        return opening * depth + inner + closing * depth

    return text


def _repeated(before: str, part: str, after: str) -> Callable[[int], str]:
    return lambda size: before + part * (size // len(part.encode())) + after


_KEY = "k" * 20_000

#: Shape → the text of a result of about so many bytes.
SHAPES: Mapping[str, Callable[[int], str]] = {
    "empty objects": _filled("[", "{}", "]"),
    "empty lists": _filled("[", "[]", "]"),
    "ones": _filled("[", "1", "]"),
    "floats": _filled("[", "1.5e3", "]"),
    "nulls": _filled('{"a":[', "null", "]}"),
    "empty strings": _filled("[", '""', "]"),
    "short strings": _filled("[", '"ab"', "]"),
    "small objects": _filled('{"a":[', '{"b":1}', "]}"),
    "objects of lists": _filled('{"a":[', '{"b":[]}', "]}"),
    "distinct keys": _numbered("{", '"k%d":1', "}"),
    "distinct objects": _numbered("[", '{"k%d":"v"}', "]"),
    "distinct strings": _numbered("[", '"%d"', "]"),
    "the same key": _filled("{", '"a":1', "}"),
    "a long key with many items": _filled(f'{{"{_KEY}":[', "1", "]}"),
    "a long key with many members": _numbered(f'{{"t":"ok","{_KEY}":{{', '"k%d":1', "}}"),
    "a long key with many nulls": _filled(f'{{"{_KEY}":[', "null", "]}"),
    "many long keys": lambda size: json.dumps({f"{_KEY}{n}": n for n in range(size // 20_010)}),
    "one very long key": _repeated('{"', "k", '":1}'),
    "one long string": _repeated('"', "x", '"'),
    "one long string in an object": _repeated('{"a":"', "x", '"}'),
    "a long string with quotes": _repeated('{"a":"', '\\"', '"}'),
    "a long string of NULs": _repeated('{"a":"', "\\u0000", '"}'),
    "a long string with one wide character": _repeated('{"a":"\\ud83d\\ude00', "x", '"}'),
    "lone surrogates": _repeated('{"a":"', "\\ud83d", '"}'),
    "wide characters": _repeated('{"a":"', "ж", '"}'),
    "very wide characters": _repeated('{"a":"', "😀", '"}'),
    "a refusal without end": _repeated('{"error":"', "I could not open the page. ", '"}'),
    "a refusal as a list": _filled('{"error":[', '"no"', "]}"),
    "a huge integer": _repeated("", "9", ""),
    "huge integers": lambda size: _filled("[", "9" * 5000, "]")(size),
    "not a number": _filled("[", "NaN", "]"),
    "deep lists": _nested("[", "", "]"),
    "deep objects": _nested('{"a":', "1", "}"),
    "deep and wide": lambda size: "[" * 60 + ",".join(["[{}]"] * (size // 5)) + "]" * 60,
    "brackets in a string": _repeated('{"a":"', "[{", '"}'),
    "JSON in a string": lambda size: json.dumps(_filled("[", "{}", "]")(size)),
    "JSON with quotes in a string": lambda size: json.dumps(
        _filled("[", '{"a":1}', "]")(size // 2)
    ),
    "white space": _repeated("[1,", " ", "1]"),
    "line ends": _repeated("[1,", "\n", "1]"),
    "separators": _repeated('{"a":"', ";", '"}'),
    "formulas behind separators": _repeated('{"a":"', ";=1", '"}'),
    "formulas": _filled("[", '"=1+1"', "]"),
    "a formula without end": _repeated('{"a":"=', "1+", '"}'),
    "mixed": _filled('{"a":[', '{"n":"name","p":1.10,"t":["a",null,true],"u":"\\u00e9"}', "]}"),
    "broken": _repeated("[", "{},", ""),
}


class _Nowhere:
    """A file that keeps nothing."""

    size = 0

    def write(self, data: bytes) -> int:
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        pass


def _job(result: str | None) -> FinishedJob:
    return FinishedJob(
        position=1,
        key="lamp",
        url="https://a.example/1",
        goal="Read the price",
        state=JobState.SUCCEEDED,
        attempts=1,
        result=result,
    )


def _receive(body: bytes) -> Run:
    reply = Reply(status=200, headers={}, body=body)
    found = client.observations_of(reply, ["r1"])
    run = found["r1"]
    assert isinstance(run, Run)
    return run


def _steps(run: Run) -> Mapping[str, Callable[[], Any]]:
    """Return the steps that a result goes through after it was received."""
    expectations = expectations_of(_SCHEMA, _EXPECT)
    jobs = [_job(run.result)]
    peers = [(1, PeerResult("https://a.example/1", "Read", run.result or ""))]
    text = f'{{"run_id":"r1","status":"COMPLETED","result":{run.result}}}'
    return {
        "judge": lambda: classify(run, expectations=expectations),
        "outliers": lambda: outliers(peers),
        **{
            name: lambda format=format: format.write(ExportTable(jobs=lambda: jobs), _Nowhere())
            for name, format in FORMATS.items()
            if all(map(find_spec, format.requires))
        },
        "rows": lambda: sum(1 for _ in result_rows(jobs)),
        "jobs": lambda: sum(1 for _ in job_results(jobs)),
        "show": lambda: _shown(text),
    }


def _shown(text: str) -> int:
    details = read_run_details(text)
    return sum(len(line) for line in run_lines(details)) if details else 0


# ---- memory ----


def _memory(name: str) -> float:
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def _peak(call: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return what a call returns, the peak of memory above that at its start, and its seconds."""
    Path("/proc/self/clear_refs").write_text("5")
    before, began = _memory("VmRSS"), time.process_time()
    result = call()
    return result, _memory("VmHWM") - before, time.process_time() - began


def answer_with(result: str) -> bytes:
    """Return the API's answer to a poll of one run."""
    return f'{{"data":[{{"run_id":"r1","status":"COMPLETED","result":{result}}}]}}'.encode()


def measured(answers: list[bytes]) -> Iterator[tuple[str, float, float]]:
    """Give each step with its peak of memory above that at its start, in MB, and its seconds."""
    body = answers.pop()
    run, peak, seconds = _peak(partial(_receive, body))
    del body
    yield "poll", peak, seconds
    for name, call in _steps(run).items():
        result, peak, seconds = _peak(call)
        yield (f"judge: {_verdict(result)}" if name == "judge" else name), peak, seconds
        del result


def _verdict(outcome: Outcome | None) -> str:
    if isinstance(outcome, Failed):
        return outcome.category
    return outcome.remark.code if outcome and outcome.remark else "good"


def text_of(shape: str, size: int) -> str:
    """Return a result of a shape, of about so many bytes."""
    return SHAPES[shape](size)


def largest_parsable(shape: str, most: int) -> str:
    """Return the largest result of a shape that is still parsed."""
    least = 1024
    while most - least > 64 * 1024:
        middle = (least + most) // 2
        least, most = (middle, most) if is_parsable(SHAPES[shape](middle)) else (least, middle)
    return SHAPES[shape](least)


def parse_everything() -> None:
    """Estimate nothing."""
    json_size.MAX_PARSED_BYTES = sys.maxsize


def parse_to_find_the_end() -> None:
    """Parse values of any length to find where they end."""
    raw_json.LONG_TEXT_LENGTH = sys.maxsize


BUGS = {each.__name__: each for each in (parse_everything, parse_to_find_the_end)}


def main() -> None:
    """Print the table; exit 1 if a step took more memory than allowed."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--mb", type=float, default=31)
    arguments.add_argument("--parsable", action="store_true", help="as large as is parsed at most")
    arguments.add_argument("--plant", choices=sorted(BUGS), help="a bug that must be caught")
    arguments.add_argument("shapes", nargs="*")
    given = arguments.parse_args()
    if given.plant:
        BUGS[given.plant]()
    size, over = int(given.mb * 1024**2), list[str]()
    # Beside what is allowed, the answer itself: once as bytes, and as text here and in the run.
    limit = int((_memory("VmSize") + 3 * given.mb + ALLOWED_MB) * 1024**2)
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    for shape in given.shapes or SHAPES:
        answers = [answer_with((largest_parsable if given.parsable else text_of)(shape, size))]
        length = len(answers[0]) / 1024**2
        found = list(measured(answers))
        cells = "  ".join(f"{name} {peak:.0f} MB {seconds:.1f} s" for name, peak, seconds in found)
        sys.stdout.write(f"{shape} ({length:.1f} MB):  {cells}\n")
        sys.stdout.flush()
        over += [f"{shape}: {name}" for name, peak, _ in found if peak > ALLOWED_MB]
    if over:
        sys.exit(f"over {ALLOWED_MB} MB: {', '.join(over)}")


if __name__ == "__main__":
    main()
