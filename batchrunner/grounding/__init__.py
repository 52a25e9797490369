"""
Searches pages for the values of a result: which are there, which follow, which are absent.

`grounded`: the value is in the page, in whatever spelling. `derived`: it follows from what is
there: computed, rounded, shortened or reworded. `absent`: it was not found in what was captured,
which does not mean that it is made up: the agent may have seen a later state of the page.
"""

from batchrunner.grounding.check import ground
from batchrunner.grounding.found import Grounded, Grounding, Status, Where, field_path
from batchrunner.grounding.summary import FieldGrounding, GroundingSummary, summarise

__all__ = [
    "FieldGrounding",
    "Grounded",
    "Grounding",
    "GroundingSummary",
    "Status",
    "Where",
    "field_path",
    "ground",
    "summarise",
]
