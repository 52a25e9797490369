"""A file that is no table is named for what it is, whatever its suffix says, with the way out."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sqlite3
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.tables import load


def archive(**members: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for name, text in members.items():
            made.writestr(name, text)
    return file.getvalue()


def old_office(stream: str) -> bytes:
    """Return a compound file whose directory is in its second half."""
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100_000)
    return head + stream.encode("utf-16-le") + bytes(64)


def tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as made:
        made.addfile(tarfile.TarInfo("pairs.csv"))
    return file.getvalue()


def database() -> bytes:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE TABLE t (url TEXT)")
        return connection.serialize()


LOGIN = "<!DOCTYPE html><html><head><title>{}</title></head><body>Sign in {}</body></html>"
ODS = {"mimetype": "application/vnd.oasis.opendocument.spreadsheet", "content.xml": "<a/>"}
WEBLOC = '<?xml version="1.0"?><!DOCTYPE plist><plist version="1.0"><dict/></plist>'
SPREADSHEET_ML = (
    '<?xml version="1.0"?><?mso-application progid="Excel.Sheet"?>'
    '<Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet"></Workbook>'
)

#: What a file contains → what it is, and the way out.
KINDS: dict[str, tuple[bytes | str, str, str]] = {
    ".xls": (old_office("Workbook"), "an old Excel workbook (.xls)", "save it as .xlsx"),
    ".xls of the nineties": (b"\x09\x08\x10\0\0\x06\x05\0", "an old Excel workbook", ".xlsx"),
    "password": (old_office("EncryptedPackage"), "a workbook with a password", "without the"),
    ".doc": (old_office("WordDocument"), "a Word document", "spreadsheet"),
    ".ods": (archive(**ODS), "an OpenDocument spreadsheet", "save it as .xlsx"),
    ".numbers": (archive(**{"Index/Document.iwa": "x"}), "Numbers", "Export To, CSV"),
    ".xlsb": (archive(**{"xl/workbook.bin": "x"}), "a binary Excel workbook", ".xlsx"),
    ".docx": (archive(**{"word/document.xml": "x"}), "a Word document", "spreadsheet"),
    ".zip": (archive(**{"pairs.csv": "x"}), "a zip archive (in it: pairs.csv)", "unzip t.csv"),
    "empty .zip": (archive(), "a zip archive without files", "unpack it"),
    ".pdf": (b"%PDF-1.7\n", "a PDF", "spreadsheet"),
    "picture": (b"\x89PNG\r\n\x1a\n\0\0", "an image", "one a line"),
    "photo": (b"\xff\xd8\xff\xe0\0\x10JFIF", "an image", "one a line"),
    "SQLite": (database(), "a SQLite database", "sqlite3 -header -csv t.csv"),
    "Parquet": (b"PAR1\x15\x04\x15", "a Parquet file", "read_parquet"),
    "RTF": (b"{\\rtf1\\ansi url,goal}", "a rich text document (RTF)", "plain text"),
    "bzip2": (bz2.compress(b"url"), "packed by bzip2", "bzip2 -dc t.csv > table.csv"),
    "xz": (lzma.compress(b"url"), "packed by xz", "xz -dc t.csv"),
    "tar": (tar(), "a tar archive", "tar -xf t.csv"),
    "tar.gz": (gzip.compress(tar()), "a tar archive", "tar -xf t.csv"),
    "gzip twice": (gzip.compress(gzip.compress(b"url")), "packed by gzip twice", "gunzip -c"),
    "cut gzip": (gzip.compress(b"url,goal" * 9999)[:40], "cut or damaged", "gzip -t"),
    "program": (b"\x7fELF\x02\x01\x01", "a program", "load a table"),
    "pickle": (b"\x80\x04\x95\x10\0", "a Python pickle", "write CSV"),
    "._ file": (b"\0\x05\x16\x07\0\x02\0\0", "what macOS keeps beside a file", "without `._`"),
    "zeros": (bytes(5000), "nothing but NUL bytes", "copy it anew"),
    "empty": (b"", "is empty", "batchrunner init"),
    "blank": ("\n \n", "only blank lines", "write one"),
    "UTF-16 without a mark": ("url,goal\nx,y\n".encode("utf-16-le"), "UTF-16 without", "utf-16-le"),
    "web page": ("<!DOCTYPE html>\n<html><body>hello</body></html>", "a web page", "download"),
    "web page as .xls": ("<table><tr><td>url</td></tr></table>", "a web page with a table", "xlsx"),
    "Google": (LOGIN.format("Google", "accounts.google.com"), "sign-in page of Google", "Download"),
    "SharePoint": (LOGIN.format("x", "login.microsoftonline.com"), "of Microsoft", "sign in"),
    "other sign-in": (LOGIN.format("Shop", "now"), "a sign-in page, not the file", "browser"),
    "Excel 2003": (SPREADSHEET_ML, "an Excel 2003 workbook in XML", "save it as .xlsx"),
    ".webloc": (WEBLOC, "a link to a page (.webloc)", "download"),
    "sitemap": ("<?xml version='1.0'?><urlset><url/></urlset>", "a sitemap", "grep -o '<loc>"),
    "XML": ("<?xml version='1.0'?><rows/>", "is XML", "CSV"),
    ".url": ("[InternetShortcut]\r\nURL=https://a.example/\r\n", "a link to a page (.url)", "open"),
    "Git LFS": ("version https://git-lfs.github.com/spec/v1\noid x\n", "Git LFS", "git lfs pull"),
    "SQL": ("-- dump\nCREATE TABLE t (url TEXT);\n", "an SQL dump", "as CSV"),
    "MySQL": ("+----+-----+\n| id | url |\n+----+-----+\n", "a table drawn with lines", "--batch"),
    "psql": (" id | url \n----+-----\n 1  | a\n", "as psql shows it", "psql --csv"),
    "Markdown": ("| url | goal |\n|---|---|\n| a | b |\n", "a Markdown table", "sed"),
    "SYLK": ("ID;PWXL;N;E\nP;PGeneral\n", "a SYLK spreadsheet", "save it as .xlsx"),
    "e-mail": ("From: a@example.com\nSubject: pairs\n\nurl,goal\n", "an e-mail", "attachment"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "what", "way_out"), KINDS.values(), ids=KINDS)
def test_a_file_that_is_no_table_is_named_whatever_its_suffix_says(
    data: bytes | str, what: str, way_out: str
) -> None:
    for file in ("t.csv", "t.xlsx", "jobs.yaml"):
        refusal = load(data, file).refusal
        assert refusal is not None
        assert refusal.what.startswith(file)
        assert what in refusal.what
        assert way_out.replace("t.csv", file) in refusal.next


def test_a_name_in_a_command_is_quoted() -> None:
    refusal = load(bz2.compress(b"url"), "my pairs; rm.csv").refusal
    assert refusal is not None
    assert "bzip2 -dc 'my pairs; rm.csv' > table.csv" in refusal.next


def test_options_that_do_not_fit_the_file_are_refused() -> None:
    for options, says in (
        ({"sheet": "1"}, "it has no sheets"),
        ({"encoding": "latin-99"}, "there is no encoding latin-99"),
        ({"encoding": "base64"}, "there is no encoding base64"),
        ({"delimiter": "::"}, "is not one character"),
        ({"delimiter": '"'}, "is not one character"),
    ):
        refusal = load("url,goal\na,b\n", **options).refusal
        assert refusal is not None
        assert says in refusal.what
    marked = load(b"\xef\xbb\xbfurl,goal\na,b\n", encoding="cp1252").refusal
    assert marked is not None
    assert "begins with the mark of UTF-8, so it is not cp1252" in marked.what


def test_a_file_of_each_kind_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("url\na\n")
    from batchrunner.app.input_file import open_input_table
    from batchrunner.inputs.tables import TableOptions

    with open_input_table(path, TableOptions()) as table:
        assert [row.cells for row in table.rows()] == [["a"]]
