"""The values of a function over the plane, and the ways that optimisers take down it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from statistics import median_low
from typing import Any

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.ir.types import Array
from graphc.plot.canvas import (
    COLORS,
    FORMATS,
    checked_path,
    finish,
    new_figure,
    style,
    values,
)
from graphc.plot.points import mesh, on_mesh

Path = str | os.PathLike[str]
_MESH = 140
_DOTS = 90  # an inch of an animation
_FARTHEST = 1e30  # points are float32


def contours(
    function: Callable[..., Any],
    bounds: Any,
    log: bool = True,
    title: str = "",
    path: Path | None = None,
) -> Any:
    """The values of a function of two numbers as lines of equal height.

    `function` takes points (n, 2) as float32 and returns n values: a compiled function, say.
    `bounds` is ((least x, largest x), (least y, largest y)). With `log` the heights above the least
    one grow by a constant factor from line to line, so that a valley shows its floor.
    """
    figure, _ = _landscape(function, _bounds("contours", bounds), log, title)
    return finish(figure, path)


def trajectories(
    function: Callable[..., Any],
    paths: Any,
    bounds: Any = None,
    log: bool = True,
    frames: int = 60,
    seconds: float = 6.0,
    title: str = "",
    path: Path | None = None,
) -> Any:
    """The ways that optimisers take through the contours of a function; moving in a GIF.

    `paths` is {name: points (steps, 2)}, the function and `log` are those of `contours`. A `path`
    that ends in .gif becomes an animation of so many `frames` that lasts so many `seconds`; other
    formats show whole ways, as does the figure that is returned.
    """
    if not isinstance(paths, Mapping) or not paths:
        raise ArgumentError(
            f"trajectories: needs a dict of points by name, got {paths!r:.60}",
            origin=origins.find_origin(),
        )
    ways = {name: _way(name, points) for name, points in paths.items()}
    where = None if path is None else checked_path(path, (*FORMATS, ".gif"))
    if bounds is None:
        xs, ys = mesh(_inside(ways), 0.15, 2)
        bounds = ((xs.min(), xs.max()), (ys.min(), ys.max()))
    figure, axes = _landscape(function, _bounds("trajectories", bounds), log, title)
    drawn = _draw_ways(axes, ways)
    if where is not None and where.suffix.lower() == ".gif":
        _check_frames(frames, seconds)
        _animate(figure, drawn, ways, frames, seconds, where)
    elif where is not None:
        finish(figure, where)
    return figure


def _landscape(
    function: Callable[..., Any], bounds: Array, log: bool, title: str
) -> tuple[Any, Any]:
    xs, ys = mesh(bounds.T, 0.0, _MESH)
    heights = on_mesh("contours", function, xs, ys, (1,)).astype(np.float64).reshape(xs.shape)
    figure, (axes,) = new_figure(size=(6.2, 4.8))
    finite = np.isfinite(heights)
    if not finite.any():
        raise ArgumentError(
            "contours: the function is not finite at any point", origin=origins.find_origin()
        )
    low, high = float(heights[finite].min()), float(heights[finite].max())
    shown, text = np.where(finite, heights, high), "value"
    if log and high > low:
        span = high - low
        shown, text = np.log10(shown - low + 1e-4 * span), "log10(value - least)"
    filled = axes.contourf(xs, ys, shown, 24, cmap="Blues_r", alpha=0.9)
    axes.contour(xs, ys, shown, 24, colors="white", linewidths=0.4, alpha=0.7)
    figure.colorbar(filled, ax=axes, fraction=0.05, pad=0.02, label=text, format="%.2g")
    style(axes, title)
    axes.grid(visible=False)
    axes.set_xlim(*bounds[0])
    axes.set_ylim(*bounds[1])
    return figure, axes


def _draw_ways(axes: Any, ways: Mapping[str, Array]) -> list[tuple[Any, Any]]:
    """A line and a head for each way."""
    drawn = []
    for i, (name, way) in enumerate(ways.items()):
        color = COLORS[(i + 1) % len(COLORS)]
        (line,) = axes.plot(way[:, 0], way[:, 1], color=color, lw=1.8, label=name)
        (head,) = axes.plot(*way[-1:].T, "o", color=color, mec="white", ms=7)
        drawn.append((line, head))
    first = next(iter(ways.values()))[0]
    axes.plot(*first, "X", color="#303030", mec="white", ms=8)
    axes.legend(frameon=True, framealpha=0.8, edgecolor="none", fontsize=8)
    return drawn


def _animate(
    figure: Any, drawn: Any, ways: Mapping[str, Array], frames: int, seconds: float, where: Any
) -> None:
    """A GIF in which the ways grow, all with the same steps."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import to_rgb

    figure.set_dpi(_DOTS)
    canvas = FigureCanvasAgg(figure)
    moving = [artist for pair in drawn for artist in pair]
    for artist in moving:
        artist.set_visible(False)
    canvas.draw()
    still = canvas.copy_from_bbox(figure.bbox)  # what stays is drawn once
    for artist in moving:
        artist.set_visible(True)
    pictures = []
    longest = max(len(way) for way in ways.values())
    for stop in np.unique(np.linspace(1, longest, frames).round().astype(int)):
        canvas.restore_region(still)
        for (line, head), way in zip(drawn, ways.values()):
            line.set_data(*way[:stop].T)
            head.set_data(*way[:stop][-1:].T)
        for artist in moving:
            artist.axes.draw_artist(artist)
        pictures.append(np.array(canvas.buffer_rgba())[..., :3])
    _write_gif(pictures, [to_rgb(line.get_color()) for line, _ in drawn], seconds, where)


def _write_gif(pictures: list[Array], colors: list[Any], seconds: float, where: Any) -> None:
    """Pictures (height, width, 3) of bytes one after the other, all with the same 256 colours."""
    from PIL import Image

    swatches = [np.full_like(pictures[0][:8], np.round(255 * np.array(c))) for c in colors]
    palette = Image.fromarray(np.concatenate([pictures[-1], *swatches])).quantize(256)
    small = [
        Image.fromarray(picture).quantize(palette=palette, dither=Image.Dither.NONE)
        for picture in pictures
    ]
    pause = max(int(1000 * seconds / len(small)), 20)
    pauses = [pause] * (len(small) - 1) + [pause + 1000]
    small[0].save(where, save_all=True, append_images=small[1:], duration=pauses, loop=0)


def _way(name: str, points: Any) -> Array:
    """The points of a way; it ends before the first that is not finite."""
    way = values("trajectories", f"the points of {name}", points, (2,)).astype(np.float64)
    bad = ~np.isfinite(way).all(axis=1)
    way = way[: int(bad.argmax())] if bad.any() else way
    if way.shape[1] != 2 or not len(way):
        raise ArgumentError(
            f"trajectories: the points of {name} must be finite and (steps, 2),"
            f" got shape {way.shape}",
            origin=origins.find_origin(),
        )
    return way


def _inside(ways: Mapping[str, Array]) -> Array:
    """The points that set the bounds: a way that flies off does not make all others small."""
    far = {name: np.abs(way - way[0]).max(axis=1) for name, way in ways.items()}
    limit = 10.0 * (median_low(float(d.max()) for d in far.values()) or 1.0)
    points = np.concatenate([way[far[name] <= limit] for name, way in ways.items()])
    inside: Array = np.clip(points, -_FARTHEST, _FARTHEST)
    return inside


def _bounds(owner: str, bounds: Any) -> Array:
    found = values(owner, "bounds", bounds, (2,)).astype(np.float64)
    if found.shape != (2, 2) or not (found[:, 0] < found[:, 1]).all():
        raise ArgumentError(
            f"{owner}: bounds must be ((least x, largest x), (least y, largest y)), got {bounds!r}",
            origin=origins.find_origin(),
        )
    return found


def _check_frames(frames: int, seconds: float) -> None:
    if frames < 1 or not seconds > 0:
        raise ArgumentError(
            f"trajectories: needs 1 frame or more and a time, got {frames} in {seconds} s",
            origin=origins.find_origin(),
        )
