"""Compiled code on disk, by content: what was compiled once is read by every later process.

A cache never fails. A directory that is missing, full, read-only or broken means compiling again.

A file is MAGIC, the SHA-256 of the rest, the length of the metadata (u64), metadata, object code.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
import tempfile
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from graphc.config import environment

MAGIC = b"graphc\x00\x01"
LIMIT_BYTES = 512 * 1000 * 1000
_SUFFIX = ".gxo"
_HEADER = struct.Struct("<8s32sQ")
_ABANDONED_SECONDS = 3600.0  # after this a temporary file has lost its writer


@dataclass(frozen=True)
class CacheEntry:
    """Object code and what is known about it (anything that JSON can say)."""

    image: bytes
    metadata: dict[str, Any] = field(default_factory=dict)


def content_key(*parts: bytes | str) -> str:
    """The name of content: equal parts give equal keys."""
    digest = hashlib.sha256()
    for part in (MAGIC, *parts):
        data = part.encode() if isinstance(part, str) else part
        # The length keeps ("ab", "c") and ("a", "bc") apart.
        digest.update(struct.pack("<Q", len(data)) + data)
    return digest.hexdigest()


class DiskCache:
    """Entries in a directory, at most `limit` bytes; the least recently used go first."""

    def __init__(self, directory: Path | None, limit: int = LIMIT_BYTES) -> None:
        self.directory = directory
        self.limit = limit

    def get(self, key: str) -> CacheEntry | None:
        """The entry under a key; None where there is none that can be trusted."""
        if self.directory is None:
            return None
        path = self._path(key)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        entry = decode(data)
        with contextlib.suppress(OSError):
            if entry is None:
                path.unlink()
            else:
                os.utime(path)  # used now: the last to be thrown away
        return entry

    def put(self, key: str, entry: CacheEntry) -> bool:
        """Keep an entry; False where the directory does not take it."""
        if self.directory is None:
            return False
        data = encode(entry)
        if len(data) > self.limit:
            return False
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._write(self._path(key), data)
        except OSError:
            return False
        self.evict()
        return True

    def evict(self) -> None:
        """Delete the least recently used entries above the limit, and forgotten temporaries."""
        files = self._files()
        total = sum(size for _, size, _ in files)
        # Down to 7/8, so that not every later put has to delete.
        goal = total if total <= self.limit else self.limit - self.limit // 8
        for _, size, path in sorted(files):
            if total <= goal:
                return
            with contextlib.suppress(OSError):
                path.unlink()
            total -= size

    def _path(self, key: str) -> Path:
        assert self.directory is not None
        return self.directory / f"{key}{_SUFFIX}"

    def _write(self, path: Path, data: bytes) -> None:
        # Readers see the old file or the new one, never a part.
        handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise

    def _files(self) -> list[tuple[float, int, Path]]:
        """(last use, bytes, path) of every entry."""
        assert self.directory is not None
        found = []
        with contextlib.suppress(OSError), os.scandir(self.directory) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    facts = entry.stat()
                    if entry.name.endswith(_SUFFIX):
                        found.append((facts.st_mtime, facts.st_size, Path(entry.path)))
                    elif (
                        entry.name.endswith(".tmp")
                        and time.time() - facts.st_mtime > _ABANDONED_SECONDS
                    ):
                        os.unlink(entry.path)
        return found


def encode(entry: CacheEntry) -> bytes:
    """The bytes of a file."""
    metadata = json.dumps(entry.metadata, sort_keys=True).encode()
    length = struct.pack("<Q", len(metadata))
    digest = hashlib.sha256(length + metadata + entry.image).digest()
    return MAGIC + digest + length + metadata + entry.image


def decode(data: bytes) -> CacheEntry | None:
    """The entry in the bytes of a file; None for anything but what `encode` wrote."""
    if len(data) < _HEADER.size:
        return None
    magic, digest, length = _HEADER.unpack_from(data)
    if magic != MAGIC or hashlib.sha256(data[40:]).digest() != digest:
        return None
    start = _HEADER.size
    try:
        metadata = json.loads(data[start : start + length])
    except ValueError:
        return None
    return CacheEntry(data[start + length :], metadata) if isinstance(metadata, dict) else None


@cache
def disk_cache() -> DiskCache:
    """The cache that GRAPHC_CACHE names."""
    return DiskCache(environment().cache)
