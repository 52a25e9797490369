"""`batchrunner selftest`: it proves, it tidies up, and it says what broke."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from signal import SIGINT, SIGTERM, Signals

import pytest
from click.testing import CliRunner
from sqlalchemy import make_url

from batchrunner.cli import cli
from batchrunner.selftest import chaos as chaos_module
from batchrunner.selftest.invariants import InvariantViolated, invariant
from batchrunner.selftest.scratch_database import scratch_database
from batchrunner.selftest.summary import ProcessSummary, SelftestSummary
from batchrunner.store.batch_reads import list_batches
from batchrunner.store.database import Database, StoreError
from batchrunner.store.store import Store
from benchmarks import chaos
from tests.e2e.programs import started, wait_until

HAS_SERVER = find_spec("pgserver") is not None and find_spec("psycopg") is not None


@pytest.mark.sweep
def test_it_proves_itself_beside_a_database_that_it_leaves_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.db").write_text("the user's own")
    with started(
        "selftest", "--db", "mine.db", "--nights", "0", "--json", cwd=tmp_path
    ) as selftest:
        ended = selftest.end()
    assert ended.code == 0, ended.said
    found = ended.json()
    assert found["held"]
    assert found["nights"] is None
    killed = found["processes"]
    assert (killed["kills"], killed["stops"], killed["lost"], killed["paid_twice"]) == (8, 1, 0, 0)
    assert killed["in_a_create"] >= 1
    assert [path.name for path in tmp_path.iterdir()] == ["mine.db"]
    assert (tmp_path / "mine.db").read_text() == "the user's own"


@pytest.mark.sweep
@pytest.mark.parametrize(("number", "code"), [(SIGTERM, 143), (SIGINT, 130)])
def test_it_leaves_nothing_behind_when_it_is_ended(
    tmp_path: Path, number: Signals, code: int
) -> None:
    with started("selftest", "--seed", "1", cwd=tmp_path) as selftest:
        selftest.says("killed runner")
        assert len(processes_in(tmp_path)) > 1
        selftest.send(number)
        ended = selftest.end()
    assert ended.code == code, ended.said
    assert list(tmp_path.iterdir()) == []
    assert processes_in(tmp_path) == []


@pytest.mark.sweep
def test_the_files_of_a_killed_selftest_are_removed_by_the_next(
    tmp_path: Path,
) -> None:
    with started("selftest", "--seed", "1", cwd=tmp_path) as selftest:
        selftest.says("killed runner")
        selftest.kill()
    wait_until(lambda: not processes_in(tmp_path), "its sandbox and its runners end")
    (left,) = tmp_path.iterdir()
    with scratch_database(str(tmp_path / "mine.db")) as place:
        assert not left.exists()
        with scratch_database(str(tmp_path / "mine.db")):
            assert place.folder.exists(), "a running self-test was treated as dead"
    assert list(tmp_path.iterdir()) == []


def test_what_is_kept_as_evidence_is_not_removed_by_the_next(tmp_path: Path) -> None:
    with pytest.raises(InvariantViolated), scratch_database(str(tmp_path / "mine.db")) as place:
        invariant(False, "it holds")
    with scratch_database(str(tmp_path / "mine.db")):
        pass
    assert place.folder.exists()


def processes_in(folder: Path) -> list[bytes]:
    """Return the command lines of processes that work on files of a folder."""

    def lines() -> Iterator[bytes]:
        for process in Path("/proc").glob("[0-9]*"):
            try:
                yield (process / "cmdline").read_bytes()
            except OSError:  # it has ended
                continue

    return [line for line in lines() if str(folder).encode() in line]


def test_a_broken_promise_is_reported_with_its_seed_and_its_files_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(
        plan: chaos_module.ChaosPlan, site: chaos_module.ChaosSite, folder: Path, report: object
    ) -> None:
        (folder / "r0.log").write_text("what it said")
        invariant(False, "nothing is paid twice: ['http://shop.test/']\nand more of it")

    monkeypatch.setattr(chaos_module, "run_chaos", broken)
    args = ["selftest", "--db", str(tmp_path / "my.db"), "--seed", "7", "--json"]
    ended = CliRunner().invoke(cli, args)
    (kept,) = tmp_path.iterdir()
    assert ended.exit_code == 1
    assert "a promise was broken: nothing is paid twice: ['http://shop.test/']\n" in ended.stderr
    assert f"kept in {kept}\n" in ended.stderr
    assert f"batchrunner selftest --seed 7 --db {tmp_path}/my.db" in ended.stderr
    assert json.loads(ended.stdout)["held"] is False
    assert (kept / "r0.log").exists()
    shutil.rmtree(kept)


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    ended = CliRunner().invoke(cli, ["selftest", "--db", str(tmp_path / "gone" / "my.db")])
    assert ended.exit_code == 3
    assert "No such file or directory" in ended.stderr


def test_the_summary_fits_a_terminal() -> None:
    figures = dict.fromkeys(ProcessSummary.__dataclass_fields__, 99_999)
    summary = SelftestSummary(
        seed=481_516,
        processes=ProcessSummary(**figures),
    )
    lines = list(summary.lines(verbose=True))
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "lost 99999   paid twice 99999   seed 481516"


# ---- on a server ----


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a PostgreSQL database with a table of the user's."""
    if not HAS_SERVER:
        pytest.skip("pgserver or psycopg is not installed")
    with chaos.postgresql(tmp_path_factory.mktemp("server")) as site:
        asked(site.address, "CREATE TABLE batches (mine TEXT)", "CREATE ROLE weak LOGIN")
        yield site.address


def asked(address: str, *statements: str) -> None:
    with closing(Database.connect(address)) as database, database.write() as tx:
        for statement in statements:
            tx.exec_driver_sql(statement)


def schemas(address: str) -> set[str]:
    with closing(Database.connect(address)) as database, database.read() as tx:
        found = tx.exec_driver_sql("SELECT nspname FROM pg_namespace").scalars()
        return {name for name in found if "selftest" in name}


@pytest.mark.sweep
def test_on_a_server_it_works_in_a_schema_of_its_own_and_drops_it(server: str) -> None:
    with scratch_database(server) as place:
        for _ in range(2):  # as the first runner, and as one that finds it migrated
            with closing(Store.open(place.address)) as store:
                assert store.read(list_batches) == []
        assert schemas(server) == {place.schema}
    assert schemas(server) == set()
    assert not place.folder.exists()
    asked(server, "SELECT mine FROM batches")


@pytest.mark.sweep
def test_on_a_server_the_schema_of_a_killed_one_is_dropped_by_the_next(server: str) -> None:
    with scratch_database(server) as place:
        stale = shutil.copytree(place.folder, f"{place.folder}-stale")  # nobody holds its claim
        with scratch_database(server) as other:
            assert schemas(server) == {other.schema}
            assert not Path(stale).exists()


@pytest.mark.server
def test_on_a_server_a_broken_promise_keeps_its_schema(server: str) -> None:
    with pytest.raises(InvariantViolated) as broken, scratch_database(server) as place:
        invariant(False, "nothing is lost")
    assert schemas(server) == {place.schema}
    assert str(place.schema) in "".join(broken.value.__notes__)
    asked(server, f"DROP SCHEMA {place.schema} CASCADE")
    shutil.rmtree(place.folder)


def test_a_user_who_may_create_no_schema_is_told_what_to_do(server: str) -> None:
    weak = make_url(server).set(username="weak").render_as_string(hide_password=False)
    shown = r"may not create one.*GRANT CREATE ON DATABASE \w+ TO weak"
    with pytest.raises(StoreError, match=shown), scratch_database(weak):
        pass
