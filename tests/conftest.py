"""Lets every test import `tests.fakes`, wherever pytest is started; no example is timed."""

from hypothesis import settings

# What is chosen already stays: where CI is set, Hypothesis draws the same examples each time.
settings.register_profile("patient", settings.default, deadline=None)
settings.load_profile("patient")
