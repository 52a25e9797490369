"""Reads job files and tables: returns job specs, or every problem with its position."""
