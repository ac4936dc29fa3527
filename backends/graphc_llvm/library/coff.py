"""COFF, the object files of Windows: sections and undefined symbols."""

from __future__ import annotations

import struct
from collections.abc import Iterator

MACHINES = (b"\x64\x86", b"\x64\xaa")  # x86-64, aarch64
_CODE, _INITIALIZED, _ZEROED, _FOR_THE_LINKER = 0x20, 0x40, 0x80, 0x800
_EXTERNAL = 2


def sections(image: bytes) -> Iterator[tuple[str, int]]:
    """("code", "constants" or "zeroed", bytes) of every section that is in memory."""
    count, options = struct.unpack_from("<2xH12xH", image)
    for i in range(count):
        size, flags = struct.unpack_from("<16xI16xI", image, 20 + options + 40 * i)
        kind = {_CODE: "code", _INITIALIZED: "constants", _ZEROED: "zeroed"}.get(flags & 0xE0)
        if kind and not flags & _FOR_THE_LINKER:
            yield kind, size


def undefined(image: bytes) -> Iterator[str]:
    """The symbols that the file does not define."""
    start, count = struct.unpack_from("<8xII", image)
    strings, i = start + 18 * count, 0
    while i < count:
        at = start + 18 * i
        value, section, kind, more = struct.unpack_from("<8xIhxxBB", image, at)
        if kind == _EXTERNAL and section == 0 and value == 0:
            name = image[at : at + 8]
            if name[:4] == bytes(4):
                place = strings + struct.unpack("<I", name[4:])[0]
                name = image[place : image.index(b"\0", place)]
            yield name.rstrip(b"\0").decode()
        i += 1 + more
