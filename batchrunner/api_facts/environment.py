"""Environment variables that the vendor's own tools read, and that are read here, too."""

from __future__ import annotations

API_KEY = "TINYFISH_API_KEY"
API_KEY_FILE = "TINYFISH_API_KEY_FILE"  #: ours alone: a file with the key in it
BASE_URL = "TINYFISH_BASE_URL"
