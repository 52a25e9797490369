"""Commands import only what they need: what each may not import is listed here."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from batchrunner.store.store import Store
from tests.fakes import begin

#: What takes longer to import than a quick command may take in all.
HEAVY = ("sqlalchemy", "alembic", "anyio", "httpx", "asyncio", "yaml", "rich.console", "starlette")
OURS = ("judge", "runner", "sandbox", "tinyfish", "grounding", "quality", "inputs")
#: Prints, after each command in turn, which of these are imported. The quickest come first.
SCRIPT = """
import contextlib, io, json, sys
from batchrunner.cli import cli
for command in json.loads(sys.argv[1]):
    with contextlib.suppress(SystemExit):
        cli.main(command, prog_name="batchrunner", standalone_mode=False)
    heavy = [name for name in json.loads(sys.argv[2]) if name in sys.modules]
    print(json.dumps(heavy), file=sys.stderr)
"""


def test_quick_commands_import_nothing_heavy(tmp_path: Path) -> None:
    database = str(tmp_path / "jobs.db")
    with closing(Store.open(database)) as store:
        begin(store, 3)
    commands = [
        ["--help"],
        ["export", "--help"],
        ["plan", "--help"],
        ["status", "--db", database],
        ["status", "prices", "--db", database, "--json"],
        ["export", "--db", database, "--format", "csv"],
        ["export", "--db", database, "-o", str(tmp_path / "out.jsonl")],
    ]
    heavy = [*HEAVY, *(f"batchrunner.{name}" for name in OURS)]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(commands), json.dumps(heavy)],
        capture_output=True,
        text=True,
        check=True,
    )
    said = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("[")]
    assert dict(zip(map(" ".join, commands), said, strict=True)) == {
        " ".join(command): [] for command in commands
    }
