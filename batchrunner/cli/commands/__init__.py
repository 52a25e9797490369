"""One module for each command, under its name."""
