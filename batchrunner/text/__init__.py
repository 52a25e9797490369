"""Text for terminals: escaping, wrapping, counts and durations."""
