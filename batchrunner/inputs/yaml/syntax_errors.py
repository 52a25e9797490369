"""Explains YAML's own error messages to the author of a job file."""

from __future__ import annotations

import re
from typing import NamedTuple

from yaml import MarkedYAMLError, YAMLError

from batchrunner.inputs.problem_log import ProblemLog
from batchrunner.inputs.source import Source, SourcePosition


class _Meaning(NamedTuple):
    """The message for YAML's messages that contain one of the fragments."""

    fragments: tuple[str, ...]
    message: str
    tip: str | None = None
    at_opening: bool = False  #: point at the opening, not at where YAML stopped


_QUOTE = "quote the text, or write it as a block below `|`"
_COLUMN = "start it in the same column as the keys or `-` that it belongs to"

# libyaml and PyYAML's own loader word many messages differently; both wordings are here.
_MEANINGS = (
    _Meaning(
        ("unexpected end of stream", "unexpected document"),
        "this quote is never closed",
        "add the closing quote; inside '…' write '' for one",
        at_opening=True,
    ),
    _Meaning(
        ("tab character",),
        "a tab stands where YAML wants spaces",
        "indent with spaces",
    ),
    _Meaning(
        ("unknown escape", "invalid Unicode", "hexdecimal", "hexadecimal", "chr()"),
        "double quotes do not know this escape",
        "write `\\\\` for a backslash, or use single quotes",
    ),
    _Meaning(
        ("expected ',' or ']'",),
        "this list is not closed, or a `,` is missing",
        "close it with `]`; quote text that starts with `[`",
        at_opening=True,
    ),
    _Meaning(
        ("expected ',' or '}'",),
        "this mapping is not closed, or a `,` is missing",
        "close it with `}`; quote text that starts with `{`",
        at_opening=True,
    ),
    _Meaning(
        ("could not find expected ':'",),
        "this line is not `key: value`",
        "write a space behind the `:`; indent a text's further lines",
        at_opening=True,
    ),
    _Meaning(
        ("sequence entries are not allowed",),
        "a list cannot start here",
        "put the `-` on a line of its own; quote text that starts with `- `",
    ),
    _Meaning(
        ("alphabetic or numeric",),
        "`*` and `&` mean an alias and an anchor here",
        "quote text that starts with `*` or `&`",
        at_opening=True,
    ),
    _Meaning(
        ("undefined tag handle",),
        "`!` means a tag here",
        "quote text that starts with `!`",
    ),
    _Meaning(
        ("chomping", "comment or line break"),
        "only line breaks may follow `|` and `>`",
        "start the text on the next line, indented",
        at_opening=True,
    ),
    _Meaning(
        ("node content",),
        "a value is missing here",
        "quote text that starts with `]` or `}`",
    ),
    _Meaning(
        ("<document start>",),
        "this does not belong to what stands above",
        "a job file is one list or one mapping",
    ),
)

_FIRST_ON_LINE = re.compile(r"[ \t]*(?:- +)*(?:\"[^\"]*\"|'[^']*'|[^\s:'\"]+)[ \t]*")


def explain(error: YAMLError, source: Source, log: ProblemLog) -> None:
    """Report the syntax error that ended the reading, in plain words."""
    if not isinstance(error, MarkedYAMLError) or error.problem_mark is None:
        log.add_at(f"this is not YAML: {error}", SourcePosition(0, 0))
        return
    at = SourcePosition(error.problem_mark.line, error.problem_mark.column)
    meaning = _meaning(error.problem or "", source, at)
    if meaning.at_opening and error.context_mark is not None:
        at = SourcePosition(error.context_mark.line, error.context_mark.column)
    log.add_at(meaning.message, at, tip=meaning.tip)


def _meaning(problem: str, source: Source, at: SourcePosition) -> _Meaning:
    line = source.line(at.line)
    if "mapping values are not allowed" in problem:
        return _stray_colon(line, at)
    if "cannot start any token" in problem:
        return _stray_character(line[at.column : at.column + 1])
    if "expected key" in problem or "expected <block end>" in problem or "'-'" in problem:
        return _misplaced(line[: at.column])
    for meaning in _MEANINGS:
        if any(fragment in problem for fragment in meaning.fragments):
            return meaning
    return _Meaning((), f"this is not YAML: {problem}")


def _stray_colon(line: str, at: SourcePosition) -> _Meaning:
    if at.line and _FIRST_ON_LINE.fullmatch(line[: at.column]):
        return _Meaning((), "this line is indented deeper than the one it belongs to", _COLUMN)
    return _Meaning((), "`: ` inside text that is not quoted", _QUOTE)


def _stray_character(character: str) -> _Meaning:
    if character == "\t":
        return _Meaning((), "a tab stands where YAML wants spaces", "indent with spaces")
    return _Meaning((), f"text cannot start with `{character}`", _QUOTE)


def _misplaced(before: str) -> _Meaning:
    if before.strip(" -"):
        return _Meaning((), "text goes on behind a value that is complete", _QUOTE)
    return _Meaning((), "this line is indented differently from those above it", _COLUMN)
