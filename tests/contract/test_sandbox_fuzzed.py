"""Whatever the contract allows or forbids is sent: the sandbox answers as the contract says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Thread
from time import monotonic

import pytest
import uvicorn
from sandbox_stage import DAWN, Reader

from batchrunner.sandbox import Sandbox, World

HERE = Path(__file__).parent
#: Names in `required` and ids of credentials and profiles can be wrong in what a schema allows;
#: `test_sandbox_laws` holds both sides to each other where that can be told apart.
LEFT_OUT = "positive_data_acceptance"
SECONDS = 25


@contextmanager
def served() -> Iterator[str]:
    """Serve a sandbox whose agent goes nowhere and that tells no webhook."""
    begin = monotonic()
    sandbox = Sandbox(
        world=World(durations=(0.001, 0.001)),
        now=lambda: DAWN + timedelta(seconds=monotonic() - begin),
        agent=Reader(),
        keys=frozenset({"sk-test"}),
    )
    config = uvicorn.Config(sandbox.app, port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    socket = config.bind_socket()
    thread = Thread(target=server.run, kwargs={"sockets": [socket]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        socket.close()


@pytest.mark.slow
def test_a_fuzzer_finds_nothing_that_the_contract_does_not_say(tmp_path: Path) -> None:
    with served() as url:
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "run"),
            *(str(HERE.parents[1] / "docs" / "openapi.yaml"), "--url", url),
            *("--header", "X-API-Key: sk-test", "--exclude-checks", LEFT_OUT),
            *("--max-time", str(SECONDS), "--request-timeout", "10", "--seed", "1", "--no-color"),
        ]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, "SCHEMATHESIS_HOOKS": "fuzz_hooks", "PYTHONPATH": str(HERE)},
            capture_output=True,
            text=True,
            timeout=3 * SECONDS,
        )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr
    assert "Tested: 12" in done.stdout
