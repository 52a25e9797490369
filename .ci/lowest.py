"""Print the lowest version that pyproject.toml allows of each direct dependency, as constraints."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"
#: The extra of programs that only check what this one writes: any version will do.
CHECKS = "check-exports"
#: name, extras, lowest version, then whatever else bounds it.
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?>=([^,; ]+)")


def floors() -> dict[str, str]:
    """Return the lowest version of each dependency, of the program's and of all extras."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    groups = [project["dependencies"], *(extras[name] for name in extras if name != CHECKS)]
    lowest = {}
    for requirement in (each for group in groups for each in group):
        if requirement.startswith(f"{project['name']}["):
            continue  # its own extras, which are in the list by themselves
        found = _REQUIREMENT.match(requirement)
        if found is None:
            sys.exit(f"pyproject.toml: {requirement}: no lowest version; write `>=` first")
        lowest[found[1]] = found[2]
    return lowest


for name, version in sorted(floors().items()):
    print(f"{name}=={version}")
