"""Messages when a run stops early: what is waited for, and how to continue; digests of keys."""

from __future__ import annotations

import shlex
from datetime import timedelta

import pytest

from batchrunner.app.api_key import digest_of, is_digest_of
from batchrunner.cli.output.batch_text import same_command
from batchrunner.cli.output.status_text import stopping
from batchrunner.model import (
    BatchCounts,
    FailureCategory,
    Finish,
    Job,
    JobState,
    OpenAttempt,
    RunStatus,
)
from batchrunner.policy.run_decision import give_up
from tests.fakes import NOW

KEY = "sk-tinyfish-7f3a9c"


def test_a_digest_identifies_its_key_and_does_not_contain_it() -> None:
    digest = digest_of(KEY)
    assert is_digest_of(KEY, digest)
    assert not is_digest_of(KEY + "x", digest)
    assert KEY not in digest
    assert " " not in digest


def test_two_digests_of_one_key_differ() -> None:
    assert digest_of(KEY) != digest_of(KEY)


@pytest.mark.parametrize(
    ("args", "command"),
    [
        (["run", "jobs.yaml"], "batchrunner run jobs.yaml"),
        (
            ["run", "my jobs.yaml", "--budget", "$20"],
            "batchrunner run 'my jobs.yaml' --budget '$20'",
        ),
        (["run", "a.yaml", "--leave-runs", "-q"], "batchrunner run a.yaml -q"),
    ],
)
def test_the_command_that_continues_can_be_pasted(args: list[str], command: str) -> None:
    assert same_command(args) == command


def test_the_command_that_continues_shows_no_password() -> None:
    line = same_command(["run", "a.yaml", "--db", "postgresql://me:secret@db/night"])
    assert "secret" not in line
    assert shlex.split(line)[-1] == "postgresql://me:***@db/night"


def counts(running: int, unsettled: int) -> BatchCounts:
    return BatchCounts(jobs={JobState.RUNNING: running}, unsettled=unsettled)


@pytest.mark.parametrize(
    ("running", "unsettled", "seconds", "says"),
    [
        (3, 0, 5, "waits for 3 runs in flight ("),
        (1, 1, 61, "waits for 1 minute for 1 run that may exist: the API has yet to say ("),
        (5, 2, 600, "waits for 10 minutes for 3 runs in flight and 2 runs that may exist"),
        (0, 0, 0, "waits for the last writes ("),
    ],
)
def test_stopping_says_what_is_waited_for(
    running: int, unsettled: int, seconds: int, says: str
) -> None:
    line = stopping(counts(running, unsettled), timedelta(seconds=seconds))
    assert says in line
    assert "Ctrl-C again" in line


def test_a_run_that_is_given_up_fails_its_job_and_is_named() -> None:
    job = Job(id=1, key="a", attempt=1, failures=0)
    attempt = OpenAttempt(
        attempt_id=1,
        run_id="run-7",
        submission_id=1,
        marker=None,
        url="https://a.test/",
        job=job,
        status=RunStatus.RUNNING,
        opened_at=NOW,
    )
    transition = give_up(attempt, "it does not end").transition
    assert isinstance(transition, Finish)
    assert transition.state is JobState.FAILED
    assert transition.failure is not None
    assert transition.failure.category is FailureCategory.UNANSWERED
    assert "run-7" in transition.failure.message
