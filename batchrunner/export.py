"""Compatibility only: keeps `from batchrunner.export import unguard`; exports are in `outputs`."""

from batchrunner.outputs.formula_guard import unguard

__all__ = ["unguard"]
