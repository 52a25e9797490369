"""Reads the API key and makes its salted digest."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import sys
from difflib import get_close_matches
from pathlib import Path

from batchrunner.api_facts.environment import API_KEY, API_KEY_FILE, BASE_URL
from batchrunner.app.regular_file import read_start, special_kind
from batchrunner.errors import CannotContinue

#: A key has about a hundred characters.
MAX_KEY_FILE_BYTES = 4096


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
            f"there is no API key{empty}{_misspelt_name()}",
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
    try:
        data = _bytes_of(key_file)
    except OSError as error:
        raise _unreadable(key_file, error.strerror or "") from error
    if len(data) > MAX_KEY_FILE_BYTES:
        raise _unreadable(key_file, f"it has more than {MAX_KEY_FILE_BYTES} bytes")
    return data.decode(errors="replace")


def _bytes_of(key_file: str) -> bytes:
    """Return the first bytes of a key file; it may be a device or a pipe that never ends."""
    if key_file == "-":
        return sys.stdin.buffer.readline(MAX_KEY_FILE_BYTES + 1)
    path = Path(key_file)
    kind = special_kind(path, os.stat(path).st_mode)
    if kind is not None:
        raise _unreadable(key_file, f"it is {kind}")
    return read_start(path, MAX_KEY_FILE_BYTES)


def _unreadable(key_file: str, why: str) -> CannotContinue:
    # A name without a slash is not repeated: it may be the key itself.
    named = f" {key_file}" if "/" in key_file else ""
    return CannotContinue(
        f"the key file{named} cannot be read: {why}",
        next=f"name a file with the key in it, or set {API_KEY}",
        where=named.strip(),
        why=why,
    )


def _misspelt_name() -> str:
    """Return which variable looks like that of the key; its value is not looked at."""
    ours = re.sub("[^A-Z]", "", API_KEY)
    names = sorted(each for each in os.environ if each not in (API_KEY, API_KEY_FILE, BASE_URL))
    plain = {re.sub("[^A-Z]", "", each.upper()): each for each in names}
    close = get_close_matches(ours, plain, n=1, cutoff=0.85)
    return f", but {plain[close[0]]} is set: did you mean {API_KEY}?" if close else ""
