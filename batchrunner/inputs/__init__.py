"""Job files to job specs, or every problem with its position."""
