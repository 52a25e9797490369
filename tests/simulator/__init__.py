"""Whole batches on virtual time, with injected faults and crashes."""
