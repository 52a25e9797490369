"""Runs a batch: submits jobs, polls their runs, and applies what was decided."""
