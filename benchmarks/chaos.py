"""Many runners of one batch are killed at random; nothing is lost, nothing is paid twice.

python -m benchmarks.chaos [--postgresql | --sqlite] [--jobs N] [--runners N] [--kills N]
                           [--concurrency N] [--restart] [--seed S]
"""

from __future__ import annotations

import argparse
import secrets
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from batchrunner.selftest.chaos import ChaosPlan, ChaosSite, run_chaos
from batchrunner.selftest.invariants import InvariantViolated


@contextmanager
def postgresql(folder: Path) -> Iterator[ChaosSite]:
    """Start a PostgreSQL server of its own in *folder* while the block runs."""
    with warnings.catch_warnings():
        # It says where it keeps its files where the session has no XDG_RUNTIME_DIR.
        warnings.simplefilter("ignore")
        from pgserver import get_server, pg_ctl  # noqa: PLC0415  # SQLite needs none

        server = get_server(folder / "postgresql")

    def restart() -> None:
        args = ["-l", str(server.log), "-w", "-m", "immediate", "restart"]
        pg_ctl(args, pgdata=server.pgdata, user=server.system_user)
        server.ensure_postgres_running()  # it has another process id now

    try:
        yield ChaosSite(address=server.get_uri(), restart=restart)
    finally:
        server.cleanup()


@contextmanager
def sqlite(folder: Path) -> Iterator[ChaosSite]:
    """Name an SQLite file in *folder*."""
    yield ChaosSite(address=str(folder / "batchrunner.db"))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--postgresql", action="store_true", help="a server of its own: the default")
    kind.add_argument("--sqlite", action="store_true", help="one file instead of a server")
    parser.add_argument("--jobs", type=int, help="5000, or 1000 on SQLite")
    parser.add_argument("--runners", type=int, help="8, or 2 on SQLite")
    parser.add_argument("--concurrency", type=int, help="100, or 50 on SQLite")
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--restart", action="store_true", help="restart PostgreSQL under load")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    given = parser.parse_args()
    if given.sqlite and given.restart:
        parser.error("--restart is for PostgreSQL: SQLite has no server")
    return given


def main() -> None:
    """Print the result, or the promise that broke, and exit with 1 in that case."""
    given = _arguments()
    plan = ChaosPlan(
        jobs=given.jobs or (1000 if given.sqlite else 5000),
        runners=given.runners or (2 if given.sqlite else 8),
        concurrency=given.concurrency or (50 if given.sqlite else 100),
        kills=given.kills,
        seed=given.seed,
        restart=given.restart,
    )
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    database = sqlite if given.sqlite else postgresql
    print(f"{database.__name__}, seed {plan.seed}", flush=True)
    try:
        with database(folder) as site:
            for name, value in asdict(run_chaos(plan, site, folder)).items():
                print(f"{name.replace('_', ' '):<16}{value:>12}")
    except InvariantViolated as broken:
        sys.exit(f"BROKEN: {broken}\nseed {plan.seed}; its files are kept in {folder}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
