"""What all plots share: figures, the look of axes, values, files."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError, UnsupportedError
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor
from graphc.installed import install_hint
from graphc.ir.exchange import to_numpy
from graphc.ir.types import Array

COLORS = (
    "#2f6fb5", "#e07b28", "#3a9a5b", "#c9403f", "#8465b5", "#8a5a4a", "#d671b0", "#7d7d7d",
    "#b0ab2f", "#3bafc0",
)  # fmt: skip
FORMATS = (".png", ".svg", ".pdf", ".jpg")
DOTS = 150  # an inch of a saved picture


def new_figure(rows: int = 1, columns: int = 1, size: tuple[float, float] = (6.0, 4.0)) -> Any:
    """A figure and its axes, row by row; raises UnsupportedError without Matplotlib.

    It is none of pyplot's, which would keep it, and show it a second time in a notebook.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UnsupportedError(
            f"gx.plot needs Matplotlib: {error}", hint=install_hint("plots", "matplotlib")
        ) from error
    figure: Any = Figure(figsize=size, layout="constrained")
    figure._repr_png_ = partial(drawn, figure)
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def style(axes: Any, title: str = "", x: str = "", y: str = "") -> None:
    """Titles of axes, a faint grid, no frame above and on the right."""
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)


def without_axes(axes: Any) -> None:
    """Let a picture stand alone."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def drawn(figure: Any) -> bytes:
    """A figure as PNG."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DOTS)
    return stream.getvalue()


def finish(figure: Any, path: Any, formats: Sequence[str] = FORMATS) -> Any:
    """Save a figure where a path is given; the figure."""
    if path is not None:
        figure.savefig(checked_path(path, formats), dpi=DOTS)
    return figure


def checked_path(path: Any, formats: Sequence[str] = FORMATS) -> Path:
    """A path that a picture can be written to; raises ArgumentError."""
    where = Path(os.fspath(path))
    if where.suffix.lower() not in formats:
        raise ArgumentError(
            f"gx.plot: {where.name} must end in one of {', '.join(formats)}",
            origin=origins.find_origin(),
        )
    if not where.parent.is_dir():
        raise ArgumentError(
            f"gx.plot: there is no folder {where.parent}",
            origin=origins.find_origin(),
            hint=f"make it: os.makedirs({str(where.parent)!r})",
        )
    return where


def values(owner: str, word: str, given: Any, ranks: Sequence[int]) -> Array:
    """Numbers as an array of one of some ranks; of a parameter its value."""
    if isinstance(given, Tensor) and not isinstance(given, Parameter):
        raise ArgumentError(
            f"{owner}: {word} must be values, got the tensor {given!r:.60}",
            origin=origins.find_origin(),
            hint="call the compiled function and plot what it returns",
        )
    array: Array = np.asarray(given.value if isinstance(given, Parameter) else to_numpy(given))
    if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
        raise ArgumentError(
            f"{owner}: {word} must be numbers, got {array.dtype}", origin=origins.find_origin()
        )
    if array.ndim not in ranks:
        wanted = " or ".join(map(str, ranks))
        raise ArgumentError(
            f"{owner}: {word} must have {wanted} axes, got shape {array.shape}",
            origin=origins.find_origin(),
        )
    return array.astype(np.float64) if array.dtype.name == "bfloat16" else array


def same_length(owner: str, first: str, a: Any, second: str, b: Any) -> None:
    """Raise unless two arguments have as many items."""
    if len(a) != len(b):
        raise ArgumentError(
            f"{owner}: {len(a)} {first} but {len(b)} {second}", origin=origins.find_origin()
        )


def rows_and_columns(count: int, columns: int | None, most: int = 8) -> tuple[int, int]:
    """A grid for some pictures, nearly square."""
    wide = columns or min(most, int(np.ceil(np.sqrt(count))))
    if wide < 1:
        raise ArgumentError(
            f"gx.plot: columns must be 1 or more, got {wide}", origin=origins.find_origin()
        )
    return -(-count // wide), min(wide, count)
