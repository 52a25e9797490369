"""A stand-in for the API, with faults, that does the same every time for the same seed."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from batchrunner.sandbox.api_variants import VARIANTS
from batchrunner.sandbox.faults import FAULTS
from batchrunner.sandbox.journal import Journal, SandboxRun
from batchrunner.sandbox.sandbox import Sandbox
from batchrunner.sandbox.scenario import SandboxConfig

if TYPE_CHECKING:
    from batchrunner.sandbox.http.background import BackgroundSandbox

__all__ = ["FAULTS", "VARIANTS", "Journal", "Sandbox", "SandboxConfig", "SandboxRun"]


class _CallablePackage(ModuleType):
    """This package, which can be called: `with batchrunner.sandbox() as api` serves a sandbox."""

    def __call__(self, *args: Any, **kwargs: Any) -> AbstractContextManager[BackgroundSandbox]:
        """Serve a sandbox; see `serve_in_background`."""
        background = import_module(f"{__name__}.http.background")
        served: AbstractContextManager[BackgroundSandbox]
        served = background.serve_in_background(*args, **kwargs)
        return served


# An interface that has both the package `sandbox` and the function `sandbox()` needs one for both.
sys.modules[__name__].__class__ = _CallablePackage
