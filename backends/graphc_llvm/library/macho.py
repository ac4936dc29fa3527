"""Mach-O, the object files of macOS: sections and undefined symbols."""

from __future__ import annotations

import struct
from collections.abc import Iterator

MAGIC = b"\xcf\xfa\xed\xfe"
_SEGMENT, _SYMBOLS = 0x19, 2
_INSTRUCTIONS, _ZEROED, _DEBUG = 0x80000400, 1, 0x02000000


def _commands(image: bytes, wanted: int) -> Iterator[int]:
    """Where load commands of a kind begin."""
    at = 32
    for _ in range(struct.unpack_from("<I", image, 16)[0]):
        kind, size = struct.unpack_from("<II", image, at)
        if kind == wanted:
            yield at
        at += size


def sections(image: bytes) -> Iterator[tuple[str, int]]:
    """("code", "constants" or "zeroed", bytes) of every section that is in memory."""
    for at in _commands(image, _SEGMENT):
        for i in range(struct.unpack_from("<I", image, at + 64)[0]):
            size, flags = struct.unpack_from("<40xQ16xI", image, at + 72 + 80 * i)
            if flags & _DEBUG:
                continue
            zeroed = flags & 0xFF == _ZEROED
            yield "code" if flags & _INSTRUCTIONS else "zeroed" if zeroed else "constants", size


def undefined(image: bytes) -> Iterator[str]:
    """The symbols that the file does not define, as C calls them."""
    for at in _commands(image, _SYMBOLS):
        symbols, count, strings = struct.unpack_from("<8xIII", image, at)
        for i in range(count):
            name, kind, value = struct.unpack_from("<IB3xQ", image, symbols + 16 * i)
            if kind & 0x0F == 1 and value == 0:  # external, undefined
                place = strings + name
                yield image[place : image.index(b"\0", place)].decode().removeprefix("_")
