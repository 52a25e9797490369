"""What was captured of runs, brought into a folder: addresses, bytes and names are all checked."""
