"""Checks that a wheel holds the program and nothing else."""

import sys
import zipfile
from pathlib import Path

wheel = zipfile.ZipFile(sys.argv[1])
found = {name for name in wheel.namelist() if ".dist-info/" not in name}
expected = {str(path) for path in Path("batchrunner").rglob("*") if path.is_file()} | {
    f"batchrunner/{path}" for path in Path("migrations").rglob("*") if path.is_file()
}
expected = {name for name in expected if "__pycache__" not in name}
if found != expected:
    sys.exit(f"missing: {sorted(expected - found)}\nunexpected: {sorted(found - expected)}")
sys.stdout.write(f"{len(found)} files, {Path(sys.argv[1]).stat().st_size // 1024} KB\n")
