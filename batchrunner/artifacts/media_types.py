"""What an artifact of each kind may be: how long, of which type, and how it must begin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from batchrunner.model.artifacts import ArtifactKind

_MEGABYTE = 1 << 20
#: Bytes by which a type is told.
HEAD = 512
#: What stores say of files whose type they do not know; the bytes have to tell it.
_UNSAID = frozenset({"", "application/octet-stream", "binary/octet-stream"})


@dataclass(frozen=True, kw_only=True, slots=True)
class MediaLimits:
    """How much of a kind is taken, and for how long it is waited for."""

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


def is_allowed_type(kind: ArtifactKind, said: str) -> bool:
    """Whether a Content-Type is one of the kind's, or says nothing."""
    media = media_type_in(said)
    unsaid = media in _UNSAID and kind is not ArtifactKind.HTML  # whose bytes alone tell too little
    return unsaid or media in LIMITS[kind].medias


def media_type_in(said: str) -> str:
    """Return the media type of a Content-Type, in small letters and without its parameters."""
    return said.partition(";")[0].strip().lower()


def media_type_of(kind: ArtifactKind, head: bytes) -> str | None:
    """Return the type that the first HEAD bytes show; None if it is none of the kind's."""
    told = _told(head)
    return told if told in LIMITS[kind].medias else None


def _told(head: bytes) -> str | None:
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
