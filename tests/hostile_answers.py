"""Answers about runs as no API should send them: odd values, spellings, repeated members, bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random  # noqa: TID251  # with a seed
from typing import Any

_IDS = ("run-1", "run-2", "r/3", "\u00e9-4", "", "x" * 300, "a\nb", "\ud800", "5", "run\u2028")
_TEXTS = (*_IDS, "COMPLETED", "running", " failed ", "null", "\0", "\U0001f600", "<b>", '"quoted"')
_TIMES = ("2026-11-30T22:00:00.000Z", "2026-11-30T22:00:00+02:00", "2026-11-30", "today", "")
_NUMBERS = (0, 1, 7, -1, 2**31, 2**63, 2**70, 4.0, 4.5, -0.0, 1e300, float("inf"), float("nan"))
_MEMBERS: dict[str, tuple[Any, ...]] = {
    "run_id": _IDS,
    "runId": _IDS,
    "id": _IDS,
    "status": ("COMPLETED", "RUNNING", "pending", "Canceled", "DONE", "timed_out", ""),
    "goal": ("Read the price", "Read \u00e9 [ref br-abc]", "a\0b", ""),
    "created_at": _TIMES,
    "started_at": _TIMES,
    "finished_at": _TIMES,
    "num_of_steps": _NUMBERS,
    "result": ({"price": 12.5}, [], "text", 0, False, {"a": {"b": [None, "\ud83d"]}}),
    "resultJson": ('{"price": 1}', {"price": 1}),
    "error": ({"message": "It broke", "category": "UNKNOWN", "retry_after": 3}, "broke", [], 1),
    "schema_validation": ({"valid": False, "errors": [{"path": "#/a", "message": "is bad"}]}, {}),
    "output_schema": ({"type": "object"}, [], "x"),
    "streaming_url": ("https://live.example/1", ""),
    "streamingUrl": ("https://live.example/2",),
    "help_url": ("https://help.example", "javascript:1", ""),
    "helpMessage": ("Try a profile", "", 0),
    "profile_hint": ("hint", {"message": "m", "reason": "r"}, {}),
    "profileHint": ({"setupUrl": "https://help.example"},),
    "steps": ([{"id": "1", "action": "click"}] * 2, [], None, 3),
    "video_url": (None, "https://video.example"),
}
_ODD: tuple[Any, ...] = (None, True, False, [], {}, "", [[]], {"a": {"a": 1}}, *_NUMBERS, *_TEXTS)


def _value(random: Random, usual: tuple[Any, ...]) -> str:
    value = random.choice(usual if random.random() < 0.9 else _ODD)
    text = json.dumps(value, ensure_ascii=random.random() < 0.5)
    return random.choice((" ", "\n", "\t \r")) + text + " " if random.random() < 0.1 else text


def _name(random: Random, name: str) -> str:
    if random.random() < 0.03:
        name = f"\\u{ord(name[0]):04x}{name[1:]}"
    return f'"{name}"'


def _run(random: Random) -> str:
    if random.random() < 0.03:
        return _value(random, _ODD)
    names = ["run_id", "status", *random.sample(sorted(_MEMBERS), random.randrange(14))]
    names += random.sample(names, 1) if random.random() < 0.1 else []
    pairs = (f"{_name(random, name)}:{_value(random, _MEMBERS[name])}" for name in names)
    return "{" + ",".join(pairs) + "}"


def _page(random: Random) -> str:
    runs = ",".join(_run(random) for _ in range(random.randrange(4)))
    members = [f'"data": [{runs}]']
    if random.random() < 0.5:
        members.append(f'"not_found": {_value(random, (["run-1"], ["run-2", 5, None], []))}')
    if random.random() < 0.5:
        pages = ({"has_more": True, "next_cursor": "c", "total": 9}, {"has_more": False}, {})
        members.append(f'"pagination": {_value(random, pages)}')
    if random.random() < 0.1:
        members.append(random.choice(('"data": null', '"data": []', '"error": null', '"a": {}')))
    random.shuffle(members)
    return "{" + ", ".join(members) + "}"


#: Changes of an answer's bytes, each at a random place.
_SPOILED: tuple[Callable[[bytes, int], bytes], ...] = (
    lambda body, at: body[:at],
    lambda body, at: body[:at] + body[at + 1 :],
    lambda body, at: body[:at] + b"\xff" + body[at:],
    lambda body, at: body[:at] + b"\xe2\x82" + body[at:],
    lambda body, at: body[:at] + b"\\" + body[at:],
    lambda body, at: body[:at] + b"\0" + body[at:],
    lambda body, at: body[:at] + b'"' + body[at:],
    lambda body, at: body[:at] + b"," + body[at:],
    lambda body, at: body[:at] + b"[" + body[at:],
    lambda body, at: body[:at] + b"}" + body[at:],
    lambda body, at: body[:at] + b"NaN" + body[at:],
    lambda body, at: body[:at] + b"0" + body[at:],
    lambda body, at: body[:at] + b"\n" + body[at:],
    lambda body, at: body.replace(b'"result"', b'"result":' + b"[" * 900 + b"]" * 900 + b',"a"'),
    lambda body, at: body.replace(b'"error"', b'"error":' + b'{"a":' * 400 + b"1" + b"}" * 400),
    lambda body, at: b"\xef\xbb\xbf" + body,
    lambda body, at: body + b" x",
)


def hostile_answer(random: Random) -> bytes:
    """Return the body of an answer about runs, most of which no reader should trust."""
    body = _page(random).encode("utf-8", "surrogatepass")
    for _ in range(random.choice((0, 0, 0, 1, 1, 2))):
        body = random.choice(_SPOILED)(body, random.randrange(len(body) + 1))
    return body
