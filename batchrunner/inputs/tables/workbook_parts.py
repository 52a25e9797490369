"""The parts of an .xlsx file, unpacked within bounds before anything else reads them."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple
from xml.etree import ElementTree

from batchrunner.errors import UsageError
from batchrunner.inputs.tables.content import Content
from batchrunner.inputs.tables.file_kinds import WORKBOOK, FileKind, archive_kind

#: Maximum bytes of a workbook, and of all its parts that are read, unpacked.
MAX_FILE_BYTES: Final = 256 * 1024**2
MAX_UNPACKED_PARTS: Final = 512 * 1024**2
#: Maximum rows times columns of a sheet: calamine keeps them all, also the empty ones.
MAX_SHEET_CELLS: Final = 28_000_000
_MAX_INDEX_BYTES: Final = 4 * 1024**2
_CHUNK_BYTES: Final = 1024**2
_LOCAL_HEADER = struct.Struct("<4s22xHH")

_CELL_WITH_VALUE = re.compile(rb"<(?:\w+:)?c [^>/]*>")
#: Cells far from the first one, which tell how large a sheet is; not empty ones.
_FAR_CELL = re.compile(
    rb"<(?:\w+:)?c\s[^>]*?\br\s*=\s*[\"']([A-Za-z]{2,}[0-9]+|[A-Za-z]+[0-9]{6,})[\"'](?![^>]*/>)"
)
#: The same where all cells are written in the usual way, which is found five times as fast.
_USUAL_FAR_CELL = re.compile(rb'<c r="([A-Za-z]{2,}[0-9]+|[A-Za-z][0-9]{6,})"(?![^>]*/>)')
#: Rows far from the first one whose cells have no names.
_FAR_ROW = re.compile(
    rb"<(?:\w+:)?row\s[^>]*?\br\s*=\s*[\"']([0-9]{6,})[\"'][^>]*>\s*"
    rb"<(?:\w+:)?c(?![^>]*\sr\s*=)(?![^>]*/>)"
)
#: A number of entries that a writer announces; memory is reserved for them.
_HUGE_COUNT = re.compile(rb"ount\s*=\s*[\"'][0-9]{8,}")
_ERROR = re.compile(
    rb"<(?:\w+:)?c (?=[^>]*\bt=\"e\")[^>]*?\br=\"([A-Z]+[0-9]+)\"[^>]*>(.*?)</(?:\w+:)?c>",
    re.DOTALL,
)
_ERROR_TEXT = re.compile(rb"<(?:\w+:)?v>([^<]*)")
#: A cell with a formula and no value, as programs write it that do not calculate.
_NO_RESULT = re.compile(
    rb"<(?:\w+:)?c [^>]*?\br=\"([A-Z]+[0-9]+)\"[^>]*>\s*"
    rb"<(?:\w+:)?f(?:/>| [^>]*/>|[^>]*>[^<]*</(?:\w+:)?f>)\s*"
    rb"(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v></(?:\w+:)?v>)?\s*</(?:\w+:)?c>"
)
_CELL_ATTRIBUTES = re.compile(rb"<(?:\w+:)?c ([^>/]*)>")
_STYLE = re.compile(rb"\bs=\"([0-9]+)\"")
_REFERENCE = re.compile(rb"\br=\"([A-Z]+[0-9]+)\"")
_ZEROS = re.compile("0{2,20}")
_HIDDEN_ROW = re.compile(rb"<(?:\w+:)?row [^>]*\bhidden=\"(?:1|true)\"[^>]*")
_ROW_NUMBER = re.compile(rb" r=\"([0-9]{1,7})\"")
_CELL_NAME = re.compile(r"([A-Z]+)([0-9]+)")


class SheetScan(NamedTuple):
    """What calamine does not tell of a sheet."""

    errors: dict[tuple[int, int], str]  #: (row, column) from 1 → an error such as `#N/A`
    hidden_rows: int
    first_hidden: int | None  #: the number of the first of them, if the sheet gives it
    #: (row, column) → digits that its number is shown with: `00000` shows 123 as 00123.
    digits: dict[tuple[int, int], int]


class WorkbookParts:
    """The parts of a workbook."""

    def __init__(self, content: Content, stream: BinaryIO) -> None:
        self._content = content
        self._stream = stream
        self._unpacked = 0
        try:
            self._zip = zipfile.ZipFile(stream)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise self._damaged(str(error)) from error
        self._members = {each.filename: each for each in self._zip.infolist()}

    def kind(self) -> FileKind | None:
        """Return what the archive is, if that is no workbook that can be read."""
        mimetype = b""
        if "mimetype" in self._members:
            mimetype = b"".join(self._unpack("mimetype", 1024))
        kind = archive_kind(list(self._members), mimetype)
        if kind is None and any(each.flag_bits & 1 for each in self._members.values()):
            return FileKind("an archive with a password", "save it without the password")
        return kind

    def check(self) -> None:
        """
        Refuse a workbook whose shared parts have more bytes than is allowed.

        Raises:
            UsageError: It has, or it is damaged.
        """
        if len(self._members) != len(self._zip.infolist()):
            raise self._damaged("a part is in it twice")
        for name in self._members:
            if name.startswith("xl/") and name.endswith((".xml", ".rels", ".bin")):
                if name.startswith(("xl/worksheets/", "xl/media/", "xl/drawings/", "xl/pivot")):
                    continue
                for chunk in self._unpack(name, MAX_UNPACKED_PARTS):
                    if _HUGE_COUNT.search(chunk, 0, _CHUNK_BYTES):
                        raise self._damaged(f"{name} announces more than it can have")

    def sheet_paths(self) -> dict[str, str]:
        """Return the parts of the sheets by the sheets' names."""
        part = next(name for name in self._members if WORKBOOK.fullmatch(name))
        try:
            book = ElementTree.fromstring(self._whole(part))
            links = ElementTree.fromstring(self._whole(f"xl/_rels/{part[3:]}.rels"))
        except (ElementTree.ParseError, KeyError) as error:
            raise self._damaged(str(error)) from error
        targets = {each.get("Id"): each.get("Target", "") for each in links}
        paths = {}
        for sheet in book.iter():
            if sheet.tag.endswith("}sheet"):
                link = next((v for k, v in sheet.attrib.items() if k.endswith("}id")), None)
                target = targets.get(link, "")
                path = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
                if path in self._members:
                    paths[sheet.get("name", "")] = path
        return paths

    def has_cells(self, path: str) -> bool:
        """Return whether a sheet has a cell with something in it."""
        rest = b""
        for chunk in self._unpack(path, MAX_UNPACKED_PARTS):
            if _CELL_WITH_VALUE.search(rest + chunk):
                return True
            rest = chunk[-200:]
        return False

    def scan(self, path: str) -> SheetScan:
        """
        Return what calamine does not tell of a sheet.

        Raises:
            UsageError: The sheet is too large, or damaged.
        """
        errors: dict[tuple[int, int], str] = {}
        digits: dict[tuple[int, int], int] = {}
        styles = self._padding_styles()
        first, hidden, rows, columns = None, 0, 100_000, 26
        for part in self._cells_in_parts(path):
            far_rows, far_columns = _far_corner(part)
            rows, columns = max(rows, far_rows), max(columns, far_columns)
            if rows * columns > MAX_SHEET_CELLS:
                raise UsageError(
                    f"{self._content.name}: a sheet reaches to row {rows:,} and column "
                    f"{columns:,}, which is more than {MAX_SHEET_CELLS:,} cells",
                    next="delete the rows and columns behind the table, or save it as CSV UTF-8",
                )
            if b"hidden" in part:
                found = _HIDDEN_ROW.findall(part)
                hidden += len(found)
                first = first or next(iter(found), None)
            errors.update(_errors(part))
            if styles:
                digits.update(_digits(part, styles))
        number = _ROW_NUMBER.search(first or b"")
        return SheetScan(errors, hidden, None if number is None else int(number[1]), digits)

    def _padding_styles(self) -> dict[bytes, int]:
        """Return the styles that show a number with zeros in front, and with how many digits."""
        if "xl/styles.xml" not in self._members:
            return {}
        try:
            root = ElementTree.fromstring(self._whole("xl/styles.xml"))
        except ElementTree.ParseError:
            return {}
        formats = {
            each.get("numFmtId"): len(code)
            for each in root.iter()
            if each.tag.endswith("}numFmt") and _ZEROS.fullmatch(code := each.get("formatCode", ""))
        }
        styles = next((each for each in root if each.tag.endswith("}cellXfs")), ())
        return {
            str(number).encode(): formats[style.get("numFmtId")]
            for number, style in enumerate(styles)
            if style.get("numFmtId") in formats
        }

    def _cells_in_parts(self, path: str) -> Iterator[bytes]:
        """Give the XML of a sheet in parts that split no cell."""
        rest = b""
        for chunk in self._unpack(path, MAX_UNPACKED_PARTS):
            if b"\0" in chunk:
                raise self._damaged(f"{path} is no text")
            text = rest + chunk
            cut = max(text.rfind(b"</c>"), text.rfind(b":c>")) + 4
            if cut >= 4:
                yield text[:cut]
                rest = text[cut:]
            elif len(text) < 4 * _CHUNK_BYTES:
                rest = text
            else:
                yield text
                rest = text[-1000:]
        yield rest

    def _whole(self, name: str) -> bytes:
        return b"".join(self._unpack(name, _MAX_INDEX_BYTES))

    def _unpack(self, name: str, limit: int) -> Iterator[bytes]:
        """
        Give a part in chunks; what the archive says of its size does not count.

        Raises:
            UsageError: It has more than *limit* bytes, or it is damaged.
        """
        member = self._members[name]
        size, was = 0, self._unpacked
        for chunk in self._chunks(member):
            size += len(chunk)
            if size > limit or was + size > 2 * MAX_UNPACKED_PARTS:
                raise UsageError(
                    f"{self._content.name} has more than {limit // 1024**2 or 1} MB in {name} "
                    "once it is unpacked",
                    next="save the table as CSV UTF-8, and load that",
                )
            yield chunk
        self._unpacked = was + size

    def _chunks(self, member: zipfile.ZipInfo) -> Iterator[bytes]:
        stream = self._stream
        stream.seek(max(member.header_offset, 0))
        head = stream.read(_LOCAL_HEADER.size) if member.header_offset >= 0 else b""
        if len(head) < _LOCAL_HEADER.size or head[:4] != b"PK\x03\x04":
            raise self._damaged(f"{member.filename} is not where the index says")
        _, name_length, extra_length = _LOCAL_HEADER.unpack(head)
        at = member.header_offset + _LOCAL_HEADER.size + name_length + extra_length
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise self._damaged(f"{member.filename} is packed in an unusual way")
        left = member.compress_size
        inflate = zlib.decompressobj(-15)
        is_stored = member.compress_type == zipfile.ZIP_STORED
        while left > 0:
            stream.seek(at)
            data = stream.read(min(left, _CHUNK_BYTES))
            if not data:
                raise self._damaged(f"{member.filename} is cut")
            at, left = at + len(data), left - len(data)
            yield from (data,) if is_stored else self._inflated(inflate, data, member.filename)

    def _inflated(self, inflate: zlib._Decompress, data: bytes, name: str) -> Iterator[bytes]:
        while data and not inflate.eof:
            try:
                yield inflate.decompress(data, _CHUNK_BYTES)
            except zlib.error as error:
                raise self._damaged(f"{name}: {error}") from error
            data = inflate.unconsumed_tail

    def _damaged(self, why: str) -> UsageError:
        return UsageError(
            f"{self._content.name} is a zip archive or workbook that is cut or damaged",
            next="copy or download it anew; or open it in a spreadsheet program, and save it again",
            why=why,
        )


def _far_corner(part: bytes) -> tuple[int, int]:
    """Return the last row and column of cells that are far from the first one."""
    if _is_usual(part):
        names, rows = set(_USUAL_FAR_CELL.findall(part)), [0]
    else:
        names = set(_FAR_CELL.findall(part))
        rows = [0, *map(int, _FAR_ROW.findall(part))]
    columns = [0]
    for name in names:
        row, column = cell_numbers(name.decode().upper())
        rows.append(row)
        columns.append(column)
    return max(rows), max(columns)


def _is_usual(part: bytes) -> bool:
    """Return whether each cell is written as `<c r="…"`, and only rows have another `r`."""
    cells, rows = part.count(b'<c r="'), part.count(b'<row r="')
    return (
        part.count(b"<c") - part.count(b"<col") == cells
        and part.count(b'r="') == cells + rows
        and b":c" not in part
        and b"='" not in part
    )


def _errors(part: bytes) -> Iterator[tuple[tuple[int, int], str]]:
    if b't="e"' in part:
        for name, inside in _ERROR.findall(part):
            text = _ERROR_TEXT.search(inside)
            yield (
                cell_numbers(name.decode()),
                text[1].decode("utf-8", "replace") if text else "#N/A",
            )
    if b"f>" in part or b"<f" in part:
        for name in _NO_RESULT.findall(part):
            yield cell_numbers(name.decode()), ""


def _digits(part: bytes, styles: dict[bytes, int]) -> Iterator[tuple[tuple[int, int], int]]:
    for attributes in _CELL_ATTRIBUTES.findall(part):
        style, name = _STYLE.search(attributes), _REFERENCE.search(attributes)
        if style and name and style[1] in styles:
            yield cell_numbers(name[1].decode()), styles[style[1]]


def cell_numbers(name: str) -> tuple[int, int]:
    """Return the row and the column of a cell such as `B7`, from 1."""
    found = _CELL_NAME.fullmatch(name)
    if found is None:
        return 1, 1
    column = 0
    for letter in found[1]:
        column = column * 26 + ord(letter) - 64
    return int(found[2]), column


def cell_name(row: int, column: int) -> str:
    """Return the name of a cell: `B7` for row 7 and column 2."""
    letters = ""
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(65 + rest) + letters
    return f"{letters}{row}"
