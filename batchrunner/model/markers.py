"""The marker in a goal: it names the batch, the submission, the position and the job of a run."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii as _string
from typing import Any

#: Lower case, without letters that look like digits or like each other.
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
#: Lengths of the parts. A million jobs have two equal digests once in 2,000 files.
BATCH_LENGTH, SUBMISSION_LENGTH, POSITION_LENGTH, DIGEST_LENGTH = 7, 9, 2, 10
#: Characters of a whole marker.
MARKER_LENGTH = 40
#: Stands between a goal and its marker.
GAP = "\n\n"

_DIGIT = "[0-9a-hjkmnp-tv-z]"
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
#: A marker in a goal. The second form is that of versions before 0011: a submission and a position.
_MARKER = re.compile(
    r"\[ref\s+(?:br-(?P<batch>[0-9a-z]+)-(?P<submission>[0-9a-z]+)"
    rf"-(?P<position>{_DIGIT}{{{POSITION_LENGTH}}})-(?P<job>{_DIGIT}{{{DIGEST_LENGTH}}})"
    r"|br-(?P<old>[0-9a-z]+)-(?P<index>[0-9]{1,9}))\]",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Marker:
    """A marker in its parts; `batch` and `job` are None in the form of older versions."""

    batch: str | None
    submission: str
    position: int  #: in the create request, from 1
    job: str | None  #: digest of the job

    @property
    def token(self) -> str:
        """The part that names the submission, as the database stores it."""
        return self.submission if self.batch is None else f"{self.batch}-{self.submission}"

    @property
    def text(self) -> str:
        """The marker as it stands in a goal."""
        if self.job is None:
            return f"[ref br-{self.token}-{self.position}]"
        return f"[ref br-{self.token}-{_digits(self.position, POSITION_LENGTH)}-{self.job}]"


def submission_token(batch: str, submission: str) -> str:
    """Return the part of a marker that names a submission, from two random tokens."""
    return f"{batch}-{submission}"


def marker(token: str, position: int, job: str) -> str:
    """Return the text that a submission appends to a goal to find the run again."""
    batch, _, submission = token.partition("-")
    return Marker(batch=batch, submission=submission, position=position, job=job).text


def old_marker(token: str, position: int) -> str:
    """Return the marker that an older version appends for a submission."""
    return Marker(batch=None, submission=token, position=position, job=None).text


def marked_goal(goal: str, marker_text: str | None) -> str:
    """Return the goal to send for a job's goal; None: without a marker."""
    return goal if marker_text is None else f"{goal}{GAP}{marker_text}"


def markers_in(goal: str | None) -> list[Marker]:
    """Return all markers in a goal, whatever their case and the white space in them."""
    return [_marker_of(match) for match in _MARKER.finditer(goal or "")]


def marker_in(goal: str | None) -> str | None:
    """
    Return the marker in a goal that the API returned; None if there is none.

    The last one counts: the user's own text may contain another, copied from somewhere.
    """
    found = markers_in(goal)
    return found[-1].text if found else None


def batch_prefix(batch: str) -> str:
    """Return the part of the marker that all runs of a database's batch share, to search for."""
    return f"br-{batch}-"


def marker_prefix(token: str) -> str:
    """Return the part of the marker that all runs of a submission share, to search for."""
    return f"br-{token}-"


def marker_search(marker_text: str) -> str:
    """Return the part of a marker that only one run has, to search for."""
    return marker_text.removeprefix("[ref ").removesuffix("]")


def job_search(digest: str) -> str:
    """Return the part of the marker that all runs of a job share in all databases."""
    return f"-{digest}"


def job_digest(url: str, goal: str, options: Mapping[str, Any]) -> str:
    """Return the digest that names a job in markers: the same in every database and version."""
    return job_digests_with(options)(url, goal)


def job_digests_with(options: Mapping[str, Any]) -> Callable[[str, str], str]:
    """Return a function that gives that digest of a url and a goal with these options."""
    options_text = _canonical(options)

    def digest(url: str, goal: str) -> str:
        content = f'{{"goal":{_string(goal)},"options":{options_text},"url":{_string(url)}}}'
        number = int.from_bytes(hashlib.sha256(content.encode()).digest(), "big")
        return _digits(number % len(ALPHABET) ** DIGEST_LENGTH, DIGEST_LENGTH)

    return digest


def _digits(number: int, length: int) -> str:
    digits = ""
    for _ in range(length):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits


def _marker_of(match: re.Match[str]) -> Marker:
    parts = {name: part and part.lower() for name, part in match.groupdict().items()}
    if parts["old"] is not None:
        return Marker(batch=None, submission=parts["old"], position=int(parts["index"]), job=None)
    position = 0
    for digit in parts["position"]:
        position = position * len(ALPHABET) + ALPHABET.index(digit)
    return Marker(
        batch=parts["batch"],
        submission=parts["submission"],
        position=position,
        job=parts["job"],
    )
