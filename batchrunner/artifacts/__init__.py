"""Downloads artifacts of runs into a folder; addresses, bytes and names are all checked."""
