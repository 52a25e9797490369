"""Reads runs of the account from the API: pages of the list of runs, and single runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from batchrunner.app.api_call import call_api
from batchrunner.text.terminal import term_safe

if TYPE_CHECKING:
    from batchrunner.app.api_access import ApiAccess
    from batchrunner.tinyfish.console_client import ConsoleClient
    from batchrunner.tinyfish.console_views import RunDetails, RunListPage


def read_run_pages(
    api: ApiAccess,
    query: Mapping[str, str],
    on_page: Callable[[RunListPage], None],
    *,
    all_pages: bool = False,
) -> None:
    """
    Read the page of the list of runs that *query* names, or that page and all after it.

    Raises:
        BatchrunnerError: A page could not be read; *on_page* has got those before it.
    """

    async def read(client: ConsoleClient) -> None:
        async for page in client.pages(query):
            on_page(page)
            if not all_pages:
                return

    call_api(api, read, about="the list of runs")


def read_run(
    api: ApiAccess, run_id: str, *, screenshots: str = "url", html: str = "url"
) -> RunDetails:
    """
    Read everything that the API says about a run.

    *screenshots* is `url`, `base64` or `none`, and *html* is `url` or `none`.

    Raises:
        BatchrunnerError: The API does not know the run, or refuses the key.
    """
    return call_api(
        api,
        lambda client: client.show(run_id, screenshots=screenshots, html=html),
        about=f"run {term_safe(run_id)}",
        missing="check the id, and that the key is of the same account",
        where=term_safe(run_id),
    )
