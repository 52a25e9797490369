"""Write requirements-dev.lock, or say with `--check` whether it is current.

Writing needs uv (`pip install uv`), which finds versions for all systems and Pythons at once. The
check needs no network: it compares the lock with pyproject.toml, and with what is installed.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "requirements-dev.lock"
HEADER = """\
# The versions that a contributor's environment can be held to. See CONTRIBUTING.md.
# Written by .ci/lock.py from the dependencies in pyproject.toml, whose digest is:
# {digest}
"""
COMPILE = (
    *("-m", "uv", "pip", "compile", "--quiet", "--universal", "--upgrade", "--no-annotate"),
    *("--no-header", "--no-emit-index-url", "--all-extras", "--python-version"),
)


def project() -> dict[str, object]:
    """Return what pyproject.toml says of dependencies."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {
        "name": table["name"],
        "python": table["requires-python"],
        "runtime": table["dependencies"],
        "extras": table["optional-dependencies"],
    }


def digest() -> str:
    """Return what changes whenever a dependency in pyproject.toml does."""
    text = json.dumps(project(), sort_keys=True)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def write() -> None:
    """Write the lock anew, with the newest versions that pyproject.toml allows."""
    lowest = str(project()["python"]).removeprefix(">=")
    command = [sys.executable, *COMPILE, lowest, "pyproject.toml"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        sys.exit("the lock was not written; is uv installed? `pip install uv`")
    LOCK.write_text(HEADER.format(digest=digest()) + done.stdout.decode(), encoding="utf-8")


def faults() -> Iterator[str]:
    """Yield what is wrong with the lock, each as a sentence."""
    text = LOCK.read_text(encoding="utf-8")
    if digest() not in text:
        yield "pyproject.toml names other dependencies than it did when the lock was written"
    entries = [Requirement(line) for line in text.splitlines() if line and line[0] != "#"]
    locked = {
        canonicalize_name(each.name): next(iter(each.specifier)).version
        for each in entries
        if each.marker is None or each.marker.evaluate()
    }
    for needed in direct():
        yield from lack(needed, locked, "pyproject.toml")
    for name, version in locked.items():
        for needed in needs(name, version):
            yield from lack(needed, locked, name)


def direct() -> Iterator[Requirement]:
    """Yield what pyproject.toml asks for here."""
    said = project()
    for group in (said["runtime"], *said["extras"].values()):  # type: ignore[attr-defined]
        needed = map(Requirement, group)
        yield from (each for each in needed if each.name != said["name"])


def needs(name: str, version: str) -> Iterator[Requirement]:
    """Yield what a package asks for, where the locked version is the installed one."""
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return
    if found.version == version:
        yield from (Requirement(each) for each in found.requires or ())


def lack(needed: Requirement, locked: dict[str, str], by: str) -> Iterator[str]:
    """Say that the lock lacks what *by* needs, or has a version that does not fit."""
    if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
        return
    version = locked.get(canonicalize_name(needed.name))
    if version is None:
        yield f"{by} needs {needed}, which the lock does not have"
    elif not needed.specifier.contains(version, prereleases=True):
        yield f"{by} needs {needed}, and the lock has {version}"


if sys.argv[1:] == ["--check"]:
    if found := list(faults()):
        tip = "write it anew: `.venv/bin/pip install uv && .venv/bin/python .ci/lock.py`"
        sys.exit("\n".join((f"{LOCK.name} is not current:", *found, tip)))
    print(f"{LOCK.name} is current")
else:
    write()
