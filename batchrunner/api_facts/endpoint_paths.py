"""The address of the TinyFish API, and the paths of the endpoints that are used."""

from __future__ import annotations

from urllib.parse import quote

DEFAULT_URL = "https://agent.tinyfish.ai"

RUN_BATCH = "/v1/automation/run-batch"
RUN_ASYNC = "/v1/automation/run-async"
RUN_SSE = "/v1/automation/run-sse"
RUNS = "/v1/runs"
RUNS_BATCH = "/v1/runs/batch"
CANCEL_RUNS = "/v1/runs/batch/cancel"
WALLET = "/v1/wallet"
VAULT_ITEMS = "/v1/vault/items"
VAULT_CONNECTIONS = "/v1/vault/connections"
PROFILES = "/v1/profiles"


def run_path(run_id: str) -> str:
    """Return the path of one run."""
    return f"{RUNS}/{quote(run_id, safe='')}"


def cancel_path(run_id: str) -> str:
    """Return the path that cancels one run."""
    return f"{run_path(run_id)}/cancel"


def step_artifact_path(run_id: str, step_id: str, artifact: str) -> str:
    """Return the path of a step's `screenshot` or `html`."""
    return f"{run_path(run_id)}/steps/{quote(step_id, safe='')}/{artifact}"
