"""The sandbox on a real socket."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import httpx
import pytest
from openapi import Judging

from batchrunner.sandbox import SandboxConfig
from batchrunner.sandbox.http import background
from batchrunner.sandbox.http.server import Served, serve
from tests.bounds import HUNG

KEY = {"X-API-Key": "sk-test"}
RUN_ASYNC = "/v1/automation/run-async"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    path = tmp_path_factory.mktemp("served") / "journal.jsonl"
    judging = Judging()
    config = SandboxConfig(durations=(0.001, 0.001))
    with serve(config, journal_path=path, middleware=judging) as served:
        yield served
    assert not judging.mistakes, judging.mistakes


@pytest.fixture
def client(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, headers=KEY) as client:
        yield client


def finished(client: httpx.Client, url: str) -> dict[str, Any]:
    body = {"url": url, "goal": "Read the page", "capture_config": {"html": True}}
    run_id = client.post(RUN_ASYNC, json=body).json()["run_id"]
    while True:
        run: dict[str, Any] = client.get(f"/v1/runs/{run_id}").json()
        if run["finished_at"] is not None:
            return run


def test_the_agent_reads_the_sample_sites_through_the_same_port(client: httpx.Client) -> None:
    run = finished(client, "https://faults.test/any/page")
    assert run["status"] == "COMPLETED"
    step = run["steps"][-1]
    page = client.get(f"/v1/runs/{run['run_id']}/steps/{step['id']}/html")
    assert "<html" in page.text


@pytest.mark.parametrize(
    ("host", "path", "status"),
    [
        ("shop.test", "/", 200),
        ("SHOP.test:8000", "/", 200),
        ("localhost", "/sites/shop/", 200),
        ("localhost:8000", "/v1/runs", 200),
        ("[::1]:8000", "/v1/runs", 200),
        ("shop.test", "/v1/runs", 404),
        ("evil.example", "/v1/runs", 400),
        ("test.evil.example", "/", 400),
        ("localhost.evil.example", "/v1/runs", 400),
    ],
)
def test_only_names_of_this_machine_are_answered(
    client: httpx.Client, host: str, path: str, status: int
) -> None:
    assert client.get(path, headers={"Host": host}).status_code == status


@pytest.mark.parametrize("fault", ["dropped_before", "dropped_after"])
def test_a_dropped_connection_is_a_broken_one(
    client: httpx.Client, served: Served, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = len(served.journal.runs)
    body = {"url": f"https://faults.test/{fault}", "goal": "x"}
    with pytest.raises(httpx.RemoteProtocolError):
        client.post(RUN_ASYNC, json=body)
    assert len(served.journal.runs) - before == (fault == "dropped_after")
    assert caplog.records == []


def test_an_answer_that_never_comes_is_a_timeout(client: httpx.Client, served: Served) -> None:
    before = len(served.journal.runs)
    body = {"url": "https://faults.test/hung_after", "goal": "x"}
    with pytest.raises(httpx.ReadTimeout):
        client.post(RUN_ASYNC, json=body, timeout=0.05)
    assert len(served.journal.runs) - before == 1


def test_a_port_that_is_taken_is_named(served: Served) -> None:
    port = httpx.URL(served.url).port
    with pytest.raises(OSError, match=f"port {port} "), serve(SandboxConfig(), port=port or 0):
        pass


@pytest.mark.sweep
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_quietly(number: signal.Signals, tmp_path: Path) -> None:
    program = (
        "from batchrunner.sandbox import SandboxConfig\n"
        "from batchrunner.sandbox.http.server import serve_forever\n"
        "serve_forever(SandboxConfig(), 0, None, lambda url: print(url, flush=True))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert httpx.get(f"{url}/v1/runs", headers=KEY).status_code == 200
        process.send_signal(number)
        _, errors = process.communicate(timeout=HUNG)
    assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_a_sandbox_starts_is_handled_when_it_has_started(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = background.serve

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        signal.raise_signal(number)  # at the worst moment
        started.append(number)
        return real(*args, **kwargs)

    def end(number: int, _: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    started: list[int] = []
    monkeypatch.setattr(background, "serve", interrupted)
    before = signal.signal(number, end)
    try:
        with pytest.raises(KeyboardInterrupt), background.serve_in_background():
            pass
    finally:
        signal.signal(number, before)
    assert started == [number]
