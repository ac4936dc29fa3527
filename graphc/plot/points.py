"""Points in the plane: embeddings with their labels, and what a classifier makes of the plane."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.ir.types import Array
from graphc.plot.canvas import COLORS, finish, new_figure, same_length, style, values

Path = str | os.PathLike[str]
Labels = Any  # one for each point: ints or texts
_MESH = 160  # points along each side
_LEGEND = 20  # classes


def embedding(
    points: Any,
    labels: Labels = None,
    words: Any = None,
    title: str = "",
    path: Path | None = None,
) -> Any:
    """Vectors (n, d) as points in the plane, coloured by their labels (n,), words written beside.

    Of more than two dimensions the first two principal components are shown (those of t-SNE:
    examples/tsne.py). Labels are ints or texts.
    """
    plane, share = _flat(values("embedding", "points", points, (2,)).astype(np.float64))
    figure, (axes,) = new_figure(size=(6.4, 5.2))
    crowd = 16.0 if len(plane) <= 2000 else 5.0
    if labels is None:
        axes.scatter(plane[:, 0], plane[:, 1], s=crowd, color=COLORS[0], alpha=0.8, lw=0)
    else:
        _scatter_classes(axes, plane, np.asarray(labels), crowd)
    if words is not None:
        same_length("embedding", "points", plane, "words", words)
        for (a, b), word in zip(plane, words):
            axes.annotate(str(word), (a, b), xytext=(3, 3), textcoords="offset points", fontsize=8)
    names = (
        ("", "") if share is None else tuple(f"component {i + 1}: {share[i]:.0%}" for i in (0, 1))
    )
    style(axes, title, *names)
    return finish(figure, path)


def decision_regions(
    predict: Callable[..., Any],
    points: Any,
    labels: Labels,
    margin: float = 0.15,
    title: str = "",
    path: Path | None = None,
) -> Any:
    """What a classifier makes of the plane, and the points (n, 2) with their labels (n,).

    `predict` takes points (m, 2) as float32 and returns scores (m, classes), of which the largest
    counts, or one score for each, (m,) or (m, 1), shown in shades with the line where it is 1/2 (of
    probabilities, which are in [0, 1]) or 0; or integer labels. A compiled function will do.
    """
    plane = values("decision_regions", "points", points, (2,)).astype(np.float64)
    if plane.shape[1] != 2:
        raise ArgumentError(
            f"decision_regions: points must be (n, 2), got shape {plane.shape}",
            origin=origins.find_origin(),
        )
    names = np.asarray(labels).reshape(-1)
    same_length("decision_regions", "points", plane, "labels", names)
    xs, ys = mesh(plane, margin, _MESH)
    scores = on_mesh("decision_regions", predict, xs, ys, (1, 2))
    figure, (axes,) = new_figure(size=(5.6, 4.6))
    if scores.ndim == 2 and scores.shape[1] == 1:
        scores = scores[:, 0]
    if scores.ndim == 1 and scores.dtype.kind == "f":
        _draw_shades(figure, axes, xs, ys, scores.reshape(xs.shape))
    else:
        chosen = scores if scores.ndim == 1 else scores.argmax(axis=1)
        _draw_regions(axes, xs, ys, chosen.reshape(xs.shape))
    _scatter_classes(axes, plane, names, 16.0, edge="white")
    style(axes, title)
    axes.grid(visible=False)
    axes.set_xlim(xs.min(), xs.max())
    axes.set_ylim(ys.min(), ys.max())
    return finish(figure, path)


def mesh(plane: Array, margin: float, count: int) -> tuple[Array, Array]:
    """A grid of points that covers others, with room around them."""
    low, high = plane.min(axis=0), plane.max(axis=0)
    room = margin * np.where(high > low, high - low, 1.0)
    sides = [np.linspace(low[i] - room[i], high[i] + room[i], count) for i in (0, 1)]
    xs, ys = np.meshgrid(*sides)
    return xs, ys


def on_mesh(
    owner: str, function: Callable[..., Any], xs: Array, ys: Array, ranks: tuple[int, ...]
) -> Array:
    """What a function of points gives for a grid, one row for each point."""
    flat = np.stack([xs.ravel(), ys.ravel()], axis=1).astype(np.float32)
    found = values(owner, "what the function returns", function(flat), ranks)
    if len(found) != len(flat):
        raise ArgumentError(
            f"{owner}: the function must give a row for each of {len(flat)} points,"
            f" got shape {found.shape}",
            origin=origins.find_origin(),
        )
    return found


def _draw_shades(figure: Any, axes: Any, xs: Array, ys: Array, scores: Array) -> None:
    share = scores.min() >= 0 and scores.max() <= 1
    middle = 0.5 if share else 0.0
    reach = 0.5 if share else float(np.abs(scores).max()) or 1.0
    levels = np.linspace(middle - reach, middle + reach, 21)
    shown = axes.contourf(xs, ys, scores, levels, cmap=_two_colors(), alpha=0.75)
    axes.contour(xs, ys, scores, [middle], colors="#404040", linewidths=1.2)
    ticks = [middle - reach, middle, middle + reach]
    figure.colorbar(shown, ax=axes, fraction=0.05, pad=0.02, ticks=ticks)


def _two_colors() -> Any:
    """From the colour of the first class over white to that of the second."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("classes", [COLORS[0], "white", COLORS[1]])


def _draw_regions(axes: Any, xs: Array, ys: Array, chosen: Array) -> None:
    classes = np.unique(chosen)
    levels = np.append(classes, classes[-1] + 1) - 0.5
    colors = [COLORS[int(c) % len(COLORS)] for c in classes]
    axes.contourf(xs, ys, chosen, levels, colors=colors, alpha=0.25)
    if len(classes) > 1:
        axes.contour(xs, ys, chosen, levels[1:-1], colors="white", linewidths=1.0)


def _scatter_classes(axes: Any, plane: Array, labels: Array, size: float, edge: Any = None) -> None:
    """Points in the colours of their classes, with a legend if there are few."""
    labels = labels.reshape(-1)
    same_length("gx.plot", "points", plane, "labels", labels)
    classes = np.unique(labels)
    whole = labels.dtype.kind in "biu" and len(classes) and int(classes[0]) >= 0
    for i, name in enumerate(classes):
        mine = plane[labels == name]
        color = COLORS[(int(name) if whole else i) % len(COLORS)]
        width = 0.4 if edge else 0.0
        axes.scatter(
            mine[:, 0], mine[:, 1], s=size, color=color, alpha=0.9, lw=width, edgecolors=edge,
            label=str(name),
        )  # fmt: skip
    if 1 < len(classes) <= _LEGEND:
        axes.legend(frameon=True, framealpha=0.8, edgecolor="none", fontsize=8, markerscale=1.3)


def _flat(points: Array) -> tuple[Array, Array | None]:
    """Points in the plane; of more dimensions principal components, with their shares."""
    if points.shape[1] == 1:
        return np.concatenate([points, np.zeros_like(points)], axis=1), None
    if points.shape[1] == 2 or len(points) < 2:
        return points[:, :2], None
    centred = points - points.mean(axis=0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    total = float((singular**2).sum()) or 1.0
    return left[:, :2] * singular[:2], singular[:2] ** 2 / total
