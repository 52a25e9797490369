"""Shows that the promises hold: nights on virtual time, and processes that are killed."""
