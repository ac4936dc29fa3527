"""Distributions that change over time, as ridges one behind the other."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.ir.types import Array
from graphc.plot.canvas import finish, new_figure, rows_and_columns, style, values

Path = str | os.PathLike[str]
Histogram = tuple[Array, Array]  # counts, and edges: one more
_BINS = 80
_ZERO = 1e-11  # where all are smaller, they are shown as 0
_RIDGES = 16  # of more times, that many are shown


def histograms(series: Any, times: Any = None, title: str = "", path: Path | None = None) -> Any:
    """How distributions change: a ridge for each time, the latest in front.

    `series` is a list over time whose items are arrays of values or pairs (counts, edges), or a
    dict of such lists, each in a panel. `times` names the items, by default epochs from 1. The
    thousandth at either end is left out.
    """
    panels = series if isinstance(series, Mapping) else {"": series}
    found = {name: [_histogram(name, item) for item in items] for name, items in panels.items()}
    if not found or not all(found.values()):
        raise ArgumentError("histograms: there is nothing to show", origin=origins.find_origin())
    rows, columns = rows_and_columns(len(found), None, most=4)
    figure, axes = new_figure(rows, columns, (3.6 * columns + 0.6, 2.9 * rows + 0.4))
    for one, (name, items) in zip(axes, found.items()):
        _draw(one, name, items, range(1, len(items) + 1) if times is None else list(times))
    for one in axes[len(found) :]:
        one.set_visible(False)
    figure.suptitle(title, fontsize=11)
    return finish(figure, path)


def _histogram(name: str, item: Any) -> Histogram:
    """Counts and edges of an item."""
    if isinstance(item, tuple) and len(item) == 2:
        counts = values("histograms", "counts", item[0], (1,)).astype(np.float64)
        edges = values("histograms", "edges", item[1], (1,)).astype(np.float64)
        if len(edges) != len(counts) + 1:
            raise ArgumentError(
                f"histograms: {name}: {len(counts)} counts need {len(counts) + 1} edges,"
                f" got {len(edges)}",
                origin=origins.find_origin(),
            )
        return counts, edges
    flat = values("histograms", "values", item, range(33)).astype(np.float64).ravel()
    counts, edges = np.histogram(flat[np.isfinite(flat)], bins=4 * _BINS)
    return counts.astype(np.float64), edges


def _draw(axes: Any, name: str, items: list[Histogram], times: Any) -> None:
    from matplotlib import colormaps

    chosen = np.unique(np.linspace(0, len(items) - 1, _RIDGES).round().astype(int))
    edges = np.linspace(*_range(items), _BINS + 1)
    heights = [_shares(items[i], edges) for i in chosen]
    top = max(float(h.max()) for h in heights) or 1.0
    middles = (edges[1:] + edges[:-1]) / 2
    step = 1.0 if len(chosen) > 1 else 0.0
    for place, height in enumerate(heights):
        base = -step * place
        color = colormaps["viridis"](0.15 + 0.7 * place / max(len(chosen) - 1, 1))
        line = base + 3.0 * height / top
        axes.fill_between(middles, base, line, color=color, alpha=0.75, lw=0, zorder=place + 2)
        axes.plot(middles, line, color="white", lw=0.8, zorder=place + 2)
    style(axes, name)
    axes.grid(axis="y", visible=False)
    axes.locator_params(axis="x", nbins=5)
    axes.spines["left"].set_visible(False)
    every = max(1, len(chosen) // 6)
    labels = [str(times[i]) if n % every == 0 else "" for n, i in enumerate(chosen)]
    axes.set_yticks(-step * np.arange(len(chosen)), labels)
    axes.tick_params(length=0, labelsize=8)


def _range(items: list[Histogram]) -> tuple[float, float]:
    """From the first thousandth to the last of all times, each time counted alike."""
    lows, highs = [], []
    for counts, edges in items:
        total = counts.sum()
        if total:
            part = np.concatenate([[0.0], np.cumsum(counts)]) / total
            lows.append(np.interp(0.001, part, edges))
            highs.append(edges[-1] - np.interp(0.001, 1.0 - part[::-1], edges[-1] - edges[::-1]))
    low, high = (min(lows), max(highs)) if lows else (0.0, 1.0)
    if max(abs(low), abs(high)) < _ZERO:
        return -1.0, 1.0
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(high) + 0.5)


def _shares(item: Histogram, edges: Array) -> Array:
    """The share of values between other edges, those of a bin spread evenly over it."""
    counts, old = item
    below = np.concatenate([[0.0], np.cumsum(counts)])
    shares: Array = np.diff(np.interp(edges, old, below)) / max(float(below[-1]), 1.0)
    return shares
