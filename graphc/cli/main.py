"""The commands, their options and their exit codes: 0 done, 1 failed, 2 wrong usage."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from graphc import __version__
from graphc.errors import GraphcError


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="\b\nExamples:\n"
    "  graphc demo\n"
    "  graphc demo --output pictures --epochs 20\n"
    "  graphc doctor\n"
    "  graphc passes",
)
@click.version_option(__version__, prog_name="graphc")
def main() -> None:
    """A graph compiler for training steps: symbolic graphs in, native code out."""


def reporting(command: Callable[..., None]) -> Callable[..., None]:
    """Turn mistakes and failing files into a message and exit code 1."""

    @functools.wraps(command)
    def run(**options: Any) -> None:
        try:
            command(**options)
        except (GraphcError, OSError) as error:
            click.echo(f"{type(error).__name__}: {error}", err=True)
            sys.exit(1)

    return run


@main.command(
    epilog="\b\nExamples:\n"
    "  graphc demo                          writes ./graphc-demo\n"
    "  graphc demo -o pictures              writes ./pictures\n"
    "  graphc demo --target interpret       without native code\n"
)
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path), default=None,
    help="Where the pictures go.  [default: a new ./graphc-demo]",
)  # fmt: skip
@click.option(
    "--epochs", type=click.IntRange(min=1), default=40, show_default=True,
    help="How often the training data are gone through.",
)  # fmt: skip
@click.option(
    "--target", type=click.Choice(["cpu", "interpret"]), default="cpu", show_default=True,
    help="Native code, or the numpy interpreter.",
)  # fmt: skip
@click.option(
    "--threads", type=click.IntRange(min=1), default=None,
    help="At most so many threads.  [default: as many as pay]",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Of weights, masks, order.")
@reporting
def demo(output: Path | None, epochs: int, target: str, threads: int | None, seed: int) -> None:
    """Train a network on handwritten digits and show what was compiled.

    The network is 64-128-64-10 with dropout, the data 1,797 digits of 8 by 8 pixels that come
    with the package. Writes the graph as it was defined, differentiated, optimized, fused and
    planned: DOT text, and SVG where Graphviz is installed.
    """
    from graphc.cli.demo import run_demo

    run_demo(output, epochs, target, threads, seed)


@main.command(epilog="\b\nExample:\n  graphc doctor\n")
@reporting
def doctor() -> None:
    """Say what this machine offers: versions, processor, cache, GPU, Graphviz.

    Exit code 1 when native code cannot be compiled or run here.
    """
    from graphc.cli.doctor import run_doctor

    if not run_doctor():
        sys.exit(1)


@main.command(epilog="\b\nExample:\n  graphc passes\n")
@reporting
def passes() -> None:
    """List the graph passes in the order in which they run.

    GRAPHC_DUMP=DIRECTORY writes the graph after each of them, GRAPHC_TIME=1 prints their times.
    """
    from graphc.cli.passes import run_passes

    run_passes()
