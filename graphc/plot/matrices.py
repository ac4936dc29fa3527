"""Matrices as coloured cells: confusions, attention, whatever has rows and columns."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from graphc.ir.types import Array
from graphc.plot.canvas import finish, new_figure, same_length, values

Path = str | os.PathLike[str]
_WRITTEN = 400  # cells; beyond, numbers in them cannot be read


def heatmap(
    matrix: Any,
    rows: Any = None,
    columns: Any = None,
    row_title: str = "",
    column_title: str = "",
    title: str = "",
    path: Path | None = None,
) -> Any:
    """A matrix (rows, columns) in colours, its numbers written into the cells if they fit.

    Of weights of attention, `rows` and `columns` are the words.
    """
    array = values("heatmap", "matrix", matrix, (2,))
    texts = [[f"{value:.2g}" for value in row] for row in array]
    figure, axes = _cells(array, texts, rows, columns)
    axes.set_xlabel(column_title)
    axes.set_ylabel(row_title)
    axes.set_title(title, fontsize=10)
    return finish(figure, path)


def confusion_matrix(
    matrix: Any,
    classes: Any = None,
    normalize: bool = False,
    title: str = "",
    path: Path | None = None,
) -> Any:
    """Which classes are taken for which: rows are true, columns predicted, cells counts.

    `matrix` (classes, classes) is the value of `gx.metrics.ConfusionMatrix`. Colours are shares of
    a row, so that rare classes show; with `normalize` the numbers are too.
    """
    counts = values("confusion_matrix", "matrix", matrix, (2,)).astype(np.float64)
    same_length("confusion_matrix", "rows", counts, "columns", counts.T)
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.where(totals > 0, totals, 1.0)
    texts = [
        [_share(shares[i, j]) if normalize else f"{counts[i, j]:,.0f}" for j in range(len(counts))]
        for i in range(len(counts))
    ]
    figure, axes = _cells(shares, texts, classes, classes, limits=(0.0, 1.0))
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    right = np.trace(counts) / max(counts.sum(), 1.0)
    axes.set_title(title or f"{right:.2%} right", fontsize=10)
    return finish(figure, path)


def _share(value: float) -> str:
    return f"{value:.2f}" if value else "0"


def _cells(
    array: Array, texts: list[list[str]], rows: Any, columns: Any, limits: Any = (None, None)
) -> tuple[Any, Any]:
    high, wide = array.shape
    size = (float(np.clip(0.5 * wide + 2.2, 4, 12)), float(np.clip(0.45 * high + 1.2, 3, 12)))
    figure, (axes,) = new_figure(size=size)
    image = axes.imshow(array, cmap="Blues", vmin=limits[0], vmax=limits[1], aspect="auto")
    figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02)
    for names, count, word, put in (
        (rows, high, "rows", axes.set_yticks),
        (columns, wide, "columns", axes.set_xticks),
    ):
        if names is not None:
            same_length("gx.plot", word, range(count), f"names of {word}", names)
            put(range(count), [str(name) for name in names])
        elif count <= 20:
            put(range(count))
    longest = max((len(str(name)) for name in columns), default=0) if columns is not None else 0
    axes.tick_params(length=0, labelsize=8)
    axes.tick_params(axis="x", rotation=90 if longest > 4 else 0)
    axes.spines[:].set_visible(False)
    if array.size <= _WRITTEN:
        _write(axes, array, texts, limits)
    return figure, axes


def _write(axes: Any, array: Array, texts: list[list[str]], limits: Any) -> None:
    """The numbers, in white on dark cells."""
    low = float(array.min()) if limits[0] is None else limits[0]
    top = float(array.max()) if limits[1] is None else limits[1]
    longest = max(len(text) for row in texts for text in row)
    font = 9 if longest < 5 and array.shape[1] <= 12 else 7
    for i, row in enumerate(texts):
        for j, text in enumerate(row):
            dark = array[i, j] > low + 0.55 * (top - low)
            axes.text(
                j, i, text, ha="center", va="center", fontsize=font,
                color="white" if dark else "#303030" if text != "0" else "#b0b0b0",
            )  # fmt: skip
