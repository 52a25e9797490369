"""Numbers and ids that look random and depend on a seed only."""

from __future__ import annotations

import hashlib
import uuid


def _digest(*key: object) -> bytes:
    return hashlib.sha256("\x1f".join(map(str, key)).encode("utf-8", "surrogatepass")).digest()


def seeded_share(*key: object) -> float:
    """Return a number in [0, 1) that depends on the key only."""
    return int.from_bytes(_digest("share", *key)[:6], "big") / 2**48


def seeded_id(*key: object) -> str:
    """Return an id in the form of a random UUID that depends on the key only."""
    return str(uuid.UUID(bytes=_digest("id", *key)[:16], version=4))
