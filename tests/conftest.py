"""Lets every test import `tests.fakes`, wherever pytest is started."""
