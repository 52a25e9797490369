"""Kills real processes on the user's machine, and checks that every promise holds."""
