"""Asks the API something for somebody at a terminal, and says what went wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import anyio

from batchrunner.errors import BatchrunnerError, CannotContinue, UsageError
from batchrunner.model import ApiError, ApiFault, FailureCategory, FaultKind
from batchrunner.text.terminal import term_safe

if TYPE_CHECKING:
    from batchrunner.app.api_access import ApiAccess
    from batchrunner.tinyfish.console_client import ConsoleClient

T = TypeVar("T")

#: Why the API refuses → what to do about it.
HINT_BY_CATEGORY = {
    FailureCategory.BILLING_FAILURE: "add credits to the account, then give the same command again",
    FailureCategory.THROTTLED: "wait a minute, then give the same command again",
    FailureCategory.UNREACHABLE: "check with `batchrunner doctor`, or try again later",
}
FIX_AND_RETRY = "mend what it names, and give the command again"


@contextmanager
def api_of(
    *, sandboxed: bool, api_url: str | None, api_key_file: str | None, db: str
) -> Iterator[ApiAccess]:
    """Give the API that a command's options name while the block runs; errors are for people."""
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
) -> T:
    """
    Return what *call* brings of the API; *about* says what is asked for, as in "the list of runs".

    *missing* is what to do where the API has not got it.

    Raises:
        BatchrunnerError: The API did not give it; with what the user can do.
    """
    from batchrunner.tinyfish.console_client import ConsoleClient

    async def asked() -> T:
        async with ConsoleClient(access.url, access.key) as reader:
            return await call(reader)

    try:
        return anyio.run(asked)
    except ApiError as error:
        raise refusal(error.fault, about, missing) from error


def refusal(fault: ApiFault, about: str, missing: str) -> BatchrunnerError:
    """Return a fault as an error for people, which tells a right from a key, and from credits."""
    from batchrunner.classify import classify_fault

    said = term_safe(fault.message)
    failure = classify_fault(fault)
    if fault.kind is FaultKind.STATUS and fault.status == 404:
        return UsageError(
            f"the API has not got {about}: {said}",
            next=missing,
        )
    if failure.category is FailureCategory.UNAUTHORIZED and fault.status == 403:
        return CannotContinue(
            f"the account has no right to {about}: {said}",
            next="ask for it to be enabled for the account, or do without it",
        )
    if failure.category is FailureCategory.UNAUTHORIZED:
        return CannotContinue(f"the API refuses the key: {said}", next="check TINYFISH_API_KEY")
    wrong = failure.category is FailureCategory.REJECTED
    kind = UsageError if wrong else CannotContinue
    return kind(
        f"the API did not give {about}: {said}",
        next=HINT_BY_CATEGORY.get(failure.category, FIX_AND_RETRY),
    )
