"""What the examples share: their options, and what they leave to look at.

Every example runs without a network on a small stand-in for its data set, in seconds. `--data DIR`
trains on the real one; `--out DIR` writes the picture of the compiled step and the plots.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import graphc as gx


def parser(
    doc: str | None,
    epochs: int,
    batch_size: int = 64,
    data: str | None = "where the real data set lies",
) -> argparse.ArgumentParser:
    """The options that every example has; `data` says what --data is, None that there is none."""
    made = argparse.ArgumentParser(
        description=(doc or "").splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    if data is not None:
        made.add_argument("--data", type=Path, metavar="DIR", help=data)
    made.add_argument("--out", type=Path, metavar="DIR", help="where pictures and plots go")
    made.add_argument("--epochs", type=int, default=epochs)
    made.add_argument("--batch-size", type=int, default=batch_size)
    made.add_argument("--threads", type=int, help="of the compiled step; by default all cores")
    made.add_argument("--seed", type=int, default=0)
    return made


def resumed(step: gx.CompiledFunction, path: Path | None) -> list[gx.callbacks.Callback]:
    """Save after every epoch, if a path is given, from where a run that was stopped left off."""
    if path is None:
        return []
    kept = gx.callbacks.Checkpoint(path)
    if path.exists():
        kept.restore(step)
    return [kept]


def picture_options(made: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """More options, of the programs that classify pictures."""
    made.add_argument("--checkpoint", type=Path, metavar="FILE", help="written after every epoch")
    made.add_argument("--export", type=Path, metavar="DIR", help="where the C library goes")
    return made


def classify(
    functions: Sequence[gx.CompiledFunction],
    training: Any,
    testing: Any,
    options: argparse.Namespace,
) -> gx.History:
    """Train, evaluate and export a classifier: its training step, evaluation and prediction.

    A run whose checkpoint is there goes on where it was.
    """
    step, evaluate, predict = functions
    history = gx.fit(
        step, training, options.epochs, options.batch_size,
        validation=(evaluate, testing), callbacks=resumed(step, options.checkpoint),
    )  # fmt: skip
    result = gx.evaluate(evaluate, testing, batch_size=options.batch_size)
    print(f"test accuracy {result['accuracy']:.4f}")
    show(step, options.out)
    if options.export is not None:
        bundle = predict.export(options.export, name="classifier")
        size = sum(p.stat().st_size for p in options.export.glob("*.so"))
        library = bundle.load()
        found = [library(x) for x in batches(testing[0], options.batch_size)]
        share = float(np.mean(np.concatenate(found) == testing[1]))
        print(f"test accuracy of the C library, {size / 1e6:.2f} MB: {share:.4f}")
    return history


def batches(x: Any, size: int) -> Iterator[Any]:
    """The rows of an array, `size` at a time."""
    yield from (x[i : i + size] for i in range(0, len(x), size))


def show(step: gx.CompiledFunction, out: Path | None, **figures: Any) -> None:
    """Write the page that shows a step's graphs, and figures, into a directory.

    A figure is one of Matplotlib's, a function that draws one, or an array of pictures.
    """
    if out is None:
        return
    out.mkdir(parents=True, exist_ok=True)
    step.html(out / f"{step.name}.html")
    try:
        for name, figure in figures.items():
            draw(figure).savefig(out / f"{name}.png", dpi=100)
    except gx.errors.UnsupportedError as error:  # no Matplotlib
        print(f"no plots: {error}")
    names = sorted(p.name for p in out.iterdir())
    print(f"{out}: {', '.join(names)}")


def draw(figure: Any) -> Any:
    """A figure of Matplotlib's, of whatever `show` takes."""
    if isinstance(figure, np.ndarray):
        return gx.plot.images(figure)
    return figure() if callable(figure) else figure
