"""The database of batches, jobs and attempts; one function is one transaction."""
