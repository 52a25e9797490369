"""Errors for people say where and why, once; the command line prints them as before."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from batchrunner.app.api_call import refusal
from batchrunner.app.error_translation import errors_for_people
from batchrunner.app.load import read_job_file
from batchrunner.app.open_database import open_store
from batchrunner.app.run_batch import stopped
from batchrunner.app.run_observer import say_nothing
from batchrunner.cli.exit_codes import ShownError
from batchrunner.errors import BatchrunnerError, DatabaseError, InputError
from batchrunner.model import ApiFault, ApiFaultKind, Failed, FailureCategory


def test_a_job_file_with_problems_names_the_first_one(tmp_path: Path) -> None:
    path = tmp_path / "jobs.yaml"
    path.write_text("defaults:\n  goal: Read it\njobs:\n  - url: no address\n  - {}\n")
    with pytest.raises(InputError) as caught:
        read_job_file(path)
    first = caught.value.problems[0]
    assert caught.value.where == f"{path}:{first.line}:{first.column}"
    assert caught.value.where.endswith("jobs.yaml:4:10")
    assert caught.value.why == first.message
    assert str(caught.value) == caught.value.what, "the report names them already"


def test_a_database_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("not a database, and longer than its header would be\n" * 20)
    with pytest.raises(DatabaseError) as caught, errors_for_people():
        open_store(str(path), say_nothing)
    assert caught.value.where == str(path)
    assert caught.value.why == "file is not a database"
    assert str(caught.value).count(str(path)) == 1


def test_an_address_that_cannot_be_read_is_not_repeated() -> None:
    with pytest.raises(DatabaseError) as caught, errors_for_people():
        open_store("postgresql://me:secret@db:port/name", say_nothing)
    assert (caught.value.where, caught.value.why) == ("", "")
    assert "secret" not in str(caught.value)


def test_a_refusal_names_the_run_or_the_api() -> None:
    fault = ApiFault(kind=ApiFaultKind.STATUS, status=404, message="no such run")
    error = refusal(fault, "run run-7", "check the id", "run-7")
    assert (error.where, error.why) == ("run-7", "no such run")
    failure = Failed(category=FailureCategory.UNAUTHORIZED, message="bad key")
    assert stopped(failure, "https://api.test").where == "https://api.test"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "none.txt"
    with pytest.raises(BatchrunnerError) as caught, errors_for_people():
        missing.read_text()
    assert caught.value.where == str(missing)
    assert caught.value.why == "No such file or directory"


def test_place_and_cause_are_shown_unless_they_were_said() -> None:
    error = BatchrunnerError("it stopped", next="go on", where="run-7", why="no answer")
    assert str(error) == "run-7: it stopped\n  why: no answer\n  next: go on"
    said = BatchrunnerError("run-7 stopped: no answer", where="run-7", why="no answer")
    assert str(said) == "run-7 stopped: no answer"


def test_the_command_line_prints_what_and_next_only() -> None:
    out = io.StringIO()
    ShownError(BatchrunnerError("it stopped", next="go on", where="run-7", why="none")).show(out)
    assert out.getvalue() == "error: it stopped\n  tip: go on\n"
