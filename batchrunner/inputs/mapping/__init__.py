"""Turns rows of tables into job specs: which column is what, templates, options, odd urls."""
