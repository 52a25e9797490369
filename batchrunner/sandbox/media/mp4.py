"""Writes the recording of a run: an MP4 of its pictures, one per second."""

from __future__ import annotations

import struct
from collections.abc import Sequence

_WIDTH, _HEIGHT = 320, 240
#: The identity matrix of MP4: no rotation, no scaling.
_UPRIGHT = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
#: The MPEG-4 object type of a track of JPEGs.
_JPEG = 0x6C


def mp4_of(pictures: Sequence[bytes]) -> bytes:
    """Return an MP4 of JPEGs of 320 by 240 pixels; there must be at least one."""
    head = _box(b"ftyp", b"isom", struct.pack(">I", 512), b"isommp41")
    content = _box(b"mdat", *pictures)
    header = _full(
        b"mvhd",
        0,
        struct.pack(">5IH10x", 0, 0, 1, len(pictures), 0x10000, 0x100),
        _UPRIGHT,
        struct.pack(">24xI", 2),
    )
    return head + content + _box(b"moov", header, _track(pictures, start=len(head) + 8))


def _track(pictures: Sequence[bytes], start: int) -> bytes:
    seconds = len(pictures)
    header = _full(
        b"tkhd",
        3,
        struct.pack(">5I8xhhhH", 0, 0, 1, 0, seconds, 0, 0, 0, 0),
        _UPRIGHT,
        struct.pack(">II", _WIDTH << 16, _HEIGHT << 16),
    )
    media = _box(
        b"mdia",
        _full(b"mdhd", 0, struct.pack(">4IHH", 0, 0, 1, seconds, 0x55C4, 0)),
        _full(b"hdlr", 0, struct.pack(">I4s12x", 0, b"vide"), b"pictures\0"),
        _box(
            b"minf",
            _full(b"vmhd", 1, bytes(8)),
            _box(b"dinf", _full(b"dref", 0, struct.pack(">I", 1), _full(b"url ", 1))),
            _samples(pictures, start),
        ),
    )
    return _box(b"trak", header, media)


def _samples(pictures: Sequence[bytes], start: int) -> bytes:
    count = len(pictures)
    entry = _box(
        b"mp4v",
        struct.pack(">6xH16xHHIIIH32xHh", 1, _WIDTH, _HEIGHT, 0x480000, 0x480000, 0, 1, 24, -1),
        _full(b"esds", 0, _descriptor()),
    )
    return _box(
        b"stbl",
        _full(b"stsd", 0, struct.pack(">I", 1), entry),
        _full(b"stts", 0, struct.pack(">3I", 1, count, 1)),
        _full(b"stsc", 0, struct.pack(">4I", 1, 1, count, 1)),
        _full(b"stsz", 0, struct.pack(f">II{count}I", 0, count, *map(len, pictures))),
        _full(b"stco", 0, struct.pack(">II", 1, start)),
    )


def _descriptor() -> bytes:
    decoder = struct.pack(">BB3xII", _JPEG, 0x11, 0, 0)
    inner = struct.pack(">HB", 1, 0) + _tagged(4, decoder) + _tagged(6, b"\2")
    return _tagged(3, inner)


def _tagged(tag: int, content: bytes) -> bytes:
    return bytes((tag, len(content))) + content


def _full(kind: bytes, flags: int, *content: bytes) -> bytes:
    return _box(kind, struct.pack(">I", flags), *content)


def _box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", len(body) + 8, kind) + body
