"""An API that behaves, and misbehaves, the same way every time."""

from batchrunner.sandbox.api_variants import VARIANTS
from batchrunner.sandbox.faults import FAULTS
from batchrunner.sandbox.journal import Journal, Run
from batchrunner.sandbox.sandbox import Sandbox
from batchrunner.sandbox.scenario import SandboxConfig

__all__ = ["FAULTS", "VARIANTS", "Journal", "Run", "Sandbox", "SandboxConfig"]
