"""Options of all tests: the quick tests and the sweep, and the order of test files.

`pytest` checks every promise in minutes. `pytest -m server` runs the rest of the tests on
PostgreSQL: the quick tests have what claims, submits and edits there. `pytest -m sweep` runs the
long rest: many seeds, every crash point, the fuzzer, and each property test again with many more
examples.
"""

import gc
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import settings

#: The slowest files, which are started first.
LONGEST = ("test_fuzzed_batches.py", "test_crashes.py")
SWEEP = "sweep"
SERVER = "server"
#: The part of a test's name that says which database it uses.
_SERVER = re.compile(r"[\[-]postgresql[\]-]")
#: Tests of the store that the quick tests run on PostgreSQL too; it is several times slower there.
ON_BOTH = (
    "test_store_at_once.py",
    "test_store_claiming.py",
    "test_store_submissions.py",
    "test_store_laws.py",
)

# No example is timed.
settings.register_profile("quick", max_examples=15, deadline=None)
settings.register_profile(SWEEP, max_examples=200, deadline=None)
# Tests start processes, which must not compile every module again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a long sweep be divided: `--share 3/8` runs the third of eight shares."""
    parser.addoption("--share", metavar="I/N", help="run the I-th of N shares of the tests")


def pytest_configure(config: pytest.Config) -> None:
    """Let property tests draw more examples in a sweep."""
    settings.load_profile(SWEEP if config.option.markexpr == SWEEP else "quick")


def pytest_xdist_auto_num_workers() -> int:
    """Start more workers than cores: tests of real processes mostly wait."""
    return (os.cpu_count() or 1) + 2


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Import a share of the test files first: what one worker compiled, the others need not."""
    worker = getattr(session.config, "workerinput", None)
    if worker is None:
        return
    files = sorted(session.config.rootpath.glob("tests/*/test_*.py"))
    for file in files[int(worker["workerid"][2:]) :: worker["workercount"]]:
        # A file that cannot be imported is reported where it is collected.
        with suppress(Exception, pytest.skip.Exception):
            _import_test_file(file)


def _import_test_file(file: Path) -> None:
    """Import a test file under the name that pytest gives it."""
    names, folder = [file.stem], file.parent
    while (folder / "__init__.py").exists():
        names, folder = [folder.name, *names], folder.parent
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    import_module(".".join(names))


def pytest_collection_finish() -> None:
    """Keep thousands of collected tests out of each search for garbage: they live to the end."""
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Start the slowest files first, then mix files that mostly wait with files that compute."""
    if config.option.markexpr == SWEEP:
        for item in items:
            if item.get_closest_marker("hypothesis"):
                item.add_marker(SWEEP)
    for item in items:
        if _SERVER.search(item.name) and item.path.name not in ON_BOTH:
            item.add_marker(SERVER)
    _keep_share(config, items)
    places = _places({item.path: None for item in items})
    items.sort(key=lambda item: places[item.path])


def _keep_share(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of other shares; each test is in the same share every time."""
    if share := config.option.share:
        which, of = map(int, share.split("/"))
        others = [item for item in items if crc32(item.nodeid.encode()) % of != which - 1]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if crc32(item.nodeid.encode()) % of == which - 1]


def _places(files: Iterable[Path]) -> Mapping[Path, tuple[bool, int]]:
    """Return the place of each file in the order: folders take turns."""
    before: Counter[Path] = Counter()
    places = {}
    for file in files:
        places[file] = (file.name not in LONGEST, before[file.parent])
        before[file.parent] += 1
    return places
