"""What comparisons of the editions of a job file overlook."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class DiffSettings:
    """What a comparison overlooks, as a job file writes it; fields are paths in results."""

    tolerance: Mapping[str, str] = field(default_factory=dict)  #: by field: `1%` or `0.05`
    ignore: tuple[str, ...] = ()  #: fields
    keys: Mapping[str, str] = field(default_factory=dict)  #: of lists: what tells elements apart
