"""Read folders of images, one folder for each class."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError, FormatError, UnsupportedError
from graphc.installed import install_hint
from graphc.ir.types import Array

ENDINGS = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def image_folder(
    directory: str | os.PathLike[str],
    size: tuple[int, int] | None = None,
    channels: int = 3,
) -> tuple[Array, Array, list[str]]:
    """Return (x, y, classes) of a directory that has a folder of images for each class.

    x is uint8 of shape (n, height, width, channels), y int32, classes the names of the folders in
    order. `size` (height, width) resizes all images, bilinearly; without it they must have one
    size. Channels are 1 (grey), 3 (RGB) or 4 (with alpha). Images are turned as their EXIF data
    says. Other files are left out. Needs Pillow.
    """
    if channels not in MODES:
        raise ArgumentError(
            f"image_folder: channels must be 1, 3 or 4, got {channels!r}",
            origin=origins.find_origin(),
        )
    top = Path(directory)
    classes = sorted(p.name for p in top.iterdir() if p.is_dir() and not p.name.startswith("."))
    files = [(path, i) for i, name in enumerate(classes) for path in _images(top / name)]
    if not files:
        raise FormatError(
            f"{top}: no folder with images in it",
            hint=f"images are {top}/CLASS/FILE, with an ending of " + ", ".join(sorted(ENDINGS)),
        )
    found = [image(path, size, channels) for path, _ in files]
    for (path, _), array in zip(files, found):
        if array.shape != found[0].shape:
            raise FormatError(
                f"{path}: {array.shape[0]}x{array.shape[1]} pixels, but {files[0][0]} has"
                f" {found[0].shape[0]}x{found[0].shape[1]}",
                hint="size=(height, width) resizes all of them",
            )
    return np.stack(found), np.array([label for _, label in files], np.int32), classes


def image(
    path: str | os.PathLike[str], size: tuple[int, int] | None = None, channels: int = 3
) -> Array:
    """Read one image as uint8 of shape (height, width, channels); see `image_folder`."""
    pillow, turned = _pillow()
    try:
        with pillow.open(path) as picture:
            picture = turned(picture).convert(MODES[channels])
            if size is not None:
                picture = picture.resize((size[1], size[0]), pillow.Resampling.BILINEAR)
            array = np.asarray(picture, np.uint8)
    except (pillow.UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise FormatError(f"{os.fspath(path)}: not an image: {error}") from error
    return array.reshape(*array.shape[:2], channels)


def _images(folder: Path) -> list[Path]:
    """The images of a folder and of those in it, in order."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in ENDINGS and p.is_file())


def _pillow() -> tuple[Any, Any]:
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise UnsupportedError(
            f"reading images needs Pillow: {error}", hint=install_hint("data", "pillow")
        ) from error
    return Image, ImageOps.exif_transpose
