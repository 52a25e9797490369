"""Templates: text with `{column}`, which each row of a table fills with its cells."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NamedTuple
from urllib.parse import quote

from batchrunner.inputs.mapping.cell_text import cell_text

_IDENTIFIER = re.compile(r"[^\W\d]\w*")
#: What may be a placeholder: braces with no brace and no line break between them.
_BRACED = re.compile(r"\{([^{}\n]{1,200})\}")
#: Characters that a value keeps inside an address; `%` too, where two hex digits follow.
_SAFE_IN_PATH = "/:@!$&'()*+,;=~-._"
_SAFE_IN_QUERY = "/:@!$'()*,;~-._"
_ESCAPED = re.compile(r"(%[0-9A-Fa-f]{2})")


class Fault(NamedTuple):
    """What is wrong with a template, and what to write instead."""

    message: str
    tip: str
    at: int = 0  #: index in the template
    width: int = 1


@dataclass(frozen=True)
class Template:
    """A text with places for cells; it interprets no cell."""

    text: str
    parts: tuple[str | int, ...]  #: literal text, or the index of a column

    @property
    def columns(self) -> tuple[int, ...]:
        """The indexes of the columns that it names."""
        return tuple(part for part in self.parts if isinstance(part, int))

    @property
    def sole_column(self) -> int | None:
        """The index of the column that is all there is to it."""
        only = self.parts[0] if len(self.parts) == 1 else None
        return only if isinstance(only, int) else None

    def filler(self) -> Callable[[Sequence[Any]], str]:
        """Return a function that gives a row's text: its cells as they are."""
        if (column := self.sole_column) is not None:
            return lambda cells: cell_text(cells[column])
        if not self.columns:
            literal = "".join(map(str, self.parts))
            return lambda _: literal
        form = "".join(
            part.replace("%", "%%") if isinstance(part, str) else "%s" for part in self.parts
        )
        numbers = self.columns
        if len(numbers) == 1:
            number = numbers[0]
            return lambda cells: form % cell_text(cells[number])
        return lambda cells: form % tuple([cell_text(cells[number]) for number in numbers])

    def url_filler(self) -> Callable[[Sequence[Any]], str]:
        """Return a function that gives a row's url: cells are escaped behind the host."""
        if self.sole_column is not None or not self.columns:
            return self.filler()
        steps = tuple(_escaping(self.parts))
        return lambda cells: "".join(
            part if escape is None else escape(cell_text(cells[part]).strip())
            for part, escape in steps
        )


def _escaping(parts: Sequence[str | int]) -> Iterator[tuple[Any, Callable[[str], str] | None]]:
    """Give each part with how a cell there is escaped; None: it is literal."""
    before = ""
    for part in parts:
        if isinstance(part, str):
            before += part
            yield part, None
        elif "?" in before or "#" in before:
            yield part, _in_query
        elif "/" in before.partition("://")[2]:
            yield part, _in_path
        else:
            yield part, str


def _in_path(text: str) -> str:
    return _quoted(text, _SAFE_IN_PATH)


def _in_query(text: str) -> str:
    return _quoted(text, _SAFE_IN_QUERY)


def _quoted(text: str, safe: str) -> str:
    """Escape what an address cannot hold; what is escaped already stays."""
    if "%" not in text:
        return quote(text, safe=safe)
    return "".join(
        part if _ESCAPED.fullmatch(part) else quote(part, safe=safe)
        for part in _ESCAPED.split(text)
    )


def parse_template(text: str, columns: Mapping[str, int]) -> Template | list[Fault]:
    """
    Return the template, or all that is wrong with it; *columns* has their indexes by name.

    `{name}` is a column where *name* is an identifier or a column's name; `{{` and `}}` are
    braces. All other braces stay as they are, as in `{"price": number}`.
    """
    parts: list[str | int] = []
    faults: list[Fault] = []
    literal, at, depth = "", 0, 0
    while at < len(text):
        found = _BRACED.match(text, at)
        name = found[1].strip() if found else ""
        if text.startswith("{{", at) or (text.startswith("}}", at) and not depth):
            literal, at = literal + text[at], at + 2
        elif found and name in columns:
            parts += [literal, columns[name]] if literal else [columns[name]]
            literal, at = "", found.end()
        elif found and name and (meant := _meant(found[1], columns)) is not None:
            faults.append(_unknown(found, name, meant, columns))
            at = found.end()
        else:
            depth = max(0, depth + (text[at] == "{") - (text[at] == "}"))
            literal, at = literal + text[at], at + 1
    return faults or Template(text, tuple([*parts, literal] if literal else parts))


def _meant(inside: str, columns: Mapping[str, int]) -> str | None:
    """Return the column that braces may mean, '' for none known; None: they mean no column."""
    name = inside.strip()
    close = closest_column(name, columns)
    if _IDENTIFIER.fullmatch(name):
        return close or ("" if name == inside else None)
    return close if close and normal(close) == normal(name) else None


def _unknown(found: re.Match[str], name: str, meant: str, columns: Mapping[str, int]) -> Fault:
    tip = f"write `{{{meant}}}`" if meant else f"the columns are {listed(columns)}"
    return Fault(
        f"there is no column `{name}` for `{found[0]}`",
        f"{tip}; a brace that is text is written twice: `{{{{{name}}}}}`",
        found.start(),
        len(found[0]),
    )


def doubled_columns(text: str, columns: Mapping[str, int]) -> list[str]:
    """Return the columns that a template names in double braces, which are text there."""
    found = re.findall(r"\{\{\s*([^{}\n]{1,200}?)\s*\}\}", text)
    return [name for name in found if name in columns]


def normal(name: str) -> str:
    """Return a column's name as people compare it: without case, blanks, dashes, underscores."""
    return re.sub(r"[\W_]+", "", name.casefold())


def closest_column(name: str, columns: Mapping[str, int]) -> str | None:
    """Return the column that a misspelt name probably means."""
    by_normal = {normal(column): column for column in reversed(list(columns))}
    close = get_close_matches(normal(name), list(by_normal), n=1, cutoff=0.7)
    return by_normal[close[0]] if close else None


def listed(columns: Mapping[str, int]) -> str:
    """Return the names of columns for a message; of very many, the first."""
    names = [f"`{name}`" for name in list(columns)[:12]]
    more = f" and {len(columns) - 12} more" if len(columns) > 12 else ""
    return ", ".join(names) + more
