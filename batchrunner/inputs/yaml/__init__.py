"""Reads job files in YAML: returns job specs, or every problem with its line."""

from batchrunner.inputs.job_fields import JOB_FIELDS, NAME, SECTIONS, SETTINGS_FIELDS
from batchrunner.inputs.problem_report import report
from batchrunner.inputs.record_types import Field
from batchrunner.inputs.yaml.reader import NO_HEAD, Head, parse, parse_expect, parse_head
from batchrunner.model.problems import JobFileErrors, Problem

__all__ = [
    "JOB_FIELDS",
    "NAME",
    "NO_HEAD",
    "SECTIONS",
    "SETTINGS_FIELDS",
    "Field",
    "Head",
    "JobFileErrors",
    "Problem",
    "parse",
    "parse_expect",
    "parse_head",
    "report",
]
