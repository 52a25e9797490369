"""Builds small .xlsx files by hand, so that a test decides on each byte of their XML."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from batchrunner.inputs.tables.workbook_parts import cell_name

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_LINKS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_RELATIONS_TYPE = "application/vnd.openxmlformats-package.relationships+xml"
_TYPES = "application/vnd.openxmlformats-officedocument.spreadsheetml"
#: Number formats by their style, from 1: style 0 is the usual one.
FORMATS = ("yyyy-mm-dd", "yyyy-mm-dd hh:mm", "hh:mm", "[h]:mm", "00000")
DATE, DATE_TIME, TIME, DURATION, PADDED = range(1, 6)


HIDDEN, ROW_HIDDEN = ' state="hidden"', ' hidden="1"'


class Raw(str):
    """A cell as XML; `{}` stands for its name."""

    __slots__ = ()


def styled(value: float, style: int) -> Raw:
    """Return a number with a format."""
    return Raw(f'<c r="{{}}" s="{style}"><v>{value}</v></c>')


def cell(value: object, name: str) -> str:
    """Return the XML of a cell."""
    if value is None:
        return ""
    if isinstance(value, Raw):
        return value.format(name)
    if isinstance(value, bool):
        return f'<c r="{name}" t="b"><v>{int(value)}</v></c>'
    if isinstance(value, int | float):
        return f'<c r="{name}"><v>{value!r}</v></c>'
    text = escape(str(value))
    return f'<c r="{name}" t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'


def sheet(rows: Sequence[Sequence[object]], *, after: str = "", hidden: Sequence[int] = ()) -> str:
    """Return the XML of a sheet; *after* stands behind its cells, *hidden* are rows from 1."""
    body = "".join(
        f'<row r="{line}"{ROW_HIDDEN if line in hidden else ""}>'
        + "".join(cell(value, cell_name(line, number)) for number, value in enumerate(row, 1))
        + "</row>"
        for line, row in enumerate(rows, 1)
    )
    return f'<worksheet xmlns="{_MAIN}"><sheetData>{body}</sheetData>{after}</worksheet>'


def workbook(
    sheets: Mapping[str, str],
    *,
    hidden: Sequence[str] = (),
    extra: Mapping[str, bytes] | None = None,
) -> bytes:
    """Return an .xlsx file with these sheets."""
    names = dict(enumerate(sheets, 1))
    entries = "".join(
        f'<sheet name="{escape(name)}" sheetId="{n}" r:id="r{n}"'
        f"{HIDDEN if name in hidden else ''}/>"
        for n, name in names.items()
    )
    links = "".join(_link(f"r{n}", "worksheet", f"worksheets/sheet{n}.xml") for n in names)
    overrides = "".join(_override(f"worksheets/sheet{n}.xml", "worksheet") for n in names)
    fixed = _override("workbook.xml", "sheet.main") + _override("styles.xml", "styles")
    default = f'<Default Extension="rels" ContentType="{_RELATIONS_TYPE}"/>'
    types = f'<Types xmlns="{_PACKAGE}/content-types">{default}{fixed}{overrides}</Types>'
    parts = {
        "[Content_Types].xml": types,
        "_rels/.rels": _links(_link("r1", "officeDocument", "xl/workbook.xml")),
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_LINKS}">'
        f"<sheets>{entries}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": _links(links + _link("s", "styles", "styles.xml")),
        "xl/styles.xml": _styles(),
        **{f"xl/worksheets/sheet{n}.xml": sheets[name] for n, name in names.items()},
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
        for name, data in (extra or {}).items():
            archive.writestr(name, data)
    return file.getvalue()


def _link(name: str, kind: str, target: str) -> str:
    return f'<Relationship Id="{name}" Type="{_LINKS}/{kind}" Target="{target}"/>'


def _links(links: str) -> str:
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{links}</Relationships>'


def _override(part: str, kind: str) -> str:
    return f'<Override PartName="/xl/{part}" ContentType="{_TYPES}.{kind}+xml"/>'


def _styles() -> str:
    formats = "".join(
        f'<numFmt numFmtId="{163 + n}" formatCode="{escape(code)}"/>'
        for n, code in enumerate(FORMATS, 1)
    )
    uses = "".join(
        f'<xf numFmtId="{163 + n}" applyNumberFormat="1"/>' for n in range(1, len(FORMATS) + 1)
    )
    return (
        f'<styleSheet xmlns="{_MAIN}"><numFmts count="{len(FORMATS)}">{formats}</numFmts>'
        f'<cellXfs count="{len(FORMATS) + 1}"><xf numFmtId="0"/>{uses}</cellXfs></styleSheet>'
    )
