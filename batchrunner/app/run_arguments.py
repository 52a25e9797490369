"""Lists the options of a run in the Python interface, and checks them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypedDict

from batchrunner.app.api_access import ApiAddress
from batchrunner.app.argument_types import PATH_TYPES, check_budget_type, check_text, check_type
from batchrunner.app.budget import given_budget
from batchrunner.app.run_observer import RunObserver
from batchrunner.app.shown_arguments import shows_arguments
from batchrunner.errors import UsageError
from batchrunner.inputs.field_types import did_you_mean


class RunArguments(TypedDict, total=False):
    """
    Options of a run; most have an option of the same name in `batchrunner run`.

    concurrency: runs in flight at most, or 'auto'; stays set
    budget: '500 steps', '$20' or 'none'; stays set
    start_at: submit nothing before, such as '22:00' or a datetime
    until: have nothing in flight any more at that time
    artifacts: folder for what runs captured
    api: what `sandbox()` gives, or an `ApiAccess`; None: the database's
    leave_runs: give up runs that are alive on another account
    limit: run at most so many jobs of the batch in all, the first of the file
    sample: run at most so many jobs of the batch in all, spread over its hosts
    anew: run jobs although the API has fresh runs of them that this database does not know
    webhook_listen: HOST:PORT to receive webhooks at
    webhook_url: https address that leads there
    observer: receives what happens, in the runner's thread
    """

    concurrency: int | str | None
    budget: str | None
    start_at: str | datetime | None
    until: str | datetime | None
    artifacts: str | Path | None
    api: ApiAddress | None
    leave_runs: bool
    anew: bool
    limit: int | None
    sample: int | None
    webhook_listen: str | None
    webhook_url: str | None
    observer: RunObserver | None


#: Shows these arguments as those of a method.
takes_run_arguments = shows_arguments(RunArguments)


def check_run_arguments(given: Mapping[str, Any]) -> None:
    """
    Refuse options that do not exist, and values of wrong types.

    Raises:
        TypeError: There is no such option.
        UsageError: A value is wrong; `concurrency`, `api` and times are checked on use.
    """
    known = tuple(RunArguments.__annotations__)
    for name in given:
        if name not in known:
            tip = did_you_mean(name, known) or f"options are {', '.join(known)}"
            raise TypeError(f"a run has no option {name!r}: {tip}")
    for name in ("start_at", "until"):
        check_type(name, given.get(name), (str, datetime), "'22:00', or a datetime")
    for name in ("webhook_listen", "webhook_url"):
        check_text(name, given.get(name))
    check_type("artifacts", given.get("artifacts"), PATH_TYPES, "the path of a folder")
    for name in ("limit", "sample"):
        check_type(name, given.get(name), (int,), "a number of jobs")
    for name in ("leave_runs", "anew"):
        check_type(name, given.get(name), (bool,), "True or False")
    check_budget_type(given.get("budget"))
    if given.get("budget") is not None:
        given_budget(given["budget"])
    _check_observer(given.get("observer"))


def _check_observer(observer: object) -> None:
    if observer is None or (hasattr(observer, "notify") and hasattr(observer, "count_seconds")):
        return
    raise UsageError(
        f"observer cannot be a value of the type {type(observer).__name__}",
        next="give an object with notify(event) and count_seconds",
    )
