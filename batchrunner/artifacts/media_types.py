"""The media types of each kind of artifact, how large it may be, and how its bytes begin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from batchrunner.model.artifacts import ArtifactKind

_MEGABYTE = 1 << 20
#: First bytes of a file, from which its type is recognized.
HEAD_BYTES = 512
#: Media types that servers send for files of unknown type; the bytes decide then.
_UNKNOWN_TYPES = frozenset({"", "application/octet-stream", "binary/octet-stream"})


@dataclass(frozen=True, kw_only=True, slots=True)
class MediaLimits:
    """Maximum size and duration of a download, and the media types that are allowed."""

    bytes: int
    seconds: float
    medias: Mapping[str, str]  #: media type → suffix of the file


LIMITS: Mapping[ArtifactKind, MediaLimits] = {
    ArtifactKind.SCREENSHOTS: MediaLimits(
        bytes=20 * _MEGABYTE,
        seconds=60,
        medias={"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp"},
    ),
    ArtifactKind.HTML: MediaLimits(bytes=20 * _MEGABYTE, seconds=60, medias={"text/html": ".html"}),
    ArtifactKind.VIDEO: MediaLimits(
        bytes=2048 * _MEGABYTE,
        seconds=900,
        medias={"video/mp4": ".mp4", "video/webm": ".webm"},
    ),
}


def is_allowed_type(kind: ArtifactKind, content_type: str) -> bool:
    """Whether a Content-Type is one of the kind's, or names no type."""
    media = media_type_in(content_type)
    is_unknown = (
        media in _UNKNOWN_TYPES and kind is not ArtifactKind.HTML
    )  # its bytes alone are not proof
    return is_unknown or media in LIMITS[kind].medias


def media_type_in(content_type: str) -> str:
    """Return the media type of a Content-Type, in lower case and without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def media_type_of(kind: ArtifactKind, head: bytes) -> str | None:
    """Return the type that the first HEAD_BYTES bytes show; None if the kind does not allow it."""
    media = _recognized(head)
    return media if media in LIMITS[kind].medias else None


def _recognized(head: bytes) -> str | None:
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp":
        return "video/mp4"
    if head.startswith(b"\x1aE\xdf\xa3"):
        return "video/webm"
    is_text = b"\0" not in head and head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")
    return "text/html" if is_text and not head.lstrip().startswith(b"<?xml") else None
