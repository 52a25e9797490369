"""Types of lists and mappings in a job file: their keys, and which keys need each other."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from batchrunner.inputs.field_types import INVALID, FieldType, Refused, did_you_mean, refuse
from batchrunner.inputs.nodes import Items, Node, Pairs, Scalar
from batchrunner.inputs.problem_log import ProblemLog


class Field(NamedTuple):
    """A key of a mapping: the type of its value, and its meaning for the documentation."""

    type: FieldType
    meaning: str


@dataclass(frozen=True, kw_only=True)
class ListOf:
    """A list of values of one type, which is not empty."""

    item: FieldType

    @property
    def expected(self) -> str:
        """What a value must be."""
        return f"a list of {self.item.expected}"

    def read(self, node: Node, name: str, log: ProblemLog) -> list[Any] | Refused:
        """Return the values."""
        if type(node) is not Items or not node.nodes:
            return refuse(name, self.expected, node, log)
        values = [self.item.read(item, f"an entry of {name}", log) for item in node.nodes]
        return INVALID if INVALID in values else values


@dataclass(frozen=True, kw_only=True)
class MapOf:
    """A mapping of any keys to values of one type."""

    value: FieldType

    @property
    def expected(self) -> str:
        """What a value must be."""
        return f"a mapping of names to {self.value.expected}"

    def read(self, node: Node, name: str, log: ProblemLog) -> dict[str, Any] | Refused:
        """Return the values by their keys."""
        if type(node) is not Pairs:
            return refuse(name, self.expected, node, log)
        values = {
            key: self.value.read(value, f"`{key}` of {name}", log)
            for key, (_, value) in node.nodes.items()
        }
        return INVALID if INVALID in values.values() else values


class KeyRule(NamedTuple):
    """A key of a mapping that needs another key."""

    key: str
    needs: str
    given: Any = None  #: the value for which the rule applies; None: any
    value: Any = None  #: what the other key must be; None: anything, but set
    default: Any = None  #: the value of the other key if it is not set

    def is_broken(self, values: Mapping[str, Any]) -> bool:
        """Return whether the rule is broken; a refused value never breaks it."""
        if self.key not in values or self.given not in (None, values[self.key]):
            return False
        other = values.get(self.needs, self.default)
        kept = other is not None if self.value is None else other == self.value
        return not kept and other is not INVALID

    def report(self, key: Scalar, name: str, log: ProblemLog) -> None:
        """Report at the key that the rule is broken."""
        subject = _as_yaml(self.key, self.given)
        needed = _as_yaml(self.needs, self.value)
        tip = f"add `{needed}`, or remove `{subject}`"
        log.add(f"`{subject}` of {name} needs `{needed}`", key, tip)


def _as_yaml(key: str, value: Any) -> str:
    if value is None:
        return key
    return f"{key}: {str(value).lower() if isinstance(value, bool) else value}"


@dataclass(frozen=True, kw_only=True)
class Record:
    """A mapping with known keys."""

    fields: Mapping[str, Field]
    required: tuple[str, ...] = ()
    rules: tuple[KeyRule, ...] = ()
    expected: str = field(default="a mapping", init=False)

    def read(self, node: Node, name: str, log: ProblemLog) -> dict[str, Any] | Refused:
        """Return the values of the keys that are set."""
        if type(node) is not Pairs:
            known = ", ".join(f"`{key}`" for key in self.fields)
            return refuse(name, self.expected, node, log, f"its keys are {known}")
        values = read_fields(node, self.fields, name, log)
        missing = [key for key in self.required if key not in values]
        for key in missing:
            log.add(
                f"{name} has no `{key}`", node, f"add `{key}`: {self.fields[key].type.expected}"
            )
        broken = [rule for rule in self.rules if rule.is_broken(values)]
        for rule in broken:
            rule.report(node.nodes[rule.key][0], name, log)
        return INVALID if missing or broken or INVALID in values.values() else values


def read_fields(
    node: Pairs,
    fields: Mapping[str, Field],
    name: str,
    log: ProblemLog,
) -> dict[str, Any]:
    """Return the value of each key; INVALID if it was refused or the key is unknown."""
    values: dict[str, Any] = {}
    for key, (key_node, value) in node.nodes.items():
        known = fields.get(key)
        if known is None:
            add_unknown(key_node, fields, name, log)
            values[key] = INVALID
        else:
            values[key] = known.type.read(value, f"`{key}` of {name}", log)
    return values


def add_unknown(key: Scalar, known: Collection[str], name: str, log: ProblemLog) -> None:
    """Report an unknown key."""
    names = ", ".join(f"`{word}`" for word in known)
    tip = did_you_mean(key.text, tuple(known)) or f"known are {names}"
    log.add(f"unknown key `{key.text}` in {name}", key, tip)
