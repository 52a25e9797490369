"""Webhooks in real processes: fewer looks where they come, the same results where they do not."""

from __future__ import annotations

import re
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from batchrunner.policy.poll_interval import MIN_POLL_INTERVAL
from batchrunner.sandbox import SandboxConfig
from batchrunner.sandbox.http.server import Served, serve
from batchrunner.tinyfish.webhook_server import MAX_CONNECTIONS
from tests.e2e.programs import (
    CANARY,
    batchrunner,
    check_books,
    pages,
    started,
    wait_until,
    write_jobs,
)

LISTEN = ("--webhook-listen", "127.0.0.1:0")


@dataclass
class Counted:
    """A sandbox that may call plain http, in a folder with jobs, and what it was asked."""

    folder: Path
    served: Served
    requests: Counter[str] = field(default_factory=Counter)

    @property
    def env(self) -> dict[str, str]:
        return {"TINYFISH_API_KEY": CANARY, "TINYFISH_BASE_URL": self.served.url}

    @property
    def looks(self) -> int:
        return self.requests["/v1/runs/batch"]

    def addresses(self) -> set[str]:
        """Return where runs that were created so far call."""
        path = self.folder / "served.jsonl"
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        return set(re.findall(r'"webhook_url": ?"([^"]+)"', text))


@contextmanager
def counted(folder: Path, seconds: float, jobs: int, **variants: str) -> Iterator[Counted]:
    """Serve a sandbox of this process, whose runs take so many *seconds*, while the block runs."""
    folder.mkdir()
    write_jobs(folder, pages(jobs), concurrency=2)
    requests: Counter[str] = Counter()

    def counting(app: Any, world: SandboxConfig) -> Any:
        async def front(scope: Any, receive: Any, send: Any) -> None:
            requests[scope.get("path", "")] += 1
            await app(scope, receive, send)

        return front

    world = SandboxConfig(
        durations=(seconds, seconds), variants={"webhook_url": "http", **variants}
    )
    with serve(world, journal_path=folder / "served.jsonl", middleware=counting) as served:
        yield Counted(folder, served, requests)


@pytest.mark.sweep
def test_webhooks_are_heard_and_their_loss_changes_no_result(tmp_path: Path) -> None:
    nowhere = ("--webhook-url", "http://127.0.0.1:9/nobody")
    ways = {"none": (), "heard": LISTEN, "lost": (*LISTEN, *nowhere)}
    with ExitStack() as stack:
        remotes = {name: stack.enter_context(counted(tmp_path / name, 6.0, 6)) for name in ways}
        programs = {
            name: stack.enter_context(
                started("run", "jobs.yaml", *args, cwd=remotes[name].folder, env=remotes[name].env)
            )
            for name, args in ways.items()
        }
        said = {name: program.end() for name, program in programs.items()}
        assert {ended.code for ended in said.values()} == {0}
        for remote in remotes.values():
            check_books(remote.folder, 6, list(remote.served.journal.runs))
        exports = {(remote.folder / "jobs.results.csv").read_bytes() for remote in remotes.values()}
    assert "none came" in said["lost"].err
    assert "none came" not in said["heard"].err
    assert len({re.sub(rb"[0-9a-f-]{36}|20\d\d-[^,]*", b"", each) for each in exports}) == 1


@pytest.mark.sweep
def test_whatever_comes_to_the_port_is_a_look_at_most_and_the_secret_is_told_nobody(
    tmp_path: Path,
) -> None:
    with counted(tmp_path / "here", 4.0, 4) as remote, ExitStack() as stack:
        program = stack.enter_context(
            started("run", "jobs.yaml", *LISTEN, cwd=remote.folder, env=remote.env)
        )
        (address,) = wait_until(remote.addresses, "runs were created")
        parts = urlsplit(address)
        secret, place = parts.path[1:], (parts.hostname or "", parts.port or 0)
        head = f"POST /{secret} HTTP/1.1\r\nHost: here\r\nContent-Length: ".encode()
        for body in (b"{}", b"garbage", b'{"run_id": "of-another"}', b"\xff" * 70_000) * 50:
            assert b" 200 " in call(place, head + str(len(body)).encode() + b"\r\n\r\n" + body)
        assert b" 404 " in call(place, b"POST /wrong HTTP/1.1\r\nHost: here\r\n\r\n")
        for _ in range(MAX_CONNECTIONS + 10):
            slow = stack.enter_context(socket.create_connection(place))
            slow.sendall(head + b"60000\r\n\r\nslow")
        ended = program.end()
        assert ended.code == 0
        check_books(remote.folder, 4, list(remote.served.journal.runs))
        # Two rounds of four seconds, and what starting and ending take.
        assert remote.looks <= 20 / MIN_POLL_INTERVAL.total_seconds()
    assert secret not in ended.said
    for path in remote.folder.iterdir():
        assert path.name == "served.jsonl" or secret.encode() not in path.read_bytes(), path


def call(place: tuple[str, int], request: bytes) -> bytes:
    """Send bytes to a port and return what comes back until it hangs up."""
    answer = b""
    with socket.create_connection(place, timeout=30) as connection:
        try:
            connection.sendall(request)
            while piece := connection.recv(4096):
                answer += piece
        except ConnectionError:
            pass  # it hung up on the rest of a long body
    return answer


def test_a_port_that_is_taken_is_reported_before_anything_is_submitted(tmp_path: Path) -> None:
    with counted(tmp_path / "here", 1.0, 2) as remote, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        listen = ("--webhook-listen", f"127.0.0.1:{port}")
        ended = batchrunner("run", "jobs.yaml", *listen, cwd=remote.folder, env=remote.env)
        assert ended.code == 3
        assert f"--webhook-listen 127.0.0.1:{port} cannot be used" in ended.err
        assert "tip: name another port" in ended.err
        assert remote.served.journal.runs == ()


@pytest.mark.sweep
def test_an_api_that_refuses_the_address_costs_no_job_and_is_reported(tmp_path: Path) -> None:
    with counted(tmp_path / "here", 1.0, 3, webhook_url="https") as remote:
        ended = batchrunner("run", "jobs.yaml", *LISTEN, cwd=remote.folder, env=remote.env)
        assert ended.code == 0
        assert "going on without the webhook" in ended.err
        check_books(remote.folder, 3, list(remote.served.journal.runs))
    assert not any("webhook_url" in run.body for run in remote.served.journal.runs)


@pytest.mark.sweep
def test_the_sandbox_of_a_run_calls_back(tmp_path: Path) -> None:
    write_jobs(tmp_path, pages(2))
    ended = batchrunner("run", "jobs.yaml", "--sandbox", *LISTEN, cwd=tmp_path)
    assert ended.code == 0
    assert "webhooks: listening on 127.0.0.1 port" in ended.err
    assert "none came" not in ended.err
