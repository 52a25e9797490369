"""Limits of the TinyFish API: runs per request, steps, and lengths of what it takes and sends."""

from __future__ import annotations

#: Maximum runs that one request creates, reads or cancels (run-batch, runs/batch,
#: runs/batch/cancel), and that one page of the list of runs shows.
MAX_RUNS_PER_REQUEST = 100
#: Maximum length of a run's id. The API's own ids are UUIDs; both databases take this much.
MAX_RUN_ID_LENGTH = 200
#: Steps after which the API ends a run that names no `max_steps` (Agent reference).
DEFAULT_STEP_LIMIT = 150
#: Maximum `max_steps` that the API takes (Agent reference).
MAX_STEPS = 500
#: Maximum length of the text that the list of runs is filtered by (List runs page).
MAX_GOAL_FILTER_LENGTH = 500
