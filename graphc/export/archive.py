"""Static archives ("ar", the System V form with a symbol table), the same bytes every time."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

MAGIC = b"!<arch>\n"


def archive(members: Mapping[str, bytes], symbols: Mapping[str, Sequence[str]]) -> bytes:
    """An archive of object files; `symbols` are those that each member defines.

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


def _even(size: int) -> int:
    return size + size % 2


def _member(name: str, data: bytes) -> bytes:
    head = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode()
    return head + data + b"\n" * (len(data) % 2)
