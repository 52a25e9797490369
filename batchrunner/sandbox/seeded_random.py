"""Numbers and ids that look random and follow from a seed."""

from __future__ import annotations

import hashlib
import uuid


def _digest(*key: object) -> bytes:
    return hashlib.sha256("\x1f".join(map(str, key)).encode("utf-8", "surrogatepass")).digest()


def seeded_share(*key: object) -> float:
    """Give a number in [0, 1) that follows from the key alone."""
    return int.from_bytes(_digest("share", *key)[:6], "big") / 2**48


def seeded_id(*key: object) -> str:
    """Give an id in the form of a random UUID that follows from the key alone."""
    return str(uuid.UUID(bytes=_digest("id", *key)[:16], version=4))
