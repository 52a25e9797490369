"""Commands in messages: they ask the API that the user's own command named."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

#: The commands that ask the API, as a message names them.
_ASKS_THE_API = re.compile(
    r"\bbatchrunner (?:run|recover|audit|cancel|watch|runs (?:list|show|cancel|adopt)"
    r"|artifacts fetch)(?= )"
)
_SANDBOX = "--sandbox"
_API_URL = "--api-url"


def on_same_api(text: str, args: Sequence[str]) -> str:
    """Add to each command in a text the API that these arguments name, unless the text does."""
    given = _api_given(args)
    if not given or _SANDBOX in text or _API_URL in text:
        return text
    return _ASKS_THE_API.sub(lambda found: f"{found[0]} {given}", text)


def _api_given(args: Sequence[str]) -> str:
    from batchrunner.store.address import redacted

    if _SANDBOX in args:
        return _SANDBOX
    for at, arg in enumerate(args):
        if arg.startswith(f"{_API_URL}="):
            return f"{_API_URL} {shlex.quote(redacted(arg.partition('=')[2]))}"
        if arg == _API_URL and at + 1 < len(args):
            return f"{_API_URL} {shlex.quote(redacted(args[at + 1]))}"
    return ""
