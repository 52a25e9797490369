"""Job keys and batch names → names of files that are safe on every file system."""

from __future__ import annotations

import hashlib
import re
import unicodedata

from batchrunner.model.artifacts import ArtifactKind, WantedArtifact

#: Maximum characters of a name: at most 200 bytes in UTF-8, where file systems allow 255.
MAX_NAME_LENGTH = 50
_PLAIN = re.compile(rf"[a-z0-9][a-z0-9_.-]{{0,{MAX_NAME_LENGTH - 1}}}(?<!\.)")
_UNSAFE = re.compile(r"[^\w-]+")
#: Names that Windows reserves for devices, with any suffix.
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?")


def safe_file_name(text: str) -> str:
    """
    Return a name for *text*: never a path, reserved, hidden or too long.

    Different texts have different names, also on file systems that ignore case or the composition
    of letters: a name that is not plain ends in `~` and a digest of the text.
    """
    if _PLAIN.fullmatch(text) and not _RESERVED.fullmatch(text):
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    shown = _UNSAFE.sub("-", unicodedata.normalize("NFC", text)).strip("-_")
    return f"{shown[: MAX_NAME_LENGTH - 13]}~{digest}"


def artifact_path(wanted: WantedArtifact) -> tuple[str, str, str]:
    """Return the path of an artifact: folder, folder in it, and file without its suffix."""
    step = "video" if wanted.kind is ArtifactKind.VIDEO else f"step-{wanted.step:03d}"
    # The attempts of each revision count from 1.
    revision = "" if wanted.revision == 1 else f"r{wanted.revision}-"
    name = f"{revision}{wanted.number}-{step}"
    return safe_file_name(wanted.batch), safe_file_name(wanted.key), name
