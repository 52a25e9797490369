"""The text of a job file: decoding, positions, and lines as YAML counts them."""

from __future__ import annotations

import re
from functools import cached_property
from typing import NamedTuple, NoReturn

from batchrunner.model.problems import JobFileErrors, Problem

#: Maximum size of a job file in bytes, or in characters if it is given as text.
MAX_BYTES = 64 * 1024 * 1024

_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
#: Characters that YAML does not allow anywhere, in libyaml and in the pure loader.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
#: An astral character as JSON writers escape it, which YAML's escapes do not know.
_SURROGATES = re.compile(
    r"(?<!\\)(?P<escaped>(?:\\\\)*)"
    r"\\u(?P<high>[dD][89abAB][0-9a-fA-F]{2})\\u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2})"
)
_BYTE_ORDER_MARK = "\ufeff"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


class SourcePosition(NamedTuple):
    """A position as in YAML's marks: line and column from 0."""

    line: int
    column: int


class Source:
    """The text of a job file and the name to show for it."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file

    @cached_property
    def _lines(self) -> list[str]:
        return _LINE_BREAK.split(self.text)

    def line(self, number: int) -> str:
        """Return a line, counted from 0; empty after the last line, where YAML ends the stream."""
        return self._lines[number] if number < len(self._lines) else ""

    def position(self, index: int) -> SourcePosition:
        """Return the position of the character at *index*."""
        before = _LINE_BREAK.split(self.text[:index])
        return SourcePosition(len(before) - 1, len(before[-1]))

    def problem_at(
        self, message: str, at: SourcePosition, *, width: int = 1, tip: str | None = None
    ) -> Problem:
        """Return a problem with its source line."""
        return Problem(
            file=self.file,
            line=at.line + 1,
            column=at.column + 1,
            message=message,
            source_line=self.line(at.line),
            width=max(width, 1),
            tip=tip,
        )


def decode(data: bytes | str, file: str) -> Source:
    """Return the text of a job file, ready for the YAML parser.

    Raises JobFileErrors with the problem that makes it unreadable.
    """
    if len(data) > MAX_BYTES:
        _refuse(Source("", file), "the file is larger than 64 MB", 0, "split it into several files")
    source = Source((_utf_8(data, file) if isinstance(data, bytes) else data), file)
    source.text = source.text.removeprefix(_BYTE_ORDER_MARK)
    if source.text.lstrip()[:1] in ("{", "["):
        source.text = _SURROGATES.sub(_joined, source.text)
    if bad := _FORBIDDEN.search(source.text):
        shown = bad[0].encode("unicode_escape").decode()
        tip = f'remove it, or write "{shown}" inside double quotes'
        _refuse(source, f"the character {shown} is not allowed in YAML", bad.start(), tip)
    return source


def _utf_8(data: bytes, file: str) -> str:
    if data.startswith(_UTF_16) or b"\0" in data[:2]:
        _refuse(Source("", file), "the file is UTF-16, not UTF-8", 0, "save it as UTF-8")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        # Everything before the bad byte is valid, so its index in the text is known.
        source = Source(data.decode(errors="backslashreplace"), file)
        index = len(data[: error.start].decode())
        byte = f"\\x{data[error.start]:02x}"
        _refuse(source, f"the byte {byte} is not valid UTF-8", index, "save the file as UTF-8")


def _joined(pair: re.Match[str]) -> str:
    high, low = int(pair["high"], 16), int(pair["low"], 16)
    return f"{pair['escaped']}\\U{0x10000 + (high - 0xD800) * 0x400 + low - 0xDC00:08X}"


def _refuse(source: Source, message: str, index: int, tip: str) -> NoReturn:
    raise JobFileErrors((source.problem_at(message, source.position(index), tip=tip),)) from None
