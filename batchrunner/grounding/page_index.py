"""Everything that pages hold, spelled for searching: made once, and asked for each value."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from batchrunner.grounding.decoding import MAX_LENGTH, page_text
from batchrunner.grounding.folding import SEAM, folded, readable
from batchrunner.grounding.found import Where
from batchrunner.grounding.html_parts import MAX_KEPT, PageParts, page_parts
from batchrunner.grounding.numbers import NumberAt, numbers_in
from batchrunner.grounding.script_data import KeyedText

T = TypeVar("T")
#: Length of all pages together that is searched.
MAX_TOTAL = 8_000_000
#: Places that are kept of one number.
MAX_PLACES = 100
_EXCERPT_BEFORE, _EXCERPT_AFTER = 20, 40
#: What is read of a line on each side of a place: a page may be one line.
MAX_LINE = 2_000


class Segment:
    """One part of one page as a text, with the names that its lines have there."""

    def __init__(
        self, page: int, where: Where, text: str, keys: Sequence[tuple[int, str]] = ()
    ) -> None:
        self.page, self.where = page, where
        self.seamed = text  #: with a sign where two inline elements meet
        self.text = text.replace(SEAM, " ")  #: as long
        self.keys = keys  #: where a line begins, and its name
        self.is_cut = False  #: whether values of the page were left out
        self._remembered: dict[str, Any] = {}

    def remember(self, name: str, make: Callable[[], T]) -> T:
        """Return what was made of this part under a name; it is made once."""
        if name not in self._remembered:
            self._remembered[name] = make()
        made: T = self._remembered[name]
        return made

    @cached_property
    def folded(self) -> str:
        """The text in lower case, with letters and digits only; as long as the text."""
        return folded(self.text)

    @cached_property
    def spaced(self) -> str:
        """The folded words with one space before, between and after them."""
        return f" {' '.join(self.folded.split())} "

    @cached_property
    def joined(self) -> str:
        """As `spaced`, with inline elements that touch read as one word; "" if it is the same."""
        if SEAM not in self.seamed:
            return ""
        return f" {' '.join(folded(self.seamed.replace(SEAM, '')).split())} "

    @cached_property
    def squeezed(self) -> str:
        """The folded text without spaces."""
        return "".join(self.folded.split())

    @cached_property
    def numbers(self) -> dict[str, list[NumberAt]]:
        """The places of each number."""
        found: dict[str, list[NumberAt]] = {}
        for number in numbers_in(self.seamed):
            places = found.setdefault(number.value, [])
            if len(places) < MAX_PLACES:
                places.append(number)
        return found

    def key_at(self, position: int) -> str:
        """Return the name of the line at a position; "" if it has none."""
        place = bisect_right(self.keys, (position, "\U0010ffff")) - 1
        return self.keys[place][1] if place >= 0 else ""

    def line_at(self, position: int) -> tuple[int, int]:
        """Return where the line at a position begins and ends, at most MAX_LINE away."""
        first, last = max(0, position - MAX_LINE), min(position + MAX_LINE, len(self.text))
        start, end = (
            self.text.rfind("\n", first, position) + 1,
            self.text.find("\n", position, last),
        )
        return start or first, last if end < 0 else end

    def excerpt(self, start: int, end: int) -> str:
        """Return the text around a place, on one line."""
        left = max(0, start - _EXCERPT_BEFORE)
        piece = self.seamed[left : min(end, start + _EXCERPT_AFTER) + _EXCERPT_BEFORE]
        return " ".join(piece.replace(SEAM, "").split())

    def places(self, words: Sequence[str]) -> Iterator[re.Match[str]]:
        """Give the places where folded words stand one after the other."""
        pattern = re.compile(r"\s+".join(map(re.escape, words)) + r"(?!\w)")
        # Looking for the first word as it is takes a tenth of the time of a pattern.
        at = self.folded.find(words[0])
        while at >= 0:
            if at == 0 or self.folded[at - 1].isspace():
                found = pattern.match(self.folded, at)
                if found:
                    yield found
            at = self.folded.find(words[0], at + len(words[0]))


@dataclass(slots=True)
class PageIndex:
    """The parts of all pages."""

    segments: list[Segment]
    addresses: list[list[str]]  #: of each page
    bases: list[str | None]
    languages: list[str]
    is_cut: bool

    @property
    def is_empty(self) -> bool:
        """Whether no page holds a word."""
        return not any(segment.spaced.strip() for segment in self.segments)


def index_pages(pages: Iterable[str | bytes]) -> PageIndex:
    """Return the index of pages; the parts that show most come first."""
    index = PageIndex([], [], [], [], False)
    room = MAX_TOTAL
    for number, page in enumerate(pages):
        index.is_cut |= len(page) > min(MAX_LENGTH, room)
        parts = page_parts(page_text(page[:room]))
        room = max(room - len(page), 0)
        index.segments.extend(_segments(number, parts))
        index.addresses.append(parts.addresses)
        index.bases.append(parts.base)
        index.languages.append(parts.language)
        index.is_cut |= parts.is_cut
    index.is_cut |= any(segment.is_cut for segment in index.segments)
    order = list(Where)
    index.segments.sort(key=lambda segment: order.index(segment.where))
    return index


def _segments(page: int, parts: PageParts) -> Iterator[Segment]:
    yield Segment(page, Where.TEXT, readable(parts.text))
    for where, keyed in (
        (Where.ATTRIBUTE, parts.attributes),
        (Where.META, parts.meta),
        (Where.JSON_LD, parts.json_ld),
        (Where.SCRIPT, parts.scripts),
    ):
        if keyed:
            yield _keyed(page, where, keyed)


def _keyed(page: int, where: Where, values: Sequence[KeyedText]) -> Segment:
    lines, keys, length, is_cut = list[str](), list[tuple[int, str]](), 0, False
    for key, value in dict.fromkeys(values):
        line = readable(" ".join(value.split()) if "\n" in value else value).strip()
        if not line:
            continue
        if length + len(line) > MAX_KEPT:
            is_cut = True
            break
        keys.append((length, key))
        lines.append(line)
        length += len(line) + 1
    segment = Segment(page, where, "\n".join(lines), keys)
    segment.is_cut = is_cut
    return segment
