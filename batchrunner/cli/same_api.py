"""Commands in messages: they ask the API, or read the database, that the user's command named."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

#: The commands that ask the API, as a message names them.
_ASKS_THE_API = re.compile(
    r"\bbatchrunner (?:run|recover|audit|cancel|watch|runs (?:list|show|cancel|adopt)"
    r"|artifacts fetch)(?= )"
)
#: The commands that only read the database, as errors of the use cases name them.
_READS = re.compile(r"\bbatchrunner (?:diff|quality|review|grounding)(?= )")
_SANDBOX = "--sandbox"
_DB = "--db"
_API_URL = "--api-url"


def on_same_api(text: str, args: Sequence[str]) -> str:
    """Add to each command in a text the API that these arguments name, unless the text does."""
    if _SANDBOX in text:
        return text
    database = _SANDBOX if _SANDBOX in args else _option(_DB, args)
    if database and _DB not in text:
        text = _READS.sub(lambda found: f"{found[0]} {database}", text)
    given = _SANDBOX if _SANDBOX in args else _option(_API_URL, args)
    if not given or _API_URL in text:
        return text
    return _ASKS_THE_API.sub(lambda found: f"{found[0]} {given}", text)


def _option(name: str, args: Sequence[str]) -> str:
    """Return an option as these arguments give it, without passwords; empty if they do not."""
    from batchrunner.store.address import redacted

    for at, arg in enumerate(args):
        if arg.startswith(f"{name}="):
            return f"{name} {shlex.quote(redacted(arg.partition('=')[2]))}"
        if arg == name and at + 1 < len(args):
            return f"{name} {shlex.quote(redacted(args[at + 1]))}"
    return ""
