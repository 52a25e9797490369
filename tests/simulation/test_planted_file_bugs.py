"""Each bug that is planted around the database's file, other files and texts is caught."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batchrunner.app import owned_files
from batchrunner.app.atomic_file import replace_when_complete
from batchrunner.app.load import read_job_file
from batchrunner.app.open_database import open_store
from batchrunner.app.regular_file import special_kind
from batchrunner.app.run_observer import say_nothing
from batchrunner.errors import UsageError
from batchrunner.outputs.formula_guard import guard
from batchrunner.store.database_file import DatabaseFile, lost_database
from batchrunner.store.health import quick_damage
from batchrunner.store.store import Store
from batchrunner.text.terminal import screen_safe
from batchrunner.tinyfish.redaction import Secret
from tests.contract import test_database_file as files
from tests.simulation.planting import Planter
from tests.unit import test_atomic_file, test_export, test_screen

#: What a test raises when it fails; an error that it does not expect is one, too.
CAUGHT = (AssertionError, pytest.fail.Exception, files.StoreError)


def check_damage_is_found(path: Path) -> None:
    files.killed(path)
    files.contradict(path)
    with pytest.raises(files.Damaged):
        open_store(str(path), say_nothing)


def check_a_lost_database_stays_lost(path: Path) -> None:
    files.killed(path)
    path.unlink()
    with pytest.raises(files.StoreError):
        open_store(str(path), say_nothing)


def check_two_names_are_refused(path: Path) -> None:
    files.killed(path)
    os.link(path, path.with_name("second.db"))
    with pytest.raises(files.StoreError):
        Store.open(str(path))


def check_a_loss_is_noticed(path: Path) -> None:
    store = Store.open(str(path))
    try:
        path.unlink()
        with pytest.raises(files.StoreError):
            store.check_file()
    finally:
        store.close()


def check_an_encoded_key_is_removed(_: Path) -> None:
    key = "sk-tf_A1/b+2=C3.d4"
    escaped = "".join(f"\\u{ord(char):04x}" for char in key)
    assert Secret(key).removed_from(escaped.encode()) == b"***"


def check_controls_are_shown(_: Path) -> None:
    test_screen.test_every_way_to_a_terminal_shows_control_characters(
        *test_screen.ATTACKS["clipboard"]
    )


def check_formulas_inside_are_guarded(_: Path) -> None:
    test_export.test_a_name_of_a_column_is_guarded_too()


def check_leftovers_are_removed(path: Path) -> None:
    target = path.parent / "exports" / "out.csv"
    target.parent.mkdir()
    test_atomic_file.killed_while_writing(target)
    owned_files.replace_when_complete(target, lambda file: file.write(b"whole"))
    assert list(target.parent.iterdir()) == [target]


def check_devices_are_refused(_: Path) -> None:
    with pytest.raises(UsageError, match="is a device"):
        read_job_file(Path("/dev/zero"))


def create_without_a_look(file: DatabaseFile) -> None:
    with open(file.target, "ab"):
        pass


def write_beside(path: Path, write: Callable[[Any], Any]) -> Any:
    part = path.with_name(f".batchrunner-{os.urandom(4).hex()}")
    with part.open("wb") as file:
        written = write(file)
    part.rename(path)
    return written


#: The function that is replaced, its substitute, and the check that has to fail then.
BUGS: dict[str, tuple[Callable[..., Any], Callable[..., Any], Callable[[Path], None]]] = {
    "no check after an unclean end": (quick_damage, lambda *_: None, check_damage_is_found),
    "a new database in place of a lost one": (
        lost_database,
        lambda _: None,
        check_a_lost_database_stays_lost,
    ),
    "two names": (DatabaseFile.create, create_without_a_look, check_two_names_are_refused),
    "the first identity is forgotten": (
        DatabaseFile.opened,
        lambda _: None,
        check_a_loss_is_noticed,
    ),
    "only the key as it is": (
        Secret.removed_from,
        lambda _, data: data.replace(b"sk-tf_A1/b+2=C3.d4", b"***"),
        check_an_encoded_key_is_removed,
    ),
    "text is shown as it comes": (screen_safe, lambda text: text, check_controls_are_shown),
    "only the start of a cell": (
        guard,
        lambda text: f"'{text}" if text[:1] == "=" else text,
        check_formulas_inside_are_guarded,
    ),
    "leftovers stay": (replace_when_complete, write_beside, check_leftovers_are_removed),
    "every file is read": (special_kind, lambda *_: None, check_devices_are_refused),
}


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a database to copy, which takes a thousandth of a migration."""
    path = tmp_path_factory.mktemp("empty") / "ledger.db"
    Store.open(str(path)).close()
    return path


@pytest.mark.parametrize("bug", BUGS)
def test_the_bug_is_caught(
    bug: str, tmp_path: Path, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, substitute, check = BUGS[bug]
    for folder in ("sound", "planted"):
        (tmp_path / folder).mkdir()
        shutil.copyfile(empty, tmp_path / folder / "ledger.db")
    check(tmp_path / "sound" / "ledger.db")
    planter = Planter(monkeypatch)
    planter.replace(original, substitute)
    with pytest.raises(CAUGHT):
        check(tmp_path / "planted" / "ledger.db")
    assert not planter.uncalled, "what is replaced here was never called"
