"""Atomic file writes."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows, which deletes no open file
    fcntl = None  # type: ignore[assignment]


def write_whole(path: Path, content: bytes) -> None:
    """Write a file next to its place and move it there; an OSError names the place.

    What writers of this file that were killed have left beside it is deleted.
    """
    try:
        _delete_abandoned(path)
        while not _written(path, content):
            pass
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None


def _written(path: Path, content: bytes) -> bool:
    """Write under a new name and move; False where the new file was taken for an abandoned one."""
    # named before it is made: an interrupt at any moment leaves nothing behind
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with open(beside, "xb") as file:
            _lock(file, wait=True)
            if not os.path.exists(beside):
                return False
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        return _moved(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):  # it may be in its place already
            os.unlink(beside)
        raise


def _moved(beside: Path, path: Path) -> bool:
    """Move a file to its place; False where it is gone."""
    try:
        os.replace(beside, path)
    except FileNotFoundError:
        return False
    return True


def _delete_abandoned(path: Path) -> None:
    """Delete the unfinished files whose writers are gone: nobody holds their locks."""
    unfinished = re.compile(re.escape(f".{path.name}.") + "[0-9a-f]{8}")
    with contextlib.suppress(OSError):
        for name in filter(unfinished.fullmatch, os.listdir(path.parent)):
            beside = path.with_name(name)
            with contextlib.suppress(OSError), open(beside, "rb") as file:
                _lock(file, wait=False)
                os.unlink(beside)


def _lock(file: BinaryIO, wait: bool) -> None:
    """Hold a lock until the file is closed; OSError where another has it."""
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        if not wait:  # else a file system without locks
            raise
