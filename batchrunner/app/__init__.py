"""The use cases as functions on values; no click, no printing, no exit codes."""
