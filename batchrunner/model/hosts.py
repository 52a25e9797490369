"""Which host a url leads to, and how long a batch waits for one."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

#: Longest name of a host that is kept.
MAX_HOST_LENGTH = 300
#: Failed probes after which the batch does not wait for a host any more: 90 minutes after parking.
MAX_PROBES = 6


#: The usual spelling of a host, which need not be taken apart.
_USUAL = re.compile(r"https?://([a-z0-9.-]{1,253})(?=[/?#]|$)")


def host_of(url: str) -> str:
    """Return the host that a url leads to, with its port; the url itself if it cannot be parsed."""
    if usual := _USUAL.match(url):
        return usual[1]
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.hostname or url}{port}"[:MAX_HOST_LENGTH]
    except ValueError:
        return url[:MAX_HOST_LENGTH]
