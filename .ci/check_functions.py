"""Checks how long functions are, docstrings left out: none over 40 lines, p95 at most 30."""

import ast
import sys
from pathlib import Path

MOST, P95 = 40, 30


def lengths(path: Path) -> list[tuple[int, str]]:
    """Return the lengths of a module's functions."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            doc = ast.get_docstring(node, clean=False)
            docs = doc.count("\n") + 1 if doc else 0
            length = (node.end_lineno or node.lineno) - node.lineno + 1 - docs
            found.append((length, f"{path}:{node.lineno} {node.name}"))
    return found


every = sorted(entry for path in Path(sys.argv[1]).rglob("*.py") for entry in lengths(path))
p95 = every[int(len(every) * 0.95)][0]
sys.stdout.write(f"{len(every)} functions: p95 {p95} lines, longest {every[-1][0]}\n")
too_long = [name for length, name in every if length > MOST]
if too_long or p95 > P95:
    sys.exit("too long: " + ", ".join(too_long))
