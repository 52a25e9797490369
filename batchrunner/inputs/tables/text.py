"""Text as it is in a file: decoded, and its lines with their ends."""

from __future__ import annotations

import codecs
import hashlib
import io
import itertools
import shlex
from dataclasses import dataclass, replace
from typing import Final, NoReturn

from batchrunner.errors import UsageError
from batchrunner.inputs.tables.content import MAX_UNPACKED_BYTES, Content
from batchrunner.inputs.tables.encoding_guess import Guess, guesses, utf_16_without_mark
from batchrunner.inputs.tables.place import Place, problem_at
from batchrunner.model.problems import JobFileErrors

#: Maximum characters of a line of a table.
MAX_LINE_LENGTH: Final = 8 * 1024**2
_CHUNK_BYTES = 1024**2
#: Bytes around an undecodable one from which its encoding is guessed.
_EVIDENCE_BYTES = 64 * 1024
_SHOWN_BYTES = 60
#: Marks at the beginning of a file → its encoding. The longer ones begin as the shorter ones.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, kw_only=True)
class Text:
    """A file whose content is text."""

    content: Content
    encoding: str
    digest: str = ""
    long_line: int | None = None  #: the first line that is longer than MAX_LINE_LENGTH
    nul_line: int | None = None  #: the first line with a NUL character

    def lines(self) -> io.TextIOWrapper:
        """Return the lines from the first one on: each ends with its `\\n`, `\\r` or `\\r\\n`."""
        return io.TextIOWrapper(self.content.open(), encoding=self.encoding, newline="")

    def read(self, limit: int) -> str:
        """Return up to *limit* characters from the start."""
        with self.lines() as lines:
            return lines.read(limit)

    def check_lines(self) -> None:
        """
        Refuse lines that no table has.

        Raises:
            JobFileErrors: A line is too long, or has a NUL.
        """
        if self.long_line is not None:
            message = f"the line is longer than {MAX_LINE_LENGTH // 1024**2} MB"
            tip = "a table has one row a line: check what wrote the file"
            self._refuse_line(self.long_line, message, tip)
        if self.nul_line is not None:
            packed = shlex.quote(self.content.name)
            tip = f"remove them: tr -d '\\000' < {packed} > clean.csv"
            self._refuse_line(self.nul_line, "the line has NUL characters", tip)

    def _refuse_line(self, number: int, message: str, tip: str) -> NoReturn:
        with self.lines() as lines:
            for _ in itertools.islice(lines, number - 1):
                pass
            start = lines.readline(MAX_LINE_LENGTH).rstrip("\r\n")
        at = max(start.find("\0"), 0)
        place = Place(number, at + 1, start, at + 1, 1)
        raise JobFileErrors((problem_at(message, self.content.name, place, tip=tip),))


def read_text(content: Content, encoding: str | None) -> Text:
    """
    Decode a whole file once, a chunk at a time, and note what is odd in its lines.

    Without *encoding*, a mark at the start decides, else it is strict UTF-8.

    Raises:
        UsageError: There is no such encoding, or the file is too large.
        JobFileErrors: The bytes are not valid in the encoding.
    """
    known = _encoding(content, encoding)
    pass_ = _Pass(Text(content=content, encoding=known))
    if encoding is None and known == "utf-8" and (wide := utf_16_without_mark(content.head)):
        text = content.head[:_SHOWN_BYTES].decode(wide, "replace").splitlines()[0]
        raise UsageError(
            f"{content.name} is UTF-16 without the mark that says so",
            next=f"add --encoding {wide} if its first line is: {text}",
        )
    return pass_.run()


def _encoding(content: Content, given: str | None) -> str:
    marked = next((name for mark, name in _MARKS if content.head.startswith(mark)), None)
    if given is None:
        return marked or "utf-8"
    try:
        name = codecs.lookup(given).name
        "".encode(name)
        b"".decode(name)
    except (LookupError, ValueError) as error:
        raise UsageError(
            f"there is no encoding {given}",
            next="frequent ones are utf-8, cp1252, cp1251, cp932, gb18030 and utf-16-le",
        ) from error
    family = "-".join((marked or name).split("-")[:2])
    if marked and not name.startswith(family):
        raise UsageError(
            f"{content.name} begins with the mark of {family.upper()}, so it is not {given}",
            next="leave out --encoding",
        )
    if not marked and name in ("utf-16", "utf-32") and content.head:
        wide = utf_16_without_mark(content.head)
        raise UsageError(
            f"{content.name} begins without the mark that {given} needs",
            next=f"use --encoding {wide}" if wide else "leave out --encoding",
        )
    return marked or name


class _Pass:
    """One pass over the bytes of a text."""

    def __init__(self, text: Text) -> None:
        self._text = text
        self._decoder = codecs.getincrementaldecoder(text.encoding)()
        self._line = 1
        self._line_length = 0
        self._ended_in_cr = False

    def run(self) -> Text:
        """Return the text with what was noted."""
        digest = hashlib.sha256()
        offset = 0
        content = self._text.content
        with content.open() as stream:
            while True:
                chunk = content.read_some(stream, _CHUNK_BYTES)
                digest.update(chunk)
                self._note(self._decoded(chunk, offset))
                offset += len(chunk)
                if not chunk:
                    break
                if offset > MAX_UNPACKED_BYTES:
                    raise UsageError(
                        f"{content.name} has more than {MAX_UNPACKED_BYTES // 1024**3} GB of text",
                        next="split it into several files",
                    )
        return replace(self._text, digest=digest.hexdigest())

    def _decoded(self, chunk: bytes, offset: int) -> str:
        pending, _ = self._decoder.getstate()
        try:
            return self._decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            _refuse_bytes(self._text, offset - len(pending) + error.start)
        except UnicodeError as error:  # codecs such as IDNA do not say where
            raise UsageError(
                f"{self._text.content.name} is not valid {self._text.encoding}: {error}",
                next="save it as UTF-8, or name its encoding: --encoding cp1252",
            ) from error

    def _note(self, text: str) -> None:
        if self._text.nul_line is None and "\0" in text:
            before = text[: text.index("\0")]
            self._text = replace(self._text, nul_line=self._line + self._breaks(before))
        last = max(text.rfind("\n"), text.rfind("\r"))
        if last < 0:
            self._line_length += len(text)
            self._check_length()
        else:
            first = min(at for at in (text.find("\n"), text.find("\r")) if at >= 0)
            self._line_length += first
            self._check_length()
            self._line += self._breaks(text)
            self._line_length = len(text) - last - 1
        self._ended_in_cr = text.endswith("\r") if text else self._ended_in_cr

    def _check_length(self) -> None:
        if self._line_length > MAX_LINE_LENGTH and self._text.long_line is None:
            self._text = replace(self._text, long_line=self._line)

    def _breaks(self, text: str) -> int:
        found = text.count("\n")
        if "\r" in text:
            found += text.count("\r") - text.count("\r\n")
        return found - (self._ended_in_cr and text.startswith("\n"))


def _refuse_bytes(text: Text, offset: int) -> NoReturn:
    """Report the byte at *offset*, with the encodings that it may have."""
    content = text.content
    if text.encoding.startswith(("utf-16", "utf-32")):
        raise UsageError(
            f"{content.name} is not valid {text.encoding.upper()}: byte {offset + 1:,} is wrong, "
            "or the file is cut there",
            next="save it as UTF-8, or copy it anew",
        )
    number, line, evidence = _line_at(content, offset)
    start = offset - line[0]
    known = text.encoding.removesuffix("-sig")
    shown = line[1].decode(known, "backslashreplace")
    column = len(line[1][:start].decode(known, "replace"))
    byte = f"\\x{line[1][start]:02x}" if start < len(line[1]) else "the end of the file"
    message = f"the byte {byte} is not valid {known.upper()}"
    place = Place(number, column + 1, shown, column + 1, 4)
    around = line[1][max(0, start - _SHOWN_BYTES // 2) : start + _SHOWN_BYTES // 2]
    found = guesses(evidence, around.strip())
    problem = problem_at(message, content.name, place, tip=_encoding_tip(found))
    raise JobFileErrors((problem,)) from None


def _encoding_tip(found: list[Guess]) -> str:
    if not found:
        return "save the file as UTF-8, or name its encoding: --encoding NAME"
    ways = "; ".join(f"--encoding {each.encoding} if it reads: {each.text}" for each in found)
    return f"save the file as UTF-8, or add {ways}"


def _line_at(content: Content, offset: int) -> tuple[int, tuple[int, bytes], bytes]:
    """Return the line of a byte: its number, its start and its text; and bytes around it."""
    # In Latin-1 a character is a byte, and lines are found as in other text.
    with io.TextIOWrapper(content.open(), encoding="latin-1", newline="") as lines:
        start, number, line = 0, 0, ""
        while start + len(line) <= offset and (following := lines.readline(MAX_LINE_LENGTH)):
            start += len(line)
            number += 1
            line = following
        rest = lines.read(_EVIDENCE_BYTES)
    bad = line[max(0, offset - start - 1000) : offset - start + _EVIDENCE_BYTES]
    # A last line that is cut in the middle of a character proves nothing.
    whole, break_, _ = rest.rpartition("\n")
    evidence = bad + whole + break_ if len(rest) == _EVIDENCE_BYTES else bad + rest
    return number, (start, line.rstrip("\r\n").encode("latin-1")), evidence.encode("latin-1")
