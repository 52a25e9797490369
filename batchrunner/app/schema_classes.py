"""Classes that know their JSON Schema, such as pydantic models, as values of rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class SchemaClasses:
    """Replaces a class in `output_schema`, such as a pydantic model, by its JSON Schema."""

    def __init__(self) -> None:
        self._schemas: dict[Any, Any] = {}

    def written_out(self, values: Any) -> Any:
        """Return the keys of a job, or of `defaults`, with their schema as JSON values."""
        given = values.get("output_schema") if isinstance(values, Mapping) else None
        if not isinstance(given, type) or not hasattr(given, "model_json_schema"):
            return values
        if given not in self._schemas:
            self._schemas[given] = given.model_json_schema()
        return {**values, "output_schema": self._schemas[given]}
