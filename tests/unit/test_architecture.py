"""Rules about the code that import contracts cannot express."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import batchrunner

PACKAGE = Path(batchrunner.__file__).parent
#: The client's methods that create runs, which cost money.
CREATE_METHODS = {"create", "create_one", "create_streaming"}
#: A method of SQLAlchemy with one of these names.
OTHER_METHODS = {"URL.create"}
#: Packages that cannot reach the API client: a `create` there is another one.
WITHOUT_CLIENT = ("sandbox", "store")


def calls_of(methods: set[str]) -> dict[str, set[str]]:
    """Return which of these methods each module calls, by the module's path."""
    found: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        module = path.relative_to(PACKAGE)
        if module.parts[0] in WITHOUT_CLIENT:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Attribute) and ast.unparse(called) in OTHER_METHODS:
                continue
            if isinstance(called, ast.Attribute) and called.attr in methods:
                found.setdefault(module.as_posix(), set()).add(called.attr)
    return found


def test_only_the_submitter_creates_runs() -> None:
    assert calls_of(CREATE_METHODS) == {
        "runner/submitter.py": {"create", "create_one"},
        # A way to read the answer; its own `create` is called by the submitter.
        "runner/streamed_create.py": {"create_streaming"},
    }


def test_every_http_client_comes_from_one_constructor() -> None:
    kinds = ("Client(", "AsyncClient(", "HTTPTransport(", "AsyncHTTPTransport(")
    other = re.compile(
        r"^\s*(import|from) (urllib\.request|http\.client|aiohttp|requests)( import|$)", re.M
    )
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        makes = any(f"httpx.{kind}" in text for kind in kinds)
        assert makes is (path == PACKAGE / "network" / "clients.py"), path
        assert not other.search(text), path
        assert not re.search(r"httpx\.(get|post|stream|request)\(", text), path


def test_the_packages_that_are_left_out_cannot_reach_the_client() -> None:
    for name in WITHOUT_CLIENT:
        for path in (PACKAGE / name).rglob("*.py"):
            assert "batchrunner.tinyfish" not in path.read_text(encoding="utf-8"), path


def test_use_cases_print_nothing_and_know_no_command_line() -> None:
    for path in (PACKAGE / "app").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not any(name.split(".")[0] == "click" for name in names), path
            assert not any(name.startswith("batchrunner.cli") for name in names), path
            assert not (isinstance(node, ast.Name) and node.id == "print"), path
