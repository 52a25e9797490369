"""Lists and mappings of a job file: which keys there are, and what they need of each other."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from batchrunner.inputs.field_types import INVALID, FieldType, Refused, did_you_mean, refuse
from batchrunner.inputs.nodes import Items, Node, Pairs, Scalar
from batchrunner.inputs.problem_log import ProblemLog


class Field(NamedTuple):
    """A key of a mapping: the shape of its value, and what it is for."""

    shape: FieldType
    meaning: str


@dataclass(frozen=True, kw_only=True)
class ListOf:
    """A list of one shape that is not empty."""

    item: FieldType

    @property
    def says(self) -> str:
        """What a value must be."""
        return f"a list of {self.item.says}"

    def read(self, node: Node, name: str, log: ProblemLog) -> list[Any] | Refused:
        """Return the values."""
        if type(node) is not Items or not node.nodes:
            return refuse(name, self.says, node, log)
        values = [self.item.read(one, f"an entry of {name}", log) for one in node.nodes]
        return INVALID if INVALID in values else values


@dataclass(frozen=True, kw_only=True)
class MapOf:
    """A mapping with any keys and values of one shape."""

    value: FieldType

    @property
    def says(self) -> str:
        """What a value must be."""
        return f"a mapping of names to {self.value.says}"

    def read(self, node: Node, name: str, log: ProblemLog) -> dict[str, Any] | Refused:
        """Return the values by their keys."""
        if type(node) is not Pairs:
            return refuse(name, self.says, node, log)
        values = {
            key: self.value.read(one, f"`{key}` of {name}", log)
            for key, (_, one) in node.nodes.items()
        }
        return INVALID if INVALID in values.values() else values


class KeyRule(NamedTuple):
    """What one key of a mapping needs of another."""

    key: str
    needs: str
    given: Any = None  #: the value for which the rule counts; None: any
    value: Any = None  #: what the other key must be; None: anything, but set
    default: Any = None  #: what the other key is where it is not set

    def is_broken(self, values: Mapping[str, Any]) -> bool:
        """Say whether the rule counts and is not kept; a value that was refused keeps it."""
        if self.key not in values or self.given not in (None, values[self.key]):
            return False
        other = values.get(self.needs, self.default)
        kept = other is not None if self.value is None else other == self.value
        return not kept and other is not INVALID

    def note(self, key: Scalar, name: str, log: ProblemLog) -> None:
        """Note at the key that the rule is broken."""
        subject = _written(self.key, self.given)
        needed = _written(self.needs, self.value)
        tip = f"add `{needed}`, or remove `{subject}`"
        log.add(f"`{subject}` of {name} needs `{needed}`", key, tip)


def _written(key: str, value: Any) -> str:
    if value is None:
        return key
    return f"{key}: {str(value).lower() if isinstance(value, bool) else value}"


@dataclass(frozen=True, kw_only=True)
class Record:
    """A mapping with known keys."""

    fields: Mapping[str, Field]
    required: tuple[str, ...] = ()
    rules: tuple[KeyRule, ...] = ()
    says: str = field(default="a mapping", init=False)

    def read(self, node: Node, name: str, log: ProblemLog) -> dict[str, Any] | Refused:
        """Return the values of the keys that are set."""
        if type(node) is not Pairs:
            known = ", ".join(f"`{key}`" for key in self.fields)
            return refuse(name, self.says, node, log, f"its keys are {known}")
        values = read_fields(node, self.fields, name, log)
        missing = [key for key in self.required if key not in values]
        for key in missing:
            log.add(f"{name} has no `{key}`", node, f"add `{key}`: {self.fields[key].shape.says}")
        broken = [rule for rule in self.rules if rule.is_broken(values)]
        for rule in broken:
            rule.note(node.nodes[rule.key][0], name, log)
        return INVALID if missing or broken or INVALID in values.values() else values


def read_fields(
    node: Pairs,
    fields: Mapping[str, Field],
    name: str,
    log: ProblemLog,
) -> dict[str, Any]:
    """Return the value of each key, INVALID where it was refused or the key is not known."""
    values: dict[str, Any] = {}
    for key, (key_node, value) in node.nodes.items():
        known = fields.get(key)
        if known is None:
            add_unknown(key_node, fields, name, log)
            values[key] = INVALID
        else:
            values[key] = known.shape.read(value, f"`{key}` of {name}", log)
    return values


def add_unknown(key: Scalar, known: Collection[str], name: str, log: ProblemLog) -> None:
    """Note a key that nothing is known about."""
    names = ", ".join(f"`{one}`" for one in known)
    tip = did_you_mean(key.text, tuple(known)) or f"known are {names}"
    log.add(f"unknown key `{key.text}` in {name}", key, tip)
