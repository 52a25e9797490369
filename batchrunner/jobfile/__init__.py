"""Job files (YAML) → job specs, or every mistake with its line."""

from batchrunner.jobfile.fields import JOB_FIELDS, SECTIONS, SETTINGS_FIELDS
from batchrunner.jobfile.mistakes import JobFileErrors, Mistake
from batchrunner.jobfile.reading import parse, parse_expect
from batchrunner.jobfile.records import Field
from batchrunner.jobfile.report import report

__all__ = [
    "JOB_FIELDS",
    "SECTIONS",
    "SETTINGS_FIELDS",
    "Field",
    "JobFileErrors",
    "Mistake",
    "parse",
    "parse_expect",
    "report",
]
