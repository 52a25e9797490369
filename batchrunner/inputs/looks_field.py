"""The key `looks` of a job file's settings."""

from __future__ import annotations

from dataclasses import dataclass, field

from batchrunner.inputs.field_types import INVALID, Choice, Refused
from batchrunner.inputs.nodes import Node
from batchrunner.inputs.problem_log import ProblemLog
from batchrunner.model.job_file import Looks


@dataclass(frozen=True, kw_only=True)
class LooksWord(Choice):
    """How often runs are polled."""

    words: tuple[str, ...] = field(default=tuple(str(each) for each in Looks), init=False)

    def read(self, node: Node, name: str, log: ProblemLog) -> Looks | Refused:
        """Return the member that the word names."""
        word = super().read(node, name, log)
        return INVALID if word is INVALID else Looks(word)
