"""Finds the API key: in the environment, a file or standard input, never in argv."""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
from pathlib import Path

from batchrunner.api_facts.environment import API_KEY
from batchrunner.errors import CannotContinue


def api_key(key_file: str | None) -> str:
    """
    Return the key from *key_file* ('-' is standard input), else from TINYFISH_API_KEY.

    Raises:
        BatchrunnerError: There is none, or it is no key.
    """
    given = os.environ.get(API_KEY, "") if key_file is None else _read(key_file)
    key = given.strip()
    if not key:
        empty = "" if key_file is None else ": what it was to be read from is empty"
        raise CannotContinue(
            f"there is no API key{empty}",
            next="set TINYFISH_API_KEY (or use --api-key-file FILE), "
            "or try it without an account: --sandbox",
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise CannotContinue(
            "the API key has characters that no key has",
            next="check TINYFISH_API_KEY or the key file: one line, nothing but the key",
        )
    return key


def digest_of(key: str, salt: str | None = None) -> str:
    """Return a text by which a key is known again, and from which nobody learns it."""
    # Keys are long and random: there are too many to try out, however quick a try is. The salt
    # keeps two databases from telling that their keys are one.
    salt = salt or secrets.token_hex(8)
    digest = hashlib.blake2b(key.encode(), salt=bytes.fromhex(salt), digest_size=16).hexdigest()
    return f"{salt}:{digest}"


def is_digest_of(key: str, digest: str) -> bool:
    """Whether *digest* was made of this key."""
    return secrets.compare_digest(digest_of(key, digest.partition(":")[0]), digest)


def _read(key_file: str) -> str:
    read = sys.stdin.buffer.readline if key_file == "-" else Path(key_file).read_bytes
    try:
        return read().decode(errors="replace")
    except OSError as error:
        # Its name is not repeated unless it is a path: somebody may have given the key itself.
        named = f" {key_file}" if "/" in key_file else ""
        raise CannotContinue(
            f"the key file{named} cannot be read: {error.strerror}",
            next="name a file with the key in it, or set TINYFISH_API_KEY",
        ) from error
