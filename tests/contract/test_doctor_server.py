"""A checkup of a database on a server, which has no file, no disk and no journal; recounts."""

from __future__ import annotations

import json
import shlex
from contextlib import closing
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool

from batchrunner.cli.commands.doctor import command
from batchrunner.store.counter_names import Number, Numbers
from batchrunner.store.counters import NOBODY, add_numbers, drift
from batchrunner.store.store import Store
from tests.fakes import begin, start

pytestmark = pytest.mark.server


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TINYFISH_API_KEY", "TINYFISH_API_KEY_FILE", "TINYFISH_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def doctor(address: str) -> Result:
    return CliRunner().invoke(command, ["--db", address, "--json"])


def checks(result: Result) -> dict[str, Any]:
    return {check["check"]: check for check in json.loads(result.stdout)["checks"]}


@pytest.mark.sweep
def test_an_empty_database_is_fine_and_stays_empty(postgresql: str) -> None:
    for _ in range(2):
        ended = doctor(postgresql)
        assert ended.exit_code == 0, ended.output
        assert checks(ended)["schema"]["found"].startswith("nothing is in it yet")


def test_a_database_on_a_server_is_judged_without_a_file(postgresql: str) -> None:
    with closing(Store.open(postgresql)) as store:
        start(store, begin(store, 3, concurrency=2))
    ended = doctor(postgresql)
    assert ended.exit_code == 0, ended.output
    found = checks(ended)
    assert found["server"]["found"].startswith("PostgreSQL 1")
    assert {found[name]["mark"] for name in ("encryption", "rights", "server_clock")} == {"ok"}
    assert found["books"]["mark"] == "ok"
    assert found["open_work"]["found"] == "open jobs: prices 3 of 3"
    assert "with 2 runs in flight" in found["dead_workers"]["found"]
    assert not {"file", "space", "integrity", "journal_mode"} & set(found)


def test_wrong_numbers_are_put_right_by_the_command_that_is_named(
    store: Store, address: str
) -> None:
    batch = begin(store, 3)
    store.write(add_numbers, batch.id, NOBODY, Numbers({(Number.STEPS, ""): 7}))
    ended = doctor(address)
    books = checks(ended)["books"]
    assert (ended.exit_code, books["mark"]) == (3, "bad")
    program, name, *args = shlex.split(books["fix"])
    assert (program, name, args[:2]) == ("batchrunner", "doctor", ["--recount", "--db"])
    assert store.read(drift, batch.id), "nothing changes unless it is asked for"
    ended = CliRunner().invoke(command, [*args, "--json"])
    assert ended.exit_code == 0, ended.output
    assert checks(ended)["recount"]["found"].endswith("counted again: prices")
    assert not store.read(drift, batch.id)
    assert "recount" not in checks(CliRunner().invoke(command, [*args, "--json"]))


def test_a_user_who_may_not_make_tables_is_warned(postgresql: str) -> None:
    Store.open(postgresql).close()
    guest = f"guest_of_{make_url(postgresql).database}"
    engine = create_engine(
        make_url(postgresql).set(drivername="postgresql+psycopg"), poolclass=NullPool
    )
    with engine.begin() as tx:
        tx.execute(text(f"CREATE ROLE {guest} LOGIN"))
        tx.execute(text("REVOKE CREATE ON SCHEMA public FROM PUBLIC"))
        tx.execute(text(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {guest}"))
    address = make_url(postgresql).set(username=guest, password=None)
    found = checks(doctor(address.render_as_string()))
    with engine.begin() as tx:
        tx.execute(text(f"DROP OWNED BY {guest}"))
        tx.execute(text(f"DROP ROLE {guest}"))
    assert found["rights"]["mark"] == "warning"
    assert found["books"]["mark"] == "ok"


def test_a_server_that_is_not_there_is_bad_and_no_password_is_shown() -> None:
    ended = doctor("postgresql://me:sk-canary@127.0.0.1:1/none")
    assert ended.exit_code == 3
    assert checks(ended)["reading"]["mark"] == "bad"
    assert "canary" not in ended.output


def test_an_address_that_is_none_is_bad_and_not_repeated() -> None:
    for address in ("mysql://me:sk-canary@host/x", "postgresql://me:sk-canary@host:port/x", "://"):
        ended = doctor(address)
        assert ended.exit_code == 3
        assert checks(ended)["reading"]["mark"] == "bad"
        assert "canary" not in ended.output
