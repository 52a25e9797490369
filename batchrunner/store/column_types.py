"""Column types that mean the same in both databases: moments, and text from outside."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Dialect, String, Text
from sqlalchemy.types import TypeDecorator

from batchrunner.store.instants import instant_of, stored_instant


class UtcDateTime(TypeDecorator[datetime]):
    """A moment as ISO 8601 text in UTC, which sorts by time and is the same in both databases."""

    impl = String(27)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """Convert an aware datetime to text with microseconds."""
        return None if value is None else stored_instant(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:
        """Convert stored text to an aware datetime."""
        return instant_of(value)


class JsonText(TypeDecorator[str]):
    """Text from outside, without the characters that JSON allows and a database refuses."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Replace NUL and lone surrogates."""
        return stored_json_text(value)


def stored_json_text(value: str | None) -> str | None:
    """Return text from outside as a column of JsonText stores it; None for NULL."""
    if value is None:
        return None
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
