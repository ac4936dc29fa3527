"""Atomic file writes."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file next to its place and move it there; an OSError names the place."""
    # named before it is made: an interrupt at any moment leaves nothing behind
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        try:
            with open(beside, "xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)
        except BaseException:
            with contextlib.suppress(OSError):  # it may be in its place already
                os.unlink(beside)
            raise
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None
