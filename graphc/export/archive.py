"""Static archives ("ar" with a symbol table), the same bytes every time."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

MAGIC = b"!<arch>\n"


def archive(members: Mapping[str, bytes], symbols: Mapping[str, Sequence[str]]) -> bytes:
    """An archive in the System V form; `symbols` are those that each member defines.

    Names are kept in a table of their own ("//"), so they may have any length.
    """
    names, places = b"", {}
    for name in members:
        places[name] = len(names)
        names += f"{name}/\n".encode()
    listed = [(symbol, name) for name in members for symbol in symbols[name]]
    strings = b"".join(symbol.encode() + b"\0" for symbol, _ in listed)
    index_bytes = 4 + 4 * len(listed) + len(strings)
    at = len(MAGIC) + 60 + _even(index_bytes) + 60 + _even(len(names))
    offsets = {}
    for name, data in members.items():
        offsets[name] = at
        at += 60 + _even(len(data))
    index = struct.pack(f">I{len(listed)}I", len(listed), *(offsets[n] for _, n in listed))
    parts = [MAGIC, _member("/", index + strings), _member("//", names)]
    parts += [_member(f"/{places[name]}", data) for name, data in members.items()]
    return b"".join(parts)


def apple_archive(members: Mapping[str, bytes], symbols: Mapping[str, Sequence[str]]) -> bytes:
    """An archive in the form of macOS: names before the data, which begins at multiples of 8."""
    listed = [(f"_{symbol}", name) for name in members for symbol in symbols[name]]
    strings = b"".join(symbol.encode() + b"\0" for symbol, _ in listed)
    strings += bytes(-len(strings) % 8)
    table_bytes = 4 + 8 * len(listed) + 4 + len(strings)
    head = _apple_member("__.SYMDEF", bytes(table_bytes), len(MAGIC))
    at, offsets, parts = len(MAGIC) + len(head), {}, []
    for name, data in members.items():
        offsets[name] = at
        parts.append(_apple_member(name, data, at))
        at += len(parts[-1])
    place, table = 0, struct.pack("<I", 8 * len(listed))
    for symbol, name in listed:
        table += struct.pack("<II", place, offsets[name])
        place += len(symbol) + 1
    table += struct.pack("<I", len(strings)) + strings
    return b"".join([MAGIC, _apple_member("__.SYMDEF", table, len(MAGIC)), *parts])


def _apple_member(name: str, data: bytes, at: int) -> bytes:
    raw = name.encode()
    raw += bytes(-(at + 60 + len(raw)) % 8)
    data += bytes(-len(data) % 8)
    return _member(f"#1/{len(raw)}", raw + data)


def _even(size: int) -> int:
    return size + size % 2


def _member(name: str, data: bytes) -> bytes:
    head = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode()
    return head + data + b"\n" * (len(data) % 2)
