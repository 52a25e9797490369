"""Opens a file as the table that its content shows it to be."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Final, NoReturn

from batchrunner.errors import UsageError
from batchrunner.inputs.job_fields import SECTIONS
from batchrunner.inputs.source import MAX_BYTES
from batchrunner.inputs.tables.content import HEAD_BYTES, Content, SeekableFile
from batchrunner.inputs.tables.csv_table import CsvTable
from batchrunner.inputs.tables.dialect import DELIMITER_NAMES
from batchrunner.inputs.tables.file_kinds import FileKind, binary_kind, text_kind
from batchrunner.inputs.tables.json_table import JsonLinesTable, open_json
from batchrunner.inputs.tables.place import Place
from batchrunner.inputs.tables.table import Row, Table, TableOptions
from batchrunner.inputs.tables.text import Text, read_text
from batchrunner.inputs.tables.url_list import UrlList, is_url_list
from batchrunner.inputs.tables.workbook import open_workbook

_NO_OPTIONS: Final = TableOptions()
_YAML_SUFFIXES: Final = (".yaml", ".yml")
_JSON_LINES_SUFFIXES: Final = (".jsonl", ".ndjson", ".jl")
_ZIP: Final = b"PK\x03\x04"
#: Bytes of an old Office file in which its parts are named.
_OLE_BYTES: Final = 8 * 1024**2
#: The first line of a job file: a list, a document, or a section.
_YAML_START = re.compile(
    r"-(?:[ \t]+[\w\"'{&*!].*)?|---.*|%YAML.*|"
    rf"[\"']?(?:{'|'.join(SECTIONS)}|url|goal)[\"']?[ \t]*:(?:[ \t].*)?"
)
#: The first line of other YAML.
_YAML_LINE = re.compile(r"[\"']?[\w -]+[\"']?:(?:[ \t]+.*)?|[&*!|>?].*")
_JSON_START = re.compile(r"\s*(?:\{\s*[\"}]|\[\s*(?:[\[{]\s*\"|[\"\]\d]))")


class JobFileText(Table):
    """A job file, for the YAML reader."""

    def __init__(self, file: str, text: bytes | str, digest: str) -> None:
        super().__init__(file=file, kind="yaml", digest=digest)
        self.text = text

    def _rows(self) -> Iterator[Row]:
        """Give nothing: the YAML reader reads the text."""
        return iter(())

    def place(self, row: Row, number: int | None) -> Place:
        """Return the start of the file."""
        return Place(1, 1, "", 1)


def open_table(stream: SeekableFile, *, file: str, options: TableOptions = _NO_OPTIONS) -> Table:
    """
    Return the table in *stream*, which belongs to it from now on; *file* is shown in problems.

    The kind is recognized by the content; of kind `yaml` it has only `text`, for the YAML reader.

    Raises:
        UsageError: The file is of another kind; the message names it, and the way out.
        JobFileErrors: Its encoding or its header cannot be used.
    """
    content = Content(stream, file)
    if not content.head:
        raise UsageError(
            f"{file} is empty",
            next="write a job file (`batchrunner init` makes one), or one url or row a line",
        )
    if content.head.startswith(_ZIP):
        return open_workbook(content, options)
    if kind := _binary_kind(content):
        _refuse(content, kind)
    if options.sheet is not None:
        raise UsageError(f"{file} is no workbook, so it has no sheets", next="leave out --sheet")
    text = read_text(content, options.encoding)
    return _text_table(text, options)


def _binary_kind(content: Content) -> FileKind | None:
    with content.open() as stream:
        rest = content.read_some(stream, _OLE_BYTES) if content.head[:1] == b"\xd0" else b""
    return binary_kind(content.head, rest_of_ole=rest)


def _text_table(text: Text, options: TableOptions) -> Table:
    sample = text.read(HEAD_BYTES)
    content = text.content
    if kind := text_kind(sample):
        _refuse(content, kind)
    if not sample.strip():
        raise UsageError(f"{content.name} has only blank lines", next="write one row a line")
    suffix = "." + content.name.lower().removesuffix(".gz").rpartition(".")[2]
    if options.delimiter is not None:
        return CsvTable(text, _delimiter(options.delimiter))
    if _JSON_START.match(sample) or JsonLinesTable.fits(sample):
        return _json_table(text, sample, suffix, options)
    if _is_yaml(sample, suffix):
        return _job_file(text)
    if is_url_list(sample):
        return UrlList(text)
    return CsvTable(text, None)


def _json_table(text: Text, sample: str, suffix: str, options: TableOptions) -> Table:
    if suffix in _JSON_LINES_SUFFIXES or JsonLinesTable.fits(sample):
        return JsonLinesTable(text)
    if suffix in _YAML_SUFFIXES and not options.is_table:
        return _job_file(text)
    return open_json(text, is_table=options.is_table) or _job_file(text)


def _job_file(text: Text) -> Table:
    content = text.content
    with content.open() as stream:
        data = content.read_some(stream, MAX_BYTES + 1)
    content.close()
    is_utf_8 = text.encoding in ("utf-8", "utf-8-sig")
    whole = data if is_utf_8 else data.decode(text.encoding, "replace")
    return JobFileText(content.name, whole, text.digest)


def _is_yaml(sample: str, suffix: str) -> bool:
    lines = (line.rstrip() for line in sample.splitlines())
    first = next((line for line in lines if line.strip() and line.lstrip()[0] != "#"), "")
    if _YAML_START.fullmatch(first.lstrip()):
        return True
    if suffix not in _YAML_SUFFIXES:
        return False
    return _YAML_LINE.fullmatch(first.lstrip()) is not None or not (
        is_url_list(sample) or any(each in first for each in ",;\t|")
    )


def _delimiter(given: str) -> str:
    found = DELIMITER_NAMES.get(given.lower(), given)
    if len(found) != 1 or found in '"\r\n':
        raise UsageError(
            f"the delimiter {given!r} is not one character",
            next="give the character between the cells: --delimiter ';' or --delimiter tab",
        )
    return found


def _refuse(content: Content, kind: FileKind) -> NoReturn:
    name = shlex.quote(content.name)
    raise UsageError(f"{content.name} is {kind.what}", next=kind.way_out.replace("FILE", name))
