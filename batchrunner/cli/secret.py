"""Finds the API key: in the environment, a file or standard input, never in argv."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from batchrunner.cli.errors import UserError


def api_key(key_file: str | None) -> str:
    """
    Return the key from *key_file* ('-' is standard input), else from TINYFISH_API_KEY.

    Raises:
        UserError: There is none, or it is no key.
    """
    given = os.environ.get("TINYFISH_API_KEY", "") if key_file is None else _read(key_file)
    key = given.strip()
    if not key:
        raise UserError(
            "there is no API key",
            hint="set TINYFISH_API_KEY (or use --api-key-file FILE), "
            "or try it without an account: --sandbox",
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UserError(
            "the API key has characters that no key has",
            hint="check TINYFISH_API_KEY or the key file: one line, nothing but the key",
        )
    return key


def _read(key_file: str) -> str:
    read = sys.stdin.buffer.readline if key_file == "-" else Path(key_file).read_bytes
    try:
        return read().decode(errors="replace")
    except OSError as error:
        # Its name is not repeated: somebody may have given the key itself.
        raise UserError(
            f"the key file cannot be read: {error.strerror}",
            hint="name a file with the key in it, or set TINYFISH_API_KEY",
        ) from error
