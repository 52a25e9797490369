"""Checks that the README's first command brought real values, and that two jobs were retried."""

import csv
import json
import subprocess
import sys
from pathlib import Path

with Path(sys.argv[1]).open(newline="") as file:
    rows = {row["id"]: row for row in csv.DictReader(file)}
assert len(rows) == 12, f"{len(rows)} rows"
assert all(row["state"] == "succeeded" for row in rows.values()), "a job did not succeed"
first = next(row for row in rows.values() if row["url"] == "http://shop.test/products/1")
assert (first["result.name"], first["result.price"]) == ("Aurora Desk Lamp", "49.0"), first
said = subprocess.run(
    [".venv/bin/batchrunner", "status", "example", "--json"], capture_output=True, check=True
)
retried = {entry["id"] for entry in json.loads(said.stdout)["retries"]}
assert len(retried) >= 2, retried
sys.stdout.write(f"12 jobs succeeded, {len(retried)} of them after a retry\n")
