"""Kinds of files that are no table, recognized by their first bytes, and the way out of each."""

from __future__ import annotations

import re
from typing import Final, NamedTuple


class FileKind(NamedTuple):
    """What a file is, and what to do instead."""

    what: str
    way_out: str


_EXPORT: Final = "export it as CSV UTF-8 or as .xlsx, and load that"
_SPREADSHEET: Final = (
    "open it in a spreadsheet program, save it as .xlsx or as CSV UTF-8, and load that"
)
_UNPACK: Final = "unpack it, and load the table that is in it"
_DATABASE: Final = "export the table or query as CSV, and load that"
_NO_TABLE: Final = "load a table: CSV, TSV, JSONL, JSON, .xlsx or a list of urls"

_PICKLE = FileKind("a Python pickle", "write CSV in the program that made it")
_IMAGE = FileKind("an image", "type the urls into a list, one a line, and load that")


def _in_python(reader: str) -> str:
    script = f"import pandas, sys; pandas.{reader}(sys.argv[1]).to_csv('table.csv', index=False)"
    return f'turn it into CSV: python3 -c "{script}" FILE'


#: (offset, bytes) → what the file is. The first that fits counts.
_SIGNATURES: Final[tuple[tuple[int, bytes, FileKind], ...]] = (
    (
        0,
        b"SQLite format 3\0",
        FileKind(
            "a SQLite database",
            "export a table: sqlite3 -header -csv FILE 'SELECT * FROM the_table' > table.csv",
        ),
    ),
    (
        8,
        b"DUCK",
        FileKind(
            "a DuckDB database", "export a table: duckdb FILE -csv -c 'FROM the_table' > table.csv"
        ),
    ),
    (0, b"PAR1", FileKind("a Parquet file", _in_python("read_parquet"))),
    (0, b"ARROW1", FileKind("an Arrow file", _in_python("read_feather"))),
    (0, b"FEA1", FileKind("a Feather file", _in_python("read_feather"))),
    (0, b"ORC", FileKind("an ORC file", _in_python("read_orc"))),
    (0, b"Obj\x01", FileKind("an Avro file", _DATABASE)),
    (0, b"\x89HDF\r\n\x1a\n", FileKind("an HDF5 file", _in_python("read_hdf"))),
    (0, b"PGDMP", FileKind("a PostgreSQL dump", _DATABASE)),
    (4, b"Standard Jet DB", FileKind("an Access database", _DATABASE)),
    (4, b"Standard ACE DB", FileKind("an Access database", _DATABASE)),
    (0, b"$FL2", FileKind("an SPSS file", _in_python("read_spss"))),
    (0, b"<stata_dta>", FileKind("a Stata file", _in_python("read_stata"))),
    (0, b"\x80\x04\x95", _PICKLE),
    (0, b"\x80\x05\x95", _PICKLE),
    (
        0,
        b"\x1f\x8b",
        FileKind("packed by gzip twice", "unpack it once: gunzip -c FILE > unpacked.gz"),
    ),
    (0, b"\xfd7zXZ\0", FileKind("packed by xz", "unpack it: xz -dc FILE > table.csv")),
    (0, b"\x28\xb5\x2f\xfd", FileKind("packed by zstd", "unpack it: zstd -dc FILE > table.csv")),
    (0, b"\x04\x22\x4d\x18", FileKind("packed by lz4", "unpack it: lz4 -dc FILE > table.csv")),
    (0, b"7z\xbc\xaf\x27\x1c", FileKind("a 7-Zip archive", _UNPACK)),
    (0, b"Rar!\x1a\x07", FileKind("a RAR archive", _UNPACK)),
    (
        257,
        b"ustar",
        FileKind("a tar archive", "unpack it, and load the table that is in it: tar -xf FILE"),
    ),
    (0, b"\x1f\x9d", FileKind("packed by compress", "unpack it: uncompress -c FILE > table.csv")),
    (
        0,
        b"bplist00",
        FileKind(
            "an Apple property list", "open the page that it points to, and load a list of urls"
        ),
    ),
    (
        0,
        b"\0\x05\x16\x07",
        FileKind(
            "what macOS keeps beside a file (its name begins with `._`)",
            "name the file without `._`",
        ),
    ),
    (0, b"\0\0\0\x01Bud1", FileKind("a .DS_Store file", _NO_TABLE)),
    (0, b"\x89PNG\r\n\x1a\n", _IMAGE),
    (0, b"\xff\xd8\xff", _IMAGE),
    (0, b"GIF87a", _IMAGE),
    (0, b"GIF89a", _IMAGE),
    (0, b"II*\0", _IMAGE),
    (0, b"MM\0*", _IMAGE),
    (8, b"WEBP", _IMAGE),
    (4, b"ftypheic", _IMAGE),
    (4, b"ftypavif", _IMAGE),
    (4, b"ftyp", FileKind("a video", _NO_TABLE)),
    (0, b"ID3", FileKind("a sound file", _NO_TABLE)),
    (0, b"\x7fELF", FileKind("a program", _NO_TABLE)),
    (0, b"\xcf\xfa\xed\xfe", FileKind("a program", _NO_TABLE)),
    (0, b"\xca\xfe\xba\xbe", FileKind("a program", _NO_TABLE)),
    (0, b"MZ\x90", FileKind("a program", _NO_TABLE)),
)
_CONTROLS = re.compile(rb"[\0-\x08\x0e-\x1f\x7f]")
#: A signature that can be the beginning of a text: `ORC` of a header `ORCID,url`.
_WORD = re.compile(rb"[\x20-\x7e]+")
_PATTERNS: Final[tuple[tuple[re.Pattern[bytes], FileKind], ...]] = (
    (
        re.compile(rb"BZh[1-9]1AY&SY"),
        FileKind("packed by bzip2", "unpack it: bzip2 -dc FILE > table.csv"),
    ),
    (re.compile(rb"BM.{4}\0\0\0\0", re.DOTALL), _IMAGE),
    (re.compile(rb"PK\x05\x06|PK\x07\x08"), FileKind("a zip archive without files", _UNPACK)),
    (
        re.compile(rb"%PDF-[0-9]"),
        FileKind("a PDF", "copy its table into a spreadsheet, and save that"),
    ),
    (
        re.compile(rb"\{\\rtf[0-9]"),
        FileKind("a rich text document (RTF)", "save it as plain text in UTF-8"),
    ),
    (
        re.compile(rb"\0+\Z"),
        FileKind("nothing but NUL bytes", "it was not written to its end: copy it anew"),
    ),
)

_OLE2 = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OLE2_STREAMS = (
    (
        "EncryptedPackage",
        FileKind(
            "a workbook with a password",
            "open it, save it without the password (in Excel: File, Info, Protect Workbook), "
            "and load that",
        ),
    ),
    ("Workbook", FileKind("an old Excel workbook (.xls)", _SPREADSHEET)),
    ("Book", FileKind("an old Excel workbook (.xls)", _SPREADSHEET)),
    (
        "WordDocument",
        FileKind("a Word document", "copy its table into a spreadsheet, and save that"),
    ),
    ("PowerPoint Document", FileKind("a presentation", _NO_TABLE)),
    (
        "__properties_version1.0",
        FileKind("an Outlook message", "save its attachment, and load that"),
    ),
)
_OLD_OFFICE = FileKind("an old Office document", _SPREADSHEET)
_OLD_EXCEL = (b"\x09\x08\x10\0\0\x06", b"\x09\x04\x06\0", b"\x09\x02\x06\0", b"\x09\0\x04\0")

#: A name that a zip archive has → what the archive is.
_ARCHIVES: Final[tuple[tuple[re.Pattern[str], FileKind], ...]] = (
    (re.compile(r"xl/workbook\.bin"), FileKind("a binary Excel workbook (.xlsb)", _SPREADSHEET)),
    (
        re.compile(r"Index/.*\.iwa|Index\.zip|index\.apxl"),
        FileKind(
            "a document of Numbers, Pages or Keynote",
            "in Numbers: File, Export To, CSV (Unicode UTF-8) or Excel, and load that",
        ),
    ),
    (
        re.compile(r"word/document\.xml"),
        FileKind("a Word document", "copy its table into a spreadsheet, and save that"),
    ),
    (re.compile(r"ppt/presentation\.xml"), FileKind("a presentation", _NO_TABLE)),
    (re.compile(r"META-INF/MANIFEST\.MF"), FileKind("a Java archive", _NO_TABLE)),
)
#: The part of a workbook that lists its sheets; some programs number it.
WORKBOOK = re.compile(r"xl/workbook[0-9]*\.xml")
_ODS = FileKind("an OpenDocument spreadsheet (.ods)", _SPREADSHEET)


def binary_kind(head: bytes, *, rest_of_ole: bytes = b"") -> FileKind | None:
    """Return what a file is by its first bytes, if that is neither text nor a zip archive."""
    if head.startswith(_OLE2):
        return _old_office(head + rest_of_ole)
    if head.startswith(_OLD_EXCEL):
        return FileKind("an old Excel workbook (.xls)", _SPREADSHEET)
    for pattern, kind in _PATTERNS:
        if pattern.match(head):
            return kind
    is_text = _CONTROLS.search(head, 0, 1024) is None
    for at, mark, kind in _SIGNATURES:
        if head.startswith(mark, at) and not (is_text and _WORD.fullmatch(mark)):
            return kind
    return None


def _old_office(data: bytes) -> FileKind:
    for name, kind in _OLE2_STREAMS:
        if name.encode("utf-16-le") + b"\0\0" in data:
            return kind
    return _OLD_OFFICE


def archive_kind(names: list[str], mimetype: bytes) -> FileKind | None:
    """Return what a zip archive with these names is; None: a workbook that can be read."""
    if b"opendocument.spreadsheet" in mimetype:
        return _ODS
    if any(map(WORKBOOK.fullmatch, names)):
        return None
    for pattern, kind in _ARCHIVES:
        if any(pattern.fullmatch(name) for name in names):
            return kind
    inside = ", ".join([name for name in names if not name.endswith("/")][:3])
    return FileKind(f"a zip archive (in it: {inside or 'nothing'})", "unpack it: unzip FILE")


# ---- text that is no table ----

_GOOGLE = re.compile(r"accounts\.google\.com|docs\.google\.com|ServiceLogin", re.IGNORECASE)
_MICROSOFT = re.compile(
    r"login\.microsoftonline|login\.live\.com|sharepoint|_layouts/15|msauth", re.IGNORECASE
)
_SIGN_IN = re.compile(r"sign[ -]?in|log[ -]?in|anmelden|type=[\"']?password", re.IGNORECASE)
_HTML = re.compile(
    r"<(?:!doctype\s+html|html|head|body|table|meta|script|style|title|center|div)\b", re.IGNORECASE
)
_HTML_TABLE = re.compile(r"<table\b|<tr\b", re.IGNORECASE)

#: What the first 64 KB of a text match → what it is. The first that fits counts.
_TEXTS: Final[tuple[tuple[re.Pattern[str], FileKind], ...]] = (
    (
        re.compile(r"version https://git-lfs\.github\.com/spec"),
        FileKind("a Git LFS pointer, not the file itself", "fetch the file: git lfs pull"),
    ),
    (
        re.compile(r"\[InternetShortcut\]|\[\{000214A0", re.IGNORECASE),
        FileKind("a link to a page (.url)", "open it, and download what it points to"),
    ),
    (
        re.compile(r"\[Desktop Entry\]"),
        FileKind("a link (.desktop)", "open it, and download what it points to"),
    ),
    (
        re.compile(r"ID;P(?:WXL|CALC3|SCALC3)?(?:;[NE])*\r?\n"),
        FileKind("a SYLK spreadsheet", _SPREADSHEET),
    ),
    (re.compile(r"TABLE\r?\n0,1\r?\n"), FileKind("a DIF spreadsheet", _SPREADSHEET)),
    (
        re.compile(r"(?:From|Received|Return-Path|MIME-Version): (?s:.*?)^Subject: ", re.MULTILINE),
        FileKind("an e-mail", "save its attachment, and load that"),
    ),
    (re.compile(r"BEGIN:V(?:CARD|CALENDAR)"), FileKind("a list of contacts or dates", _EXPORT)),
    (re.compile(r"%!PS"), FileKind("a PostScript document", _NO_TABLE)),
    (
        re.compile(r"-----BEGIN [A-Z ]+-----"),
        FileKind("a key, a certificate or an encrypted text", _NO_TABLE),
    ),
    (
        re.compile(
            r"(?=--|/\*|SET |CREATE |INSERT |COPY |DROP |BEGIN|PRAGMA)"
            r".*?^(?:CREATE TABLE|INSERT INTO|COPY \S+ \()",
            re.DOTALL | re.MULTILINE,
        ),
        FileKind("an SQL dump", _DATABASE),
    ),
    (
        re.compile(r"\+-[-+]{2,}\+\s*\n\|"),
        FileKind(
            "a table drawn with lines, as a database shell shows it",
            "export it as CSV (mysql: --batch gives tabs; psql: --csv)",
        ),
    ),
    (
        re.compile(r"[^\n|]*\|[^\n]*\n-+(?:\+-+)+\s*\n"),
        FileKind("a table drawn with lines, as psql shows it", "export it as CSV: psql --csv"),
    ),
    (
        re.compile(r"[^\n]*\|[^\n]*\n\|?(?:[ \t]*:?-{2,}:?[ \t]*\|)+[ \t:-]*\r?(?:\n|\Z)"),
        FileKind(
            "a Markdown table",
            "take its frame away: "
            "sed -e 2d -e 's/^| *//' -e 's/ *| *$//' -e 's/ *| */|/g' FILE > table.csv",
        ),
    ),
    (re.compile(r"diff --git |--- a/"), FileKind("a patch", _NO_TABLE)),
)
_SITEMAP = FileKind(
    "a sitemap",
    "make a list of urls of it: grep -o '<loc>[^<]*' FILE | sed 's/<loc>//' > urls.txt",
)
_XMLS: Final[tuple[tuple[str, FileKind], ...]] = (
    (
        "urn:schemas-microsoft-com:office:spreadsheet",
        FileKind("an Excel 2003 workbook in XML", _SPREADSHEET),
    ),
    ("office:document", FileKind("an OpenDocument spreadsheet in XML (.fods)", _SPREADSHEET)),
    (
        "<plist",
        FileKind(
            "a link to a page (.webloc) or another property list",
            "open it, and download what it points to",
        ),
    ),
    ("<urlset", _SITEMAP),
    ("<sitemapindex", _SITEMAP),
    ("<rss", FileKind("a news feed", "make a list of urls of it, one a line")),
    ("<feed", FileKind("a news feed", "make a list of urls of it, one a line")),
    ("<svg", _IMAGE),
    (
        "<Error>",
        FileKind(
            "an error message of the server it was downloaded from",
            "open the link in a browser: it may have expired",
        ),
    ),
)
_XML = FileKind("XML", _EXPORT)
_TAG = re.compile(r"<[a-zA-Z_][\w:.-]*[\s>]")


def text_kind(head: str) -> FileKind | None:
    """Return what a text is by its start, if that is no table and no job file."""
    start = head.lstrip()
    if not start:
        return None
    if start.startswith("<"):
        return _markup(start)
    return next((kind for pattern, kind in _TEXTS if pattern.match(start)), None)


def _markup(start: str) -> FileKind | None:
    if start.startswith("<?xml") or not _HTML.match(start):
        found = next((kind for mark, kind in _XMLS if mark in start), None)
        if found is not None:
            return found
        if start.startswith("<?xml") and not _HTML.search(start):
            return _XML
    if _HTML.search(start[:4096]) is None:
        return _XML if "</" in start and _TAG.match(start) else None
    return _web_page(start)


def _web_page(start: str) -> FileKind:
    if _SIGN_IN.search(start) and not _HTML_TABLE.search(start):
        if _GOOGLE.search(start):
            way = "in the sheet: File, Download, Comma-separated values; or share it by link"
            return FileKind("a sign-in page of Google, not the sheet", way)
        if _MICROSOFT.search(start):
            way = "open the link in a browser, sign in, and download the file from there"
            return FileKind("a sign-in page of Microsoft, not the file", way)
        return FileKind("a sign-in page, not the file", "sign in with a browser, and download it")
    if _HTML_TABLE.search(start):
        return FileKind("a web page with a table", _SPREADSHEET)
    return FileKind("a web page", "download the file that the page leads to, and load that")
