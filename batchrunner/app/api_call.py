"""Makes single calls to the API for a person, and turns refusals into errors for people."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import anyio

from batchrunner.errors import BatchrunnerError, CannotContinue, UsageError
from batchrunner.model import ApiFault, ApiFaultKind, FailureCategory, RequestFailed
from batchrunner.model.categories import CATEGORIES
from batchrunner.text.terminal import term_safe

if TYPE_CHECKING:
    from batchrunner.app.api_access import ApiAccess
    from batchrunner.tinyfish.console_client import ConsoleClient

T = TypeVar("T")

FIX_AND_RETRY = "mend what it names, and give the command again"


@contextmanager
def api_of(
    *, sandboxed: bool, api_url: str | None, api_key_file: str | None, db: str
) -> Iterator[ApiAccess]:
    """Open the API that a command's options name; errors inside the block are for people."""
    from batchrunner.app.api_access import open_api
    from batchrunner.app.error_translation import errors_for_people

    with (
        errors_for_people(),
        open_api(sandboxed=sandboxed, api_url=api_url, api_key_file=api_key_file, db=db) as api,
    ):
        yield api


def call_api(
    access: ApiAccess,
    call: Callable[[ConsoleClient], Awaitable[T]],
    *,
    about: str,
    missing: str = "not every account has it; the dashboard says what yours has",
    where: str = "",
) -> T:
    """
    Return what *call* returns, with a client that is open while it runs.

    *about* names what is read in errors, as in "the list of runs". *missing* is what to do next
    if the API answers 404. *where* is the run that is read; without it, errors name the API.

    Raises:
        BatchrunnerError: The API refused the call or could not be reached.
    """
    from batchrunner.tinyfish.console_client import ConsoleClient

    async def call_once() -> T:
        async with ConsoleClient(access.url, access.key) as client:
            return await call(client)

    try:
        return anyio.run(call_once)
    except RequestFailed as error:
        raise refusal(error.fault, about, missing, where or access.url) from error


def refusal(fault: ApiFault, about: str, missing: str, where: str) -> BatchrunnerError:
    """Return an error for people; a missing right, a wrong key and empty credits differ."""
    from batchrunner.classify import classify_fault

    message, failure = term_safe(fault.message), classify_fault(fault)
    if fault.kind is ApiFaultKind.STATUS and fault.status == 404:
        what = f"the API has not got {about}: {message}"
        return UsageError(what, next=missing, where=where, why=message)
    if failure.category is FailureCategory.UNAUTHORIZED and fault.status == 403:
        return CannotContinue(
            f"the account has no right to {about}: {message}",
            next="ask for it to be enabled for the account, or do without it",
            where=where,
            why=message,
        )
    if failure.category is FailureCategory.UNAUTHORIZED:
        what = f"the API refuses the key: {message}"
        return CannotContinue(what, next="check TINYFISH_API_KEY", where=where, why=message)
    kind = UsageError if failure.category is FailureCategory.REJECTED else CannotContinue
    return kind(
        f"the API did not give {about}: {message}",
        next=fault.advice or CATEGORIES[failure.category].api_advice or FIX_AND_RETRY,
        where=where,
        why=message,
    )
