"""Object files: the symbols that they need, and the sizes of their sections."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from types import ModuleType

from graphc_llvm.library import coff, macho

ELF, WASM = b"\x7fELF", b"\0asm"
SYMBOLS, WRITABLE, ALLOCATED, EXECUTABLE, ZEROED = 2, 1, 2, 4, 8


def section_bytes(image: bytes) -> dict[str, int]:
    """Bytes of code, constants and zeroed memory."""
    found = {"code": 0, "constants": 0, "zeroed": 0}
    if image.startswith(WASM):
        sizes = {number: end - start for number, start, end in _wasm_sections(image)}
        return found | {"code": sizes.get(10, 0), "constants": sizes.get(11, 0)}
    if not image.startswith(ELF):
        for name, size in _reader(image).sections(image):
            found[name] += size
        return found
    for _, kind, flags, _, size, *_ in _elf_sections(image):
        if flags & EXECUTABLE:
            found["code"] += size
        elif kind == ZEROED:
            found["zeroed"] += size
        elif flags & ALLOCATED:
            found["constants"] += size
    return found


def needed_symbols(image: bytes) -> list[str]:
    """The symbols that an object file uses and does not define, sorted."""
    if image.startswith(WASM):
        return sorted(set(_wasm_imports(image)))
    if image.startswith(ELF):
        return sorted(set(_elf_undefined(image)))
    return sorted(set(_reader(image).undefined(image)))


def _reader(image: bytes) -> ModuleType:
    assert image.startswith((macho.MAGIC, *coff.MACHINES))
    return macho if image.startswith(macho.MAGIC) else coff


def _elf_sections(image: bytes) -> list[tuple[int, ...]]:
    """(name, type, flags, offset, size, link, entry size) of every section."""
    wide = image[4] == 2
    at = struct.unpack_from("<Q" if wide else "<I", image, 40 if wide else 32)[0]
    size, count = struct.unpack_from("<HH", image, 58 if wide else 46)
    form = "<IIQQQQIIQQ" if wide else "<IIIIIIIIII"
    rows = [struct.unpack_from(form, image, at + i * size) for i in range(count)]
    return [(r[0], r[1], r[2], r[4], r[5], r[6], r[9]) for r in rows]


def _elf_undefined(image: bytes) -> Iterator[str]:
    wide, sections = image[4] == 2, _elf_sections(image)
    for _, kind, _, offset, size, link, step in sections:
        if kind != SYMBOLS:
            continue
        strings = sections[link][3]
        for at in range(offset, offset + size, step):
            name = struct.unpack_from("<I", image, at)[0]
            section = struct.unpack_from("<H", image, at + (6 if wide else 14))[0]
            if name and section == 0:
                yield image[strings + name : image.index(b"\0", strings + name)].decode()


def _wasm_sections(image: bytes) -> Iterator[tuple[int, int, int]]:
    """(number, start, end) of every section."""
    at = 8
    while at < len(image):
        number = image[at]
        size, start = _leb(image, at + 1)
        yield number, start, start + size
        at = start + size


def _wasm_imports(image: bytes) -> Iterator[str]:
    """The functions in the import section."""
    for number, at, _ in _wasm_sections(image):
        if number != 2:
            continue
        count, at = _leb(image, at)
        for _ in range(count):
            _, at = _wasm_name(image, at)
            name, at = _wasm_name(image, at)
            kind = image[at]
            if kind == 0:
                yield name
                _, at = _leb(image, at + 1)
            elif kind in (1, 2):  # a table: type and limits; a memory: limits
                flags = image[at + kind % 2 + 1]
                _, at = _leb(image, at + kind % 2 + 2)
                if flags & 1:
                    _, at = _leb(image, at)
            else:  # a global: type and mutability
                at += 3


def _wasm_name(image: bytes, at: int) -> tuple[str, int]:
    size, at = _leb(image, at)
    return image[at : at + size].decode(), at + size


def _leb(image: bytes, at: int) -> tuple[int, int]:
    """An unsigned number of variable length, and what follows it."""
    value = shift = 0
    while True:
        byte = image[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
