"""Finds the API key: in the environment, a file or standard input, never in argv."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from batchrunner.cli.errors import UserError, for_people


def api_key(key_file: str | None) -> str:
    """
    Return the key from *key_file* ('-' is standard input), else from TINYFISH_API_KEY.

    Raises:
        UserError: There is none, or it is no key.
    """
    if key_file is not None:
        with for_people():
            read = sys.stdin.buffer.readline if key_file == "-" else Path(key_file).read_bytes
            key = read().decode(errors="replace")
    else:
        key = os.environ.get("TINYFISH_API_KEY", "")
    key = key.strip()
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
