"""The database of batches, jobs and attempts. One function is one transaction."""
