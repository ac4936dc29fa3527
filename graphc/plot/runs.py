"""Curves of training runs, and of a sweep over learning rates."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.ir.types import Array
from graphc.plot.canvas import COLORS, finish, new_figure, same_length, style, values
from graphc.train.monitor import direction

Path = str | os.PathLike[str]
_TIMES = ("seconds", "steps_per_second")


def history(
    history: Any, names: Any = None, log: bool = False, title: str = "", path: Path | None = None
) -> Any:
    """The curves of a run: a panel for each number, with that of the validation beside it.

    `history` is what `fit` returns, or a dict of lists. `names` chooses ("loss" is also
    "val_loss"); by default all but times, and learning rates that stay. `log` makes the axes of
    losses logarithmic. A dot marks the best epoch of each validation curve, by its name (see
    gx.callbacks).
    """
    runs = _curves("history", history)
    panels = _panels(runs, names)
    rows, columns = (-(-len(panels) // 3), min(len(panels), 3))
    figure, axes = new_figure(rows, columns, (4.4 * columns, 3.3 * rows))
    for one, name in zip(axes, panels):
        _draw_panel(one, runs, name, log)
    for one in axes[len(panels) :]:
        one.set_visible(False)
    figure.suptitle(title)
    return finish(figure, path)


def compare(
    runs: Any, name: str = "loss", log: bool = False, title: str = "", path: Path | None = None
) -> Any:
    """One number of several runs in one panel: {"adam": history, "sgd": history}.

    The value of a name may also be a list of numbers.
    """
    if not isinstance(runs, Mapping) or not runs:
        raise ArgumentError(
            f"compare: needs a dict of histories by name, got {runs!r:.60}",
            origin=origins.find_origin(),
        )
    figure, (axes,) = new_figure(size=(6.0, 4.0))
    for i, (label, run) in enumerate(runs.items()):
        if isinstance(run, Mapping):
            found = _curves("compare", run)
            _check_names(found, [name])
            curve = found[name]
        else:
            curve = values("compare", label, run, (1,))
        axes.plot(_epochs(curve), curve, color=COLORS[i % len(COLORS)], label=label, lw=1.6)
    style(axes, title, "epoch" if any(isinstance(r, Mapping) for r in runs.values()) else "", name)
    axes.set_yscale("log" if log else "linear")
    axes.legend(frameon=False)
    return finish(figure, path)


def rate_sweep(
    rates: Any,
    losses: Any,
    smooth: Any = None,
    suggestion: float | None = None,
    divergence: float | None = None,
    title: str = "",
    path: Path | None = None,
) -> Any:
    """Losses against learning rates, with the rate that is suggested; see gx.lr_find.

    `smooth` is the smoothed curve, `divergence` the rate at which the loss grew without bounds.
    """
    rates, losses = (
        values("rate_sweep", word, given, (1,))
        for word, given in (("rates", rates), ("losses", losses))
    )
    same_length("rate_sweep", "rates", rates, "losses", losses)
    figure, (axes,) = new_figure(size=(6.0, 4.0))
    faint = smooth is not None
    axes.plot(rates, losses, color=COLORS[0], alpha=0.35 if faint else 1.0, lw=1.0, label="loss")
    curve = losses
    if smooth is not None:
        curve = values("rate_sweep", "smooth", smooth, (1,))
        same_length("rate_sweep", "rates", rates, "smooth losses", curve)
        axes.plot(rates, curve, color=COLORS[0], lw=2.0, label="smoothed")
    if suggestion is not None:
        height = float(np.interp(suggestion, rates, curve))
        axes.axvline(suggestion, color=COLORS[1], lw=1.0, ls="--")
        axes.plot([suggestion], [height], "o", color=COLORS[1], label=f"suggested {suggestion:.2g}")
    if divergence is not None:
        label = f"diverges from {divergence:.2g}"
        axes.axvspan(divergence, rates[-1], color=COLORS[3], alpha=0.12, lw=0, label=label)
    style(axes, title, "learning rate", "loss")
    axes.set_xscale("log")
    axes.set_ylim(*_sensible(curve))
    axes.legend(frameon=False)
    return finish(figure, path)


def _sensible(curve: Array) -> tuple[float, float]:
    """Bounds that show where the loss falls, and not how high it flies off."""
    finite = curve[np.isfinite(curve)]
    if not finite.size:
        return 0.0, 1.0
    low = float(finite.min())
    high = max(float(finite[0]), float(np.median(finite)))
    room = (high - low) or abs(high) or 1.0
    return low - 0.1 * room, high + 0.4 * room


def _draw_panel(axes: Any, runs: dict[str, Array], name: str, log: bool) -> None:
    best_of = {"min": np.nanargmin, "max": np.nanargmax}.get(direction(name) or "")
    for i, key in enumerate((name, f"val_{name}")):
        if key not in runs:
            continue
        curve, label = runs[key], "validation" if i else "training"
        axes.plot(_epochs(curve), curve, color=COLORS[i], lw=1.6, label=label)
        if i and best_of is not None and np.isfinite(curve).any():
            best = int(best_of(curve))
            axes.plot(
                [best + 1], [curve[best]], "o", color=COLORS[i], ms=5,
                label=f"best {curve[best]:.4g}",
            )  # fmt: skip
    style(axes, name, "epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    if name == "learning_rate" or (log and direction(name) == "min"):
        axes.set_yscale("log")
    if f"val_{name}" in runs:
        axes.legend(frameon=False, fontsize=8)


def _curves(owner: str, history: Any) -> dict[str, Array]:
    """The lists of a history as arrays."""
    given = getattr(history, "history", history)
    if not isinstance(given, Mapping) or not given:
        raise ArgumentError(
            f"{owner}: needs a history of gx.fit or a dict of lists, got {given!r:.60}",
            origin=origins.find_origin(),
        )
    return {name: values(owner, name, curve, (1,)) for name, curve in given.items()}


def _panels(runs: dict[str, Array], names: Any) -> list[str]:
    """The names of the panels, those of validation numbers without `val_`."""
    if names is None:
        chosen = [name for name in runs if name not in _TIMES and not _is_still(name, runs[name])]
    else:
        chosen = [names] if isinstance(names, str) else list(names)
        _check_names(runs, chosen)
    return list(dict.fromkeys(name.removeprefix("val_") for name in chosen))


def _is_still(name: str, curve: Array) -> bool:
    """Whether it is a learning rate that has always been the same."""
    return name.startswith("learning_rate") and bool((curve == curve[:1]).all())


def _check_names(runs: dict[str, Array], names: list[str]) -> None:
    for name in names:
        if name not in runs and f"val_{name}" not in runs:
            raise ArgumentError(
                f"gx.plot: no {name} among {', '.join(runs)}", origin=origins.find_origin()
            )


def _epochs(curve: Array) -> Array:
    return np.arange(1, len(curve) + 1)
