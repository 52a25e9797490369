"""Decides how each value of a result is looked for, by what it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from functools import cached_property
from itertools import islice
from typing import Any

from batchrunner.grounding.address_search import (
    Addresses,
    find_email,
    find_phone,
    is_address,
    is_email,
    is_phone,
)
from batchrunner.grounding.computed import explain, number_of
from batchrunner.grounding.date_search import find_date, find_times
from batchrunner.grounding.folding import folded, readable
from batchrunner.grounding.folding import words as words_of
from batchrunner.grounding.found import MAX_KEPT_LENGTH, Grounded, Status, Where
from batchrunner.grounding.long_text import find_long, is_long
from batchrunner.grounding.mixed_search import (
    find_cents,
    find_mixed,
    find_rounded,
    find_scaled,
    find_with_unit,
    find_word_for_number,
    price_parts,
)
from batchrunner.grounding.number_search import Subject, find_number, is_shown_short
from batchrunner.grounding.numbers import canonical_value, is_common
from batchrunner.grounding.page_index import PageIndex
from batchrunner.grounding.short_answers import find_boolean, find_same, is_contradicted, yes_or_no
from batchrunner.grounding.text_search import (
    Hit,
    find_as_written,
    find_inflected,
    find_parts,
    find_reordered,
    find_spread,
    find_symbols,
    has_unspaced,
    spellings,
)
from batchrunner.grounding.values import Leaf, name_words
from batchrunner.grounding.words import CURRENCIES_OF, concepts_of

#: Words for nothing: there is no value to look for.
_NOTHING = re.compile(
    r"\W*|n/?a|none|null|nil|unknown|undefined|not (?:found|specified|listed|mentioned|provided"
    r"|stated|shown|given|applicable)|keine angabe|unbekannt|non specifie|no especificado",
    re.IGNORECASE,
)
#: The same, where a page does not say it itself.
_NO_ANSWER = re.compile(
    r"(?:information |data )?(?:not|un)[ -]?available|nicht (?:verfügbar|angegeben)|non disponible"
    r"|no disponible|no (?:data|information)",
    re.IGNORECASE,
)
#: Fields in which an agent reports about its run, and what it says there.
_REPORT_FIELDS = frozenset({"status", "success", "error", "message", "state", "ok"})
_REPORTS = frozenset(
    {"success", "ok", "completed", "complete", "done", "found", "true", "successful", "no error"}
)
#: Words in a field's name that say little about its value.
_GENERIC = frozenset(
    {"is", "has", "the", "a", "of", "in", "on", "to", "per", "with", "for", "can", "are", "list"}
    | {"value", "data", "item", "items", "info", "text", "name", "type", "number", "id", "count"}
    | {"total", "num", "amount", "current"}
)
#: Longest text that is looked for as it stands, in characters.
_MAX_SOUGHT = 20_000


class Searcher:
    """Searches an index for the values of one result."""

    def __init__(
        self, index: PageIndex, result: Any, url: str | None, named: frozenset[str]
    ) -> None:
        self._index, self._result, self._url, self._named = index, result, url, named
        self._known = set[str]()  #: numbers of the result that were found
        self._anchors: dict[int, dict[str, dict[int, list[int]]]] = {}

    @cached_property
    def _addresses(self) -> Addresses:
        return Addresses(self._index, self._url)

    def search(self, leaf: Leaf) -> Grounded | None:
        """Return what was found of a value; None if pages cannot show or deny it."""
        if isinstance(leaf.value, bool):
            return self._boolean(leaf)
        if isinstance(leaf.value, str):
            return self._text(leaf, leaf.value[:_MAX_SOUGHT])
        return self._number(leaf)

    # ---- by kind ----

    def _boolean(self, leaf: Leaf) -> Grounded | None:
        found = find_boolean(self._index, leaf)
        if found is None:
            return None
        hit, status = found
        return self._found(leaf, hit, status) if hit else self._absent(leaf, "the page denies it")

    def _number(self, leaf: Leaf) -> Grounded | None:
        value = canonical_value(leaf.value)
        if value is None:
            return self._absent(leaf)
        subject = self._subject(leaf)
        if hit := find_number(self._index, value, subject):
            return self._found(leaf, hit)
        return self._inexact(leaf, value, subject) or self._absent(leaf, self._why(value))

    def _inexact(self, leaf: Leaf, value: str, subject: Subject) -> Grounded | None:
        number = Decimal(value)
        if 0 < number < 1 and (share := canonical_value(number * 100)):
            hit = find_number(self._index, share, subject)
            if hit and hit.segment and "%" in hit.segment.text[hit.end : hit.end + 3]:
                return self._found(leaf, hit)
        hit = (
            find_rounded(self._index, value, subject)
            or find_with_unit(self._index, value, subject)
            or find_word_for_number(self._index, value, subject)
            or find_scaled(self._index, value, subject)
            or find_cents(self._index, value, subject)
        )
        if hit:
            return self._found(leaf, hit)
        return None

    def explain(self, leaf: Leaf) -> Grounded | None:
        """Return how an absent number follows from others that were found; None if it does not."""
        number = number_of(leaf.value)
        if number is None:
            return None
        reason = explain(leaf, abs(number), self._result, self._is_known)
        return self._found(leaf, Hit(None, how=reason)) if reason else None

    def _why(self, value: str) -> str:
        if any(value in segment.numbers for segment in self._index.segments):
            return "the number is in the page, but nothing says it is this one"
        return ""

    def _is_known(self, number: Decimal) -> bool:
        return canonical_value(number) in self._known

    def _text(self, leaf: Leaf, value: str) -> Grounded | None:
        if self._is_report(leaf, value) or (_NOTHING.fullmatch(value) and not is_sign(value)):
            return None
        if found := self._of_form(leaf, value):
            return found
        if hit := self._as_date(leaf, value):
            return self._found(leaf, hit)
        if is_long(value):
            hit, how = find_long(self._index, value)
            return self._found(leaf, hit._replace(how=how)) if hit else self._absent(leaf, how)
        ways = (self._as_written, self._as_number, self._in_other_words)
        for find in ways[1:2] if price_parts(value) else ways:
            if hit := find(leaf, value):
                return self._found(leaf, hit)
        return self._not_found(leaf, value)

    def _not_found(self, leaf: Leaf, value: str) -> Grounded | None:
        if (answer := yes_or_no(value)) is not None:
            return self._boolean(replace(leaf, value=answer))
        return None if _NO_ANSWER.fullmatch(value) else self._absent(leaf)

    def _is_report(self, leaf: Leaf, value: str) -> bool:
        return (
            leaf.is_top
            and leaf.name.lower() in _REPORT_FIELDS
            and leaf.name not in self._named
            and " ".join(words_of(value)) in _REPORTS
        )

    def _of_form(self, leaf: Leaf, value: str) -> Grounded | None:
        """Search for what has a form of its own: addresses and phone numbers."""
        if is_email(value):
            hit = find_email(self._index, value)
            return self._found(leaf, hit) if hit else self._absent(leaf)
        if is_address(value) and "schema.org/" not in value:
            if found := self._addresses.find(value):
                where, text, how = found
                return self._at(leaf, where, text, how)
            if "//" in value or value.startswith(("/", "www.")):
                return self._absent(leaf)
        if is_phone(value) and not self._as_date(leaf, value):
            hit = find_phone(self._index, value)
            return self._found(leaf, hit) if hit else None
        return None

    def _as_written(self, leaf: Leaf, value: str) -> Hit | None:
        number = price_parts(value)
        if number is not None:
            return None
        letters = folded(readable(value)).replace(" ", "")
        if not letters:
            return find_symbols(self._index, value)
        needs_context = len(letters) <= (1 if has_unspaced(letters) else 2)
        subject = self._subject(leaf) if needs_context else None
        for hit in find_as_written(self._index, value):
            if is_contradicted(value, hit):
                continue
            if subject is None or self._is_shown(hit, value, subject):
                return hit
        spread = find_spread(self._index, value)
        return spread if spread and not is_contradicted(value, spread) else None

    def _is_shown(self, hit: Hit, value: str, subject: Subject) -> bool:
        if hit.segment is None or not hit.end:
            return False
        return is_shown_short(hit.segment, hit.start, hit.end, value.strip(), subject)

    def _as_number(self, leaf: Leaf, value: str) -> Hit | None:
        subject = self._subject(leaf)
        price = price_parts(value)
        if price is None:
            return find_mixed(self._index, value, subject)
        numbers, currencies = price
        priced = subject._replace(currencies=currencies) if currencies else subject
        for number in numbers:
            if hit := find_number(self._index, number, priced):
                return hit
        for number in numbers:
            if found := self._inexact(leaf, number, priced):
                return Hit(None, how=found.how or "as a percentage", shown=found.excerpt)
        return None

    def _as_date(self, leaf: Leaf, value: str) -> Hit | None:
        return find_date(self._index, readable(value)) or find_times(self._index, readable(value))

    def _in_other_words(self, leaf: Leaf, value: str) -> Hit | None:
        for spelling in spellings(value)[1:]:
            hit = next(find_as_written(self._index, spelling), None)
            if hit and not is_contradicted(spelling, hit):
                return hit
        return (
            find_reordered(self._index, value)
            or find_parts(self._index, value)
            or find_same(self._index, leaf, value)
            or find_inflected(self._index, value)
        )

    # ---- what a value is about ----

    def _subject(self, leaf: Leaf) -> Subject:
        words = leaf.words
        if not frozenset(words) - _GENERIC:  # `total` beside `buildings` counts buildings
            words = [*words, *(each for name in leaf.parent for each in name_words(str(name)))]
        currencies = frozenset[str]()
        for name, part in list(leaf.parent.items())[:50]:
            if "currency" in name.lower() and isinstance(part, str):
                currencies = CURRENCIES_OF.get(part.strip().lower(), frozenset())
        concepts = concepts_of(words)
        return Subject(
            words=frozenset(words) - _GENERIC,
            concepts=concepts,
            anchors=self._anchors_of(leaf),
            currencies=currencies if "price" in concepts else frozenset(),
        )

    def _anchors_of(self, leaf: Leaf) -> dict[int, list[int]]:
        """Return where the other values beside a value stand, by segment."""
        by_name = self._anchors.get(id(leaf.parent))
        if by_name is None:
            by_name = {
                name: places
                for name, part in list(leaf.parent.items())[:20]
                if (places := self._places(part))
            }
            self._anchors[id(leaf.parent)] = by_name
        merged: dict[int, list[int]] = {}
        for name, places in by_name.items():
            if name != leaf.name:
                for segment, each in places.items():
                    merged.setdefault(segment, []).extend(each)
        return merged

    def _places(self, part: Any) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for segment, start in self._starts(part):
            found.setdefault(segment, []).append(start)
        return found

    def _starts(self, part: Any) -> Iterator[tuple[int, int]]:
        if isinstance(part, str) and 3 < len(part) <= 200:
            for hit in islice(find_as_written(self._index, part), 20):
                if hit.segment and hit.end:
                    yield id(hit.segment), hit.start
        elif isinstance(part, int | float) and not isinstance(part, bool):
            value = canonical_value(part)
            if value and not is_common(value):
                for segment in self._index.segments:
                    for place in segment.numbers.get(value, ())[:20]:
                        yield id(segment), place.start

    # ---- answers ----

    def _found(self, leaf: Leaf, hit: Hit, status: Status | None = None) -> Grounded:
        segment = hit.segment
        if (number := number_of(leaf.value)) is not None:
            self._known.add(canonical_value(number) or "")
        return Grounded(
            status=status or (Status.DERIVED if hit.how else Status.GROUNDED),
            value=_short(leaf.value),
            where=segment.where if segment else (Where.URL if hit.shown and not hit.how else None),
            page=segment.page if segment else None,
            excerpt=_short(hit.excerpt),
            how=_short(hit.how),
        )

    def _at(self, leaf: Leaf, where: Where, text: str, how: str) -> Grounded:
        return Grounded(
            status=Status.DERIVED if how else Status.GROUNDED,
            value=_short(leaf.value),
            where=where,
            excerpt=_short(text),
            how=how,
        )

    def _absent(self, leaf: Leaf, how: str = "") -> Grounded:
        if self._index.is_cut:
            how = "not in the part of the page that was searched"
        return Grounded(status=Status.ABSENT, value=_short(leaf.value), how=_short(how))


def is_sign(value: str) -> bool:
    """Say whether a text is the sign of a currency."""
    return value.strip().lower() in CURRENCIES_OF


def _short(value: Any) -> str:
    if not isinstance(value, str):
        value = canonical_text(value)
    cut = value[: MAX_KEPT_LENGTH + 1]
    if len(cut) > MAX_KEPT_LENGTH:
        cut = cut[: MAX_KEPT_LENGTH - 1] + "…"
    return "".join(char if char.isprintable() else " " for char in cut)


def canonical_text(value: Any) -> str:
    """Return a number or boolean as JSON writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    try:
        return str(value)
    except ValueError:
        return "a very long number"
