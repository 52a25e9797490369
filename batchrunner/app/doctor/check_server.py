"""Checks a database on a server: version, encryption, rights, clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from batchrunner.app.doctor.finding import (
    MAX_CLOCK_DIFFERENCE,
    SET_CLOCK,
    Finding,
    apart,
    ok,
    warning,
)

if TYPE_CHECKING:
    from batchrunner.store.health import Server


def findings(server: Server) -> Iterator[Finding]:
    """Check the server and our connection to it."""
    yield ok("server", f"PostgreSQL {server.version}")
    if server.pooled:
        found = "a pooler stands in front of the server, which may be in any mode"
        yield ok("pooler", f"{found}: no prepared statements, at most 2 connections per process")
    if server.encrypted or server.near:
        how = "encrypted" if server.encrypted else "on this machine"
        yield ok("encryption", f"the connection is {how}")
    else:
        found = "the connection is not encrypted: goals and results can be read on their way"
        yield warning("encryption", found, "export PGSSLMODE=require")
    if server.may_create:
        yield ok("rights", "tables may be created")
    else:
        found = "tables may not be created: an upgrade of the schema would fail"
        yield warning("rights", found, "psql -c 'GRANT CREATE ON SCHEMA public TO CURRENT_USER'")
    if abs(server.ahead) > MAX_CLOCK_DIFFERENCE:
        yield warning("server_clock", apart(server.ahead, "the server's"), SET_CLOCK)
    else:
        yield ok("server_clock", "its clock and this machine's agree")
