"""Checks of a batch's rows: each gives reasons with the rows that show them; pure."""
