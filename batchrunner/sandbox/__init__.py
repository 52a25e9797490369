"""A stand-in for the API, with faults, that does the same every time for the same seed."""

from batchrunner.sandbox.api_variants import VARIANTS
from batchrunner.sandbox.faults import FAULTS
from batchrunner.sandbox.journal import Journal, SandboxRun
from batchrunner.sandbox.sandbox import Sandbox
from batchrunner.sandbox.scenario import SandboxConfig

__all__ = ["FAULTS", "VARIANTS", "Journal", "Sandbox", "SandboxConfig", "SandboxRun"]
