"""What the commands print: progress, events, status, results."""
