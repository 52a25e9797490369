"""Whatever the contract allows or forbids is sent: the sandbox answers as the contract says."""

from __future__ import annotations

import os
import socket
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

from batchrunner.sandbox import Sandbox, SandboxConfig

HERE = Path(__file__).parent
#: Names in `required` and ids of credentials and profiles can be wrong in what a schema allows;
#: `test_sandbox_agrees_with_contract` compares both sides where they can differ.
LEFT_OUT = "positive_data_acceptance"
#: How long it draws: it would for ever.
SECONDS = 8


@contextmanager
def served() -> Iterator[str]:
    """Serve a sandbox whose agent goes nowhere and that tells no webhook."""
    begin = monotonic()
    sandbox = Sandbox(
        config=SandboxConfig(durations=(0.001, 0.001)),
        now=lambda: DAWN + timedelta(seconds=monotonic() - begin),
        agent=Reader(),
        keys=frozenset({"sk-test"}),
    )
    server = uvicorn.Server(uvicorn.Config(sandbox.app, log_level="error", lifespan="off"))
    # With the protocol's name asyncio knows it for TCP, and holds no part of an answer back.
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    thread = Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def fuzzed(where: Path, *args: str) -> str:
    """Send what a fuzzer thinks of; return what it says of that, without finding anything."""
    with served() as url:
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "run"),
            *(str(HERE.parents[1] / "docs" / "openapi.yaml"), "--url", url),
            *("--header", "X-API-Key: sk-test", "--exclude-checks", LEFT_OUT),
            *("--request-timeout", "10", "--seed", "1", "--no-color", *args),
        ]
        done = subprocess.run(
            command,
            cwd=where,
            env={**os.environ, "SCHEMATHESIS_HOOKS": "fuzz_hooks", "PYTHONPATH": str(HERE)},
            capture_output=True,
            text=True,
            timeout=180,
        )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr
    return done.stdout


@pytest.mark.sweep
def test_a_fuzzer_finds_nothing_that_the_contract_does_not_say(tmp_path: Path) -> None:
    said = fuzzed(tmp_path, "--phases", "examples,coverage")
    assert "Selected: 12/12\n  Tested: 12\n" in said


@pytest.mark.sweep
@pytest.mark.parametrize("phase", ["fuzzing", "stateful"])
def test_a_fuzzer_that_draws_finds_nothing_either(phase: str, tmp_path: Path) -> None:
    assert "generated" in fuzzed(tmp_path, "--phases", phase, "--max-time", str(SECONDS))
