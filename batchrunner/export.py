"""Keeps `from batchrunner.export import unguard` working."""

from batchrunner.outputs.formula_guard import unguard

__all__ = ["unguard"]
