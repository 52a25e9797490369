"""A condition that a column has one of many values, which are one parameter."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ARRAY, Boolean, ColumnElement, Dialect, String, Text, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine


def plain_type(type: TypeEngine[Any]) -> TypeEngine[Any]:
    """
    Return the type of values for a column, without our conversions.

    Text has no length here: a server would cut it to that of the column, and not refuse it.
    """
    plain = type.impl_instance if isinstance(type, TypeDecorator) else type
    return Text() if isinstance(plain, String) else plain


class _Values(TypeDecorator[Iterable[Any]]):
    """Values as an array for a server, and as JSON for a file."""

    impl = Text
    cache_ok = True

    def __init__(self, of: TypeEngine[Any]) -> None:
        super().__init__()
        self.of = of

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return an array where there are arrays."""
        return ARRAY(self.of) if dialect.name == "postgresql" else Text()

    def process_bind_param(self, value: Iterable[Any] | None, dialect: Dialect) -> Any:
        """Convert the values."""
        values = [*(value or ())]
        return values if dialect.name == "postgresql" else json.dumps(values)


class _IsOneOf(FunctionElement[bool]):
    type = Boolean()
    inherit_cache = True

    def self_group(self, against: Any = None) -> Any:
        """Stand alone in AND and OR: `IN (…) = 1` on SQLite would read the whole table."""
        return self


def is_one_of(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """
    Return whether a column's value is one of those of the parameter *name*, an iterable.

    SQLAlchemy's own `in_` writes a parameter for each value into the text of the statement, each
    time anew.
    """
    return _IsOneOf(column, bindparam(name, type_=_Values(plain_type(column.type))))


@compiles(_IsOneOf, "postgresql")
def _in_array(element: Any, compiler: Any, **options: Any) -> str:
    column, values = element.clauses
    return f"{compiler.process(column, **options)} = ANY ({compiler.process(values, **options)})"


@compiles(_IsOneOf)
def _in_json(element: Any, compiler: Any, **options: Any) -> str:
    column, values = element.clauses
    chosen, texts = compiler.process(column, **options), compiler.process(values, **options)
    return f"{chosen} IN (SELECT value FROM json_each({texts}))"
