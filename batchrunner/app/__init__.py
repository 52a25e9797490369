"""The use cases: they do the IO, but know no click, print nothing and set no exit codes."""
