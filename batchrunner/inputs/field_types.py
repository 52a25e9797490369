"""Types of single values (text, number, duration, url): each parses a node, or words the error."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from difflib import get_close_matches
from enum import Enum
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple, Protocol

from batchrunner.inputs.nodes import Node, Scalar, boolean, decimal, describe, is_null, whole
from batchrunner.inputs.problem_log import ProblemLog
from batchrunner.model import Budget
from batchrunner.policy.budget import BUDGET_SAYS, RATE_SAYS, budget_of, dollars
from batchrunner.policy.calendar_slots import EVERY_SAYS, parse_every


class Invalid(Enum):
    """The value of a refused node; the log has the reason."""

    INVALID = "invalid"


INVALID: Final = Invalid.INVALID
Refused = Literal[Invalid.INVALID]


class FieldType(Protocol):
    """A type of value: reads a node of a job file."""

    @property
    def expected(self) -> str:
        """What a value must be, as the end of the sentence 'it must be …'."""

    def read(self, node: Node, name: str, log: ProblemLog) -> Any:
        """Return the value of the node, or report what is wrong and return INVALID."""


class ValueFault(NamedTuple):
    """What is wrong with a value, and what to write instead."""

    message: str
    tip: str | None = None


# ---- text ----

#: Control characters that are not allowed in text; NUL cannot even be stored.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True)
class Text:
    """Text as it was written, without white space around it."""

    max_length: int
    one_line: bool = True
    pattern: str | None = None
    expected: str = "text"
    tip: str | None = None

    def read(self, node: Node, name: str, log: ProblemLog) -> str | Refused:
        """Return the text."""
        if type(node) is not Scalar or is_null(node):
            return refuse(name, self.expected, node, log, "quote it if it is meant as text")
        text = node.text.strip()
        if fault := self._fault(text):
            log.add(f"{name} {fault.message}", node, fault.tip)
            return INVALID
        if self.pattern is not None and not re.fullmatch(self.pattern, text):
            return refuse(name, self.expected, node, log, self.tip)
        return text

    def _fault(self, text: str) -> ValueFault | None:
        if not text:
            return ValueFault("is empty")
        if len(text) > self.max_length:
            return ValueFault(f"has {len(text):,} characters; {self.max_length:,} are allowed")
        if not text.isprintable() and (bad := self._unprintable(text)):
            return ValueFault(f"contains the control character {ascii(bad)[1:-1]}", "remove it")
        return None

    def _unprintable(self, text: str) -> str | None:
        if self.one_line:
            return next((each for each in text if not each.isprintable()), None)
        found = _UNPRINTABLE.search(text)
        return found and found[0]


_URL = re.compile(
    r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*)://"
    r"(?:[^/?#@]*@)?"
    r"(?P<host>\[[0-9a-fA-F:.]+\]|[^/?#@:\[\]\\<>\"{}|^`]+)"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?:[/?#].*)?"
)
_BARE_DOMAIN = re.compile(r"(?:[\w-]+\.)+[^\W\d_]{2,}(?:[:/?#].*)?|localhost(?:[:/?#].*)?")


@dataclass(frozen=True, kw_only=True)
class Url:
    """An absolute url with a host."""

    schemes: tuple[str, ...] = ()  #: the first is proposed; empty: any is allowed
    max_length: int = 8192

    @property
    def expected(self) -> str:
        """What a value must be."""
        return "a url" + (f" with {' or '.join(self.schemes)}" if self.schemes else "")

    def read(self, node: Node, name: str, log: ProblemLog) -> str | Refused:
        """Return the url as it was written."""
        if type(node) is not Scalar or is_null(node):
            return refuse(name, self.expected, node, log)
        text = node.text.strip()
        if (fault := self.fault(text)) is not None:
            log.add(f"{name} {fault.message}", node, fault.tip)
            return INVALID
        return text

    def is_valid(self, text: str) -> bool:
        """Return whether it is such a url."""
        url = _URL.fullmatch(text)
        return (
            url is not None
            and len(text) <= self.max_length
            and " " not in text
            and text.isprintable()
            and (not self.schemes or url["scheme"].lower() in self.schemes)
            and int(url["port"] or 0) <= 65535
        )

    def fault(self, text: str) -> ValueFault | None:
        """Return what is wrong with it, and what to write instead."""
        if self.is_valid(text):
            return None
        if len(text) > self.max_length:
            return ValueFault(f"has {len(text):,} characters; {self.max_length:,} are allowed")
        for character in text:
            if character == " ":
                return ValueFault("contains a space", "write %20 for a space that belongs to it")
            if not character.isprintable():
                return ValueFault(f"contains the character {ascii(character)[1:-1]}", "remove it")
        proposed = self.schemes[0] if self.schemes else "http"
        if _BARE_DOMAIN.fullmatch(text):
            return ValueFault(f"has no {proposed}:// in front", f"write {proposed}://{text}")
        if self.schemes and not text.lower().startswith(
            tuple(f"{scheme}://" for scheme in self.schemes)
        ):
            return ValueFault(
                f"must start with {' or '.join(f'{scheme}://' for scheme in self.schemes)}"
            )
        return ValueFault(
            "has no valid host and port", f"write it like {proposed}://example.com/page"
        )


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def expected(self) -> str:
        """What a value must be."""
        return "one of " + ", ".join(f"`{word}`" for word in self.words)

    def read(self, node: Node, name: str, log: ProblemLog) -> str | Refused:
        """Return the word."""
        if type(node) is Scalar and node.text in self.words:
            return node.text
        tip = did_you_mean(node.text, self.words) if type(node) is Scalar else None
        return refuse(name, self.expected, node, log, tip)


# ---- switches and numbers ----


@dataclass(frozen=True, kw_only=True)
class Boolean:
    """True or false."""

    expected: str = "true or false"

    def read(self, node: Node, name: str, log: ProblemLog) -> bool | Refused:
        """Return the boolean; `yes`, `no`, `on` and `off` are booleans only here."""
        value = boolean(node)
        if value is not None:
            return value
        return refuse(name, self.expected, node, log, _unquote(node, boolean))


@dataclass(frozen=True, kw_only=True)
class WholeNumber:
    """A whole number."""

    minimum: int
    maximum: int | None = None

    @property
    def expected(self) -> str:
        """What a value must be."""
        bounds = (
            f"from {self.minimum} to {self.maximum}"
            if self.maximum
            else f"of {self.minimum} or more"
        )
        return f"a whole number {bounds}"

    def read(self, node: Node, name: str, log: ProblemLog) -> int | Refused:
        """Return the number."""
        value = self.number_of(node)
        return refuse(name, self.expected, node, log, self.tip(node)) if value is None else value

    def number_of(self, node: Node) -> int | None:
        """Return the number within the bounds that a value is; None if it is none."""
        value = whole(node)
        if value is None or value < self.minimum:
            return None
        return None if self.maximum is not None and value > self.maximum else value

    def tip(self, node: Node) -> str | None:
        """Say how to write a value that is no whole number; None if that is unknown."""
        return None if whole(node) is not None else _unquote(node, whole) or _digits(node)


def _unquote(node: Node, reads: Any) -> str | None:
    if type(node) is Scalar and not node.plain and reads(node._replace(plain=True)) is not None:
        return "remove the quotes"
    return None


def _digits(node: Node) -> str | None:
    if type(node) is Scalar and re.fullmatch("0[0-9]+", node.text, re.ASCII):
        return f"write {node.text.lstrip('0') or 0}; a number with a 0 in front is octal in YAML"
    if type(node) is Scalar and node.text[:1].isdecimal():
        return "write it in decimal digits only"
    return None


_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_UNITS_TEXT = re.compile("".join(rf"(?:(?P<{unit}>[0-9]{{1,9}}){unit})?" for unit in _UNITS))
_SECONDS_TEXT = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,6})?")


@dataclass(frozen=True, kw_only=True)
class Duration:
    """A length of time: seconds, or text like `1h30m`."""

    maximum: timedelta

    @property
    def expected(self) -> str:
        """What a value must be."""
        return (
            f"seconds, or a duration like `30s`, `5m` or `1h30m`, of at most {self.maximum.days}d"
        )

    def read(self, node: Node, name: str, log: ProblemLog) -> timedelta | Refused:
        """Return the length of time, which is above zero."""
        seconds = _seconds(node.text) if type(node) is Scalar else None
        if seconds is None or not 0 < seconds <= self.maximum.total_seconds():
            return refuse(name, self.expected, node, log)
        return timedelta(seconds=seconds)


def _seconds(text: str) -> float | None:
    if _SECONDS_TEXT.fullmatch(text):
        return float(text)
    parts = _UNITS_TEXT.fullmatch(text)
    if not text or parts is None:
        return None
    return float(sum(int(parts[unit] or 0) * seconds for unit, seconds in _UNITS.items()))


def duration_of(text: str) -> timedelta | None:
    """Return a length of time above zero, such as `7d` or `1h30m`; None if it is none."""
    seconds = _seconds(text)
    return timedelta(seconds=seconds) if seconds else None


@dataclass(frozen=True, kw_only=True)
class SlotLength:
    """How long the slots of a series are."""

    expected: str = EVERY_SAYS

    def read(self, node: Node, name: str, log: ProblemLog) -> str | Refused:
        """Return it as options spell it."""
        if type(node) is not Scalar or is_null(node):
            return refuse(name, self.expected, node, log)
        try:
            return str(parse_every(node.text))
        except ValueError as error:
            return refuse(name, self.expected, node, log, str(error))


# ---- money ----


@dataclass(frozen=True, kw_only=True)
class BudgetAmount:
    """The maximum cost of a batch."""

    expected: str = BUDGET_SAYS

    def read(self, node: Node, name: str, log: ProblemLog) -> Budget | Refused:
        """Return the budget."""
        budget = budget_of(node.text.strip()) if type(node) is Scalar else None
        return refuse(name, self.expected, node, log, _unit_tip(node)) if budget is None else budget


@dataclass(frozen=True, kw_only=True)
class Dollars:
    """An amount of dollars above 0."""

    expected: str = RATE_SAYS

    def read(self, node: Node, name: str, log: ProblemLog) -> Decimal | Refused:
        """Return the amount."""
        amount = dollars(node.text.strip()) if type(node) is Scalar else None
        return (
            refuse(name, self.expected, node, log, _dollar_tip(node)) if amount is None else amount
        )


def _unit_tip(node: Node) -> str | None:
    """Return a tip for a number without a unit."""
    number = decimal(node)
    if number is None or number <= 0:
        return None
    steps = f"`{number} steps` or " if whole(node) is not None else ""
    return f"say of what: {steps}`${number}`"


def _dollar_tip(node: Node) -> str | None:
    number = decimal(node)
    return f"write `${node.text}`" if type(node) is Scalar and number and number > 0 else None


# ---- reporting problems ----


def refuse(
    name: str, expected: str, node: Node, log: ProblemLog, tip: str | None = None
) -> Refused:
    """Report that the node is not what is expected."""
    if type(node) is Scalar and node.plain and not node.text:
        tip = "write a value; quote text that starts with `#`"
    log.add(f"{name} must be {expected}, not {describe(node)}", node, tip)
    return INVALID


def did_you_mean(word: str, words: tuple[str, ...]) -> str | None:
    """Return a tip with the word that the user probably meant, if there is one."""
    return _closest(word[:100], words)


@lru_cache(maxsize=1024)  # the same typing error is often in every job
def _closest(word: str, words: tuple[str, ...]) -> str | None:
    meant = word.lower().replace("-", "_")
    # In a short word, two swapped letters leave too little for get_close_matches.
    swapped = [known for known in words if sorted(known) == sorted(meant)]
    close = swapped or get_close_matches(meant, words, n=1, cutoff=0.7)
    return f"did you mean `{close[0]}`?" if close else None
