"""`load_library`: what a folder that `export` wrote is."""

from __future__ import annotations

import os
from pathlib import Path

from graphc.errors import ArgumentError
from graphc.export.library import Library
from graphc.export.library_files import find_manifest, read_manifest


def load_library(path: str | os.PathLike[str]) -> Library:
    """The library in a bundle: a folder that `export` wrote, or the manifest in it.

    Calls have the form of the exported function: `lib(*arrays, **named)`; `lib.NAME(...)` where it
    has several; `lib.parameters[name]` reads and sets. Raises FormatError for files that are not
    what the manifest says, UnsupportedError for a library of another machine. A library for GPUs
    runs on the first one through its driver.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentError(f"load_library: path must be a str or a path, got {path!r}")
    manifest = find_manifest(Path(path))
    content = read_manifest(manifest)
    if "kind" not in content["target"]:
        return Library(manifest, content)
    from graphc.export.device_library import DeviceLibrary

    return DeviceLibrary(manifest, content)
