"""Kills real processes on the user's machine, and checks every invariant."""
