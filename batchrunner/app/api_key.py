"""Reads the API key and makes its salted digest."""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
from pathlib import Path

from batchrunner.api_facts.environment import API_KEY
from batchrunner.errors import CannotContinue


def api_key(key_file: str | None, *, given: str | None = None) -> str:
    """
    Return the key that is *given*, else that of *key_file* ('-' is standard input).

    Where neither is given, TINYFISH_API_KEY has it.

    Raises:
        BatchrunnerError: There is none, or it is no key.
    """
    if given is not None:
        text = given
    elif key_file is not None:
        text = _read(key_file)
    else:
        text = os.environ.get(API_KEY, "")
    key = text.strip()
    if not key:
        empty = "" if key_file is None else ": what it was to be read from is empty"
        raise CannotContinue(
            f"there is no API key{empty}",
            next=f"set {API_KEY} (or use --api-key-file FILE), "
            "or try it without an account: --sandbox",
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise CannotContinue(
            "the API key has characters that no key has",
            next=f"check {API_KEY} or the key file: one line, nothing but the key",
        )
    return key


def digest_of(key: str, salt: str | None = None) -> str:
    """Return a text that identifies a key and does not reveal it."""
    # Keys are long and random: there are too many to try out, however quick a try is. The salt
    # keeps two databases from revealing that they use the same key.
    salt = salt or secrets.token_hex(8)
    digest = hashlib.blake2b(key.encode(), salt=bytes.fromhex(salt), digest_size=16).hexdigest()
    return f"{salt}:{digest}"


def is_digest_of(key: str, digest: str) -> bool:
    """Return whether *digest* was made of this key."""
    return secrets.compare_digest(digest_of(key, digest.partition(":")[0]), digest)


def _read(key_file: str) -> str:
    read = sys.stdin.buffer.readline if key_file == "-" else Path(key_file).read_bytes
    try:
        return read().decode(errors="replace")
    except OSError as error:
        # A name without a slash is not repeated: it may be the key itself.
        named = f" {key_file}" if "/" in key_file else ""
        raise CannotContinue(
            f"the key file{named} cannot be read: {error.strerror}",
            next=f"name a file with the key in it, or set {API_KEY}",
            where=named.strip(),
            why=error.strerror or "",
        ) from error
