"""Results that break parsers, databases and spreadsheets, in the place of real results."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from batchrunner.sandbox.seeded_random import seeded_id, seeded_share

HOSTILE_RESULTS: Mapping[str, bytes] = {
    "half_character": rb'{"name": "\ud83d", "\udc00": 1}',
    "not_a_number": b'{"price": NaN, "least": -Infinity}',
    "too_large": b"[1e400, -1e400]",
    "many_digits": b'{"id": ' + b"7" * 5_000 + b"}",
    "above_64_bits": b'{"id": 18446744073709551616}',
    "deep": b"[" * 2_000 + b"]" * 2_000,
    "raw_control": b'{"text": "a\x00b\x01c\x1fd\x7f"}',
    "no_utf8": b'{"text": "caf\xe9 \xff\xc3"}',
    "nul": rb'{"text": "a\u0000b"}',
    "line_separator": '{"text": "a\u2028b\u2029c\x85"}'.encode(),
    "formula": rb'{"text": "=HYPERLINK(\"http://a.test\",\"a\")\r\n"}',
}
#: Three of these in one answer are more than the client accepts.
HUGE = "huge"
_HUGE_BYTES = 12_000_000


@dataclass(kw_only=True)
class HostileResults:
    """Puts hostile results into answers: for each run the same in every answer."""

    seed: int
    rate: float  #: share of the runs that get one of HOSTILE_RESULTS
    huge: float  #: share of the runs that get a very long one
    fired: Counter[str]
    served: dict[str, bytes] = field(
        default_factory=dict
    )  #: the results that were served, by run id

    def put_into(self, response: httpx.Response) -> httpx.Response:
        """Return the answer with the results of some runs replaced."""
        body = _shown(response)
        hostile: dict[str, bytes] = {}
        for run in body.get("data", [body]):
            kind = self._kind(run["run_id"]) if run.get("result") is not None else None
            if kind is not None:
                run["result"] = seeded_id("poison", run["run_id"])
                hostile[run["result"]] = self._serve(run["run_id"], kind)
        if not hostile:
            return response
        content = json.dumps(body).encode()
        for mark, result in hostile.items():
            content = content.replace(b'"' + mark.encode() + b'"', result)
        return httpx.Response(response.status_code, content=content)

    def _kind(self, run_id: str) -> str | None:
        if seeded_share(self.seed, HUGE, run_id) < self.huge:
            return HUGE
        if seeded_share(self.seed, "poison", run_id) >= self.rate:
            return None
        return list(HOSTILE_RESULTS)[
            int(seeded_share(self.seed, "kind", run_id) * len(HOSTILE_RESULTS))
        ]

    def _serve(self, run_id: str, kind: str) -> bytes:
        if run_id not in self.served:
            self.fired[kind] += 1
            huge = b'"' + b"x" * _HUGE_BYTES + b'"'
            self.served[run_id] = huge if kind == HUGE else HOSTILE_RESULTS[kind]
        return self.served[run_id]


def _shown(response: httpx.Response) -> dict[str, Any]:
    """Return the body of an answer that shows runs; an empty list for any other answer."""
    try:
        body = json.loads(response.content)
    except ValueError:
        body = None
    shows = isinstance(body, dict) and ("data" in body or "run_id" in body)
    return body if shows else {"data": []}
