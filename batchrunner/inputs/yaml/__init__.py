"""Job files (YAML) → job specs, or every mistake with its line."""

from batchrunner.inputs.job_fields import JOB_FIELDS, NAME, SECTIONS, SETTINGS_FIELDS
from batchrunner.inputs.problem_report import report
from batchrunner.inputs.problems import JobFileErrors, Problem
from batchrunner.inputs.record_types import Field
from batchrunner.inputs.yaml.reader import parse, parse_expect

__all__ = [
    "JOB_FIELDS",
    "NAME",
    "SECTIONS",
    "SETTINGS_FIELDS",
    "Field",
    "JobFileErrors",
    "Problem",
    "parse",
    "parse_expect",
    "report",
]
