"""Reads job files: returns job specs, or every problem with its position."""
