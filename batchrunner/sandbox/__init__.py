"""An API that behaves, and misbehaves, the same way every time."""

from batchrunner.sandbox.fates import FATES
from batchrunner.sandbox.inside import Sandbox
from batchrunner.sandbox.ledger import Ledger, Run
from batchrunner.sandbox.variants import VARIANTS
from batchrunner.sandbox.world import World

__all__ = ["FATES", "VARIANTS", "Ledger", "Run", "Sandbox", "World"]
