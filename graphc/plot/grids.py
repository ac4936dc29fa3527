"""Many small pictures side by side: samples, and the kernels of a convolution."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.ir.types import Array
from graphc.plot.canvas import (
    finish,
    new_figure,
    rows_and_columns,
    same_length,
    values,
    without_axes,
)

Path = str | os.PathLike[str]


def images(
    images: Any,
    titles: Any = None,
    columns: int | None = None,
    title: str = "",
    path: Path | None = None,
) -> Any:
    """A grid of images (n, height, width), or (n, height, width, channels) of 1, 3 or 4 channels.

    Bytes are 0 to 255. Floats are shown from their least to their largest, all alike; in colour
    they are clipped to [0, 1] where none is negative, else taken to be in [-1, 1], as generators
    make them.
    """
    pictures = values("images", "images", images, (3, 4))
    if pictures.ndim == 4 and pictures.shape[-1] not in (1, 3, 4):
        raise ArgumentError(
            f"images: needs 1, 3 or 4 channels last, got shape {pictures.shape}",
            origin=origins.find_origin(),
        )
    if titles is not None:
        same_length("images", "images", pictures, "titles", titles)
    shown = [_displayable(picture) for picture in _in_range(pictures)]
    limits = (0, 255) if pictures.dtype.kind == "u" else (float(pictures.min()), pictures.max())
    return finish(_grid(shown, limits, titles, columns, title), path)


def filters(
    kernel: Any,
    channel: int | None = None,
    columns: int | None = None,
    title: str = "",
    path: Path | None = None,
) -> Any:
    """The kernels (height, width, in, out) of a convolution, a picture for each output.

    Kernels of three channels are in colour unless a `channel` is chosen; of others the first one is
    shown. Greys are symmetric about 0: dark is negative, light positive.
    """
    weights = values("filters", "kernel", kernel, (4,)).astype(np.float64)
    count = weights.shape[2]
    if channel is not None and not 0 <= channel < count:
        raise ArgumentError(
            f"filters: channel must be 0 to {count - 1}, got {channel}",
            origin=origins.find_origin(),
        )
    top = float(np.abs(weights).max()) or 1.0
    if count == 3 and channel is None:
        shown, limits = [(w / top + 1.0) / 2.0 for w in np.moveaxis(weights, 3, 0)], (0.0, 1.0)
    else:
        shown, limits = list(np.moveaxis(weights[:, :, channel or 0], 2, 0)), (-top, top)
    return finish(_grid(shown, limits, None, columns, title), path)


def _grid(shown: list[Array], limits: Any, titles: Any, columns: int | None, title: str) -> Any:
    """Pictures row by row."""
    if not shown:
        raise ArgumentError("gx.plot: there is no picture to show", origin=origins.find_origin())
    high, wide = rows_and_columns(len(shown), columns, most=10)
    rows, pixels = shown[0].shape[:2]
    cell = max(1.0 if titles is None else 1.25, min(pixels / 32.0, 8.0 / wide))
    upright = max(0.3, min(rows / pixels, 3.0)) + (0.0 if titles is None else 0.25 / cell)
    size = (max(cell * wide, 2.0), max(cell * upright * high, 1.0) + (0.4 if title else 0.0))
    figure, axes = new_figure(high, wide, size)
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.02, hspace=0.02)
    for one in axes:
        without_axes(one)
    for i, (one, picture) in enumerate(zip(axes, shown)):
        one.imshow(picture, cmap="gray", vmin=limits[0], vmax=limits[1])
        if titles is not None:
            one.set_title(str(titles[i]), fontsize=8, pad=2)
    if title:
        figure.suptitle(title, fontsize=10)
    return figure


def _in_range(pictures: Array) -> Array:
    """Colours in [0, 1], or bytes; one channel stays as it is."""
    if pictures.ndim == 3 or pictures.shape[-1] == 1 or pictures.dtype == np.uint8:
        return pictures
    wide = pictures.astype(np.float64)
    return np.clip((wide + 1.0) / 2.0 if wide.min(initial=0.0) < 0 else wide, 0.0, 1.0)


def _displayable(picture: Array) -> Array:
    return picture[..., 0] if picture.ndim == 3 and picture.shape[-1] == 1 else picture
