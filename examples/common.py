"""What the examples share: their options, and what they leave to look at.

Every example runs without a network on a small stand-in for its data set, in seconds. `--data DIR`
trains on the real one; `--out DIR` writes the picture of the compiled step and the plots.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import graphc as gx


def parser(doc: str | None, epochs: int, batch_size: int = 64) -> argparse.ArgumentParser:
    """The options that every example has."""
    made = argparse.ArgumentParser(
        description=(doc or "").splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    made.add_argument("--data", type=Path, metavar="DIR", help="where the real data set lies")
    made.add_argument("--out", type=Path, metavar="DIR", help="where pictures and plots go")
    made.add_argument("--epochs", type=int, default=epochs)
    made.add_argument("--batch-size", type=int, default=batch_size)
    made.add_argument("--threads", type=int, help="of the compiled step; by default all cores")
    made.add_argument("--seed", type=int, default=0)
    return made


def show(step: gx.CompiledFunction, out: Path | None, **figures: Any) -> None:
    """Write the page that shows a step's graphs, and matplotlib figures, into a directory."""
    if out is None:
        return
    out.mkdir(parents=True, exist_ok=True)
    step.html(out / f"{step.name}.html")
    for name, figure in figures.items():
        figure.savefig(out / f"{name}.png", dpi=100)
    names = sorted(p.name for p in out.iterdir())
    print(f"{out}: {', '.join(names)}")
