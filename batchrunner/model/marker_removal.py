"""Removes our markers from what agents and the API return; all other text stays as it is."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from batchrunner.model.markers import DIGEST_LENGTH, POSITION_LENGTH, SUBMISSION_LENGTH, markers_in
from batchrunner.model.runs import ApiFault, CreateAnswer, Created, Refused, Run, Unanswered

_DECODER = json.JSONDecoder(strict=False)
#: A JSON string, with what shows its place: the character before and after it.
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_TOKEN = re.compile(_STRING.pattern + r"|[{}\[\]]", re.DOTALL)
_COLON = re.compile(r"\s*:")
#: Stands for a list entry to leave out; stored text has no such character.
_DROPPED = "\0"
_DROPPED_ENTRY = re.compile(r"\0\s*,\s*|,\s*\0|\0")
#: What a program may put between two characters, and between two parts, of a marker.
_BREAK = r"[\s\u00ad\u200b\u2060\ufeff]*"
_SEPARATOR = (
    r"(?:[\s_+\-\u00ad\u2010-\u2015\u2212\u200b\u2060\ufe58\ufe63\ufeff\uff0d]|%20|%2D|%0A|&nbsp;)"
)
_OPENING = r"\\?\[|%5B|%255B|&\#91;|&\#x5B;|&lbrack;|&lsqb;|\("
_CLOSING = r"\\?\]|%5D|%255D|&\#93;|&\#x5D;|&rbrack;|&rsqb;|\)"
_ESCAPED_SPACES = ("\\n", "\\r", "\\t")
_CODED_SPACES = ("+", "%20", "%0A", "%0a", "%0D", "%0d")
#: The same, and as JSON text escapes it.
_RAW_BREAK = r"(?:[\s\u00ad\u200b\u2060\ufeff]|\\[nrtfv]|\\u[0-9a-f]{4})*"
#: Lists and objects inside each other, up to which equal keys are distinguished.
_MAX_DEPTH = 1000
#: A letter or digit that JSON text shows as its number.
_RAW_ESCAPE = re.compile(r"\\u00[2-7]", re.IGNORECASE)


class _Removal(NamedTuple):
    """How to find the markers of one batch, and one of them in any form."""

    marker: str
    token: str  #: all its markers contain this

    def may_be_in(self, text: str, start: int = 0, end: int = sys.maxsize) -> bool:
        """Return whether there may be a marker in text or JSON text; the check is quick."""
        found = _token_pattern(self.token).search(text, start, end)
        return bool(found or _RAW_ESCAPE.search(text, start, end))

    @property
    def pattern(self) -> re.Pattern[str]:
        """What finds each marker; it takes ten milliseconds to make."""
        return _marker_pattern(self.marker)


def without_marker(result: str | None, marker: str | None) -> str | None:
    """
    Return a result's JSON text without markers in its strings and keys.

    *marker* is that of the run's goal; other markers of its batch are removed too. Text that is
    equal in every other respect stays the same, to the last digit and space. An entry of a list
    that is nothing but a marker is left out.
    """
    if result is None or marker is None or not _may_have(result, marker):
        return result
    removal = _removal(marker)
    if removal is None or not removal.may_be_in(result):
        return result
    changed_keys: set[str] = set()
    pieces: list[str] = []
    done = 0
    for match in _STRING.finditer(result):
        plain = _cleaned(match, removal)
        if plain is None:
            continue
        is_key = _COLON.match(result, match.end()) is not None
        if is_key:
            changed_keys.add(plain)
        left_out = not plain and not is_key and _is_list_entry(result, match.start())
        pieces += [result[done : match.start()], _DROPPED if left_out else json.dumps(plain)]
        done = match.end()
    plain_text = _DROPPED_ENTRY.sub("", "".join([*pieces, result[done:]]))
    return _with_distinct_keys(plain_text, changed_keys) if changed_keys else plain_text


def _may_have(result: str, marker: str) -> bool:
    """Return whether a result may have a marker, before that one is taken apart: most have none."""
    _, _, rest = marker.partition("-")
    token = rest.partition("-")[0].removesuffix("]")
    escaped = "\\u00" in result or "\\U00" in result
    return bool(_token_pattern(token).search(result) or (escaped and _RAW_ESCAPE.search(result)))


def _cleaned(literal: re.Match[str], removal: _Removal) -> str | None:
    """Return what a JSON string is without markers; None if it has none."""
    text, start, end = literal.string, literal.start(), literal.end()
    if not removal.may_be_in(text, start, end):
        return None
    value = _decoded(literal.group())
    plain = None if value is None else _without(value, removal)
    return None if plain == value else plain


def _is_list_entry(text: str, start: int) -> bool:
    """Return whether the value at *start* is an entry of a list; it is no key."""
    before = start - 1
    while before >= 0 and text[before].isspace():
        before -= 1
    return before >= 0 and text[before] in "[,"


def without_markers(text: str, markers: Iterable[str | None]) -> str:
    """Return a message without the markers that it repeats."""
    for marker in markers:
        removal = _removal(marker) if marker else None
        text = _without(text, removal) if removal else text
    return text


def unmarked_run(run: Run, marker: str | None) -> Run:
    """Return a run as it is judged: what the agent and the API say of it, without markers."""
    if marker is None:
        return run
    error = run.error and replace(
        run.error,
        message=without_markers(run.error.message, [marker]),
        code=run.error.code and without_markers(run.error.code, [marker]),
    )
    errors = run.schema_errors and tuple(
        without_markers(each, [marker]) for each in run.schema_errors
    )
    result = without_marker(run.result, marker)
    if result == run.result and error == run.error and errors == run.schema_errors:
        return run  # as most are; a copy takes longer than these comparisons
    return replace(run, result=result, error=error, schema_errors=errors)


def unmarked_answer(answer: CreateAnswer, markers: Iterable[str | None]) -> CreateAnswer:
    """Return a create's answer without the markers that its messages repeat."""
    match answer:
        case Created():
            return answer
        case Refused(fault=fault):
            return Refused(fault=_unmarked_fault(fault, [*markers]))
        case Unanswered(fault=fault):
            return Unanswered(fault=_unmarked_fault(fault, [*markers]))


def unmarked_goal(goal: str) -> str:
    """Return the goal of a run without the marker that stands at its end."""
    found = markers_in(goal)
    if not found or not goal.rstrip().lower().endswith(found[-1].text):
        return goal
    return goal[: goal.rstrip().lower().rindex(found[-1].text)].rstrip()


def _unmarked_fault(fault: ApiFault, markers: list[str | None]) -> ApiFault:
    issues = {index: without_markers(text, markers) for index, text in fault.issues.items()}
    return replace(fault, message=without_markers(fault.message, markers), issues=issues)


def _removal(marker: str) -> _Removal | None:
    # The token is the batch's; in the form of older versions it is the submission's.
    return _Removal(marker, _parts(marker)[1]) if markers_in(marker) else None


def _parts(marker: str) -> list[str]:
    return marker.removeprefix("[ref ").removesuffix("]").split("-")


@lru_cache(maxsize=128)
def _token_pattern(token: str) -> re.Pattern[str]:
    return re.compile(_RAW_BREAK.join(token), re.IGNORECASE)


@lru_cache(maxsize=512)
def _marker_pattern(marker: str) -> re.Pattern[str]:
    parts = _parts(marker)
    if markers_in(marker)[0].job is None:
        index = r"[0-9]{1,3}(?![0-9a-z])"
        return _pattern_of([f"{_SEPARATOR}*".join([*map(_broken, parts[:2]), index])])
    other = [
        f"[0-9a-z]{{{length}}}" for length in (SUBMISSION_LENGTH, POSITION_LENGTH, DIGEST_LENGTH)
    ]
    part = "(?:-[0-9a-z]{1,%d}%s)?"
    cut = part % (SUBMISSION_LENGTH, part % (POSITION_LENGTH, part % (DIGEST_LENGTH, "")))
    return _pattern_of(
        [
            f"{_SEPARATOR}*".join(map(_broken, parts)),
            f"{_SEPARATOR}+".join(["br", parts[1], *other]) + "(?![0-9a-z])",
            f"br-{parts[1]}{cut}-?(?![0-9a-z])",
        ]
    )


def _broken(part: str) -> str:
    return _BREAK.join(map(re.escape, part))


def _pattern_of(forms: Iterable[str]) -> re.Pattern[str]:
    return re.compile(
        rf"(?:(?P<coded>%(?:25)?5B)|(?P<open>{_OPENING})\s*)?"
        rf"(?:(?:(?<![0-9a-z])|(?<=5B)){_broken('ref')}(?:erence)?(?:[:#.=]|{_SEPARATOR})*)?"
        rf"(?:{'|'.join(forms)})"
        rf"(?(open)\s*(?:{_CLOSING})?|(?(coded)(?:%(?:25)?5D)?|(?P<bracket>\])?))(?P<after>\s*)",
        re.IGNORECASE,
    )


def _without(text: str, removal: _Removal) -> str:
    if not removal.may_be_in(text):
        return text
    pieces: list[str] = []
    done = 0
    for match in removal.pattern.finditer(text):
        before = text[done : match.start()]
        plain = _without_gap(before, match)
        if match["bracket"] and before.count("[") > before.count("]"):
            plain += "]"  # it closes another bracket than the marker's own
        after = match["after"]
        if not plain and not any(pieces):
            after = ""
        elif not after and text[match.end() : match.end() + 1].isalnum():
            after = before[len(before.rstrip()) :]
        pieces += [plain, after]
        done = match.end()
    return "".join([*pieces, text[done:]]) if pieces else text


def _without_gap(before: str, marker: re.Match[str]) -> str:
    """Return the text before a marker without the space between both."""
    gaps = _CODED_SPACES if marker["coded"] else _ESCAPED_SPACES
    if not marker["coded"]:
        before = before.rstrip()
        if not marker["open"] and before[-1:] in ("-", "_", "+") and before[-2:-1].isalnum():
            return before[:-1]  # words joined by dashes, as in addresses
    while before.endswith(gaps):
        before = before[: -len(next(gap for gap in gaps if before.endswith(gap)))]
    return before


def _decoded(literal: str) -> str | None:
    try:
        value = _DECODER.decode(literal)
    except ValueError:
        return None
    return value if isinstance(value, str) else None


def _with_distinct_keys(text: str, changed: set[str]) -> str:
    """Number the keys that were different before their markers were removed."""
    objects: list[dict[str, int]] = []  # keys of each, with the last number that one has got
    pieces: list[str] = []
    done = 0
    for token in _TOKEN.finditer(text):
        if token.group() in ("{", "["):
            objects.append({})
            if len(objects) > _MAX_DEPTH:
                return text  # nothing reads it value by value
        elif token.group() in ("}", "]"):
            del objects[-1:]
        elif objects and _COLON.match(text, token.end()):
            key = _decoded(token.group())
            if key not in changed:
                continue
            if key in objects[-1]:
                pieces += [text[done : token.start()], json.dumps(_numbered(key, objects[-1]))]
                done = token.end()
            objects[-1].setdefault(key, 1)
    return "".join([*pieces, text[done:]])


def _numbered(key: str, taken: dict[str, int]) -> str:
    number = taken[key] + 1
    while f"{key} ({number})" in taken:
        number += 1
    taken[key] = number
    taken[f"{key} ({number})"] = 1
    return f"{key} ({number})"
