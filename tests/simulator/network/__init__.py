"""Faults between the runner and the sandbox."""
