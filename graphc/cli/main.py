"""The commands, their options and their exit codes: 0 done, 1 failed, 2 wrong usage."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from graphc import __version__
from graphc.errors import GraphcError
from graphc.runtime.inspection import STAGES

if TYPE_CHECKING:
    from graphc.cli.options import CompileOptions, RunOptions, SourceOptions


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="\b\nExamples:\n"
    "  graphc demo\n"
    "  graphc demo --output pictures --epochs 20\n"
    "  graphc compile model.onnx -o library --dim N=1:64\n"
    "  graphc run library --input x=x.npy\n"
    "  graphc inspect library\n"
    "  graphc doctor",
)
@click.version_option(__version__, prog_name="graphc")
def main() -> None:
    """A graph compiler for training steps: symbolic graphs in, native code out."""


def reporting(command: Callable[..., None]) -> Callable[..., None]:
    """Turn mistakes and failing files into a message and exit code 1."""

    @functools.wraps(command)
    def run(**options: object) -> None:
        try:
            command(**options)
        except (GraphcError, OSError, ImportError) as error:
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
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@reporting
def demo(
    output: Path | None, epochs: int, target: str, threads: int | None, seed: int, as_json: bool
) -> None:
    """Train a network on handwritten digits and show what was compiled.

    The network is 64-128-64-10 with dropout, the data 1,797 digits of 8 by 8 pixels that come
    with the package. Writes the graph as it was defined, differentiated, optimized, fused and
    planned: DOT text, and SVG where Graphviz is installed; the training step and the prediction
    as a C library; a C program that predicts with it, compiled and run where there is a compiler.
    """
    from graphc.cli.demo import run_demo

    run_demo(output, epochs, target, threads, seed, as_json)


SOURCE = click.argument("source", type=click.Path(path_type=Path))
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
FUNCTION = click.option("--function", default=None, help="Which one, of several.")


def source_options(command: Callable[..., None]) -> Callable[..., None]:
    """How a model is to be read."""
    for option in (
        click.option(
            "--dim", multiple=True, metavar="NAME=SIZE",
            help="A size of the model; NAME=LEAST:MOST leaves it open.",
        ),
        click.option("--shape", multiple=True, metavar="INPUT=1,3,N", help="A whole shape."),
        FUNCTION,
    ):  # fmt: skip
        command = option(command)
    return command


@main.command(
    "compile",
    epilog="\b\nExamples:\n"
    "  graphc compile model.onnx                       writes ./model-library\n"
    "  graphc compile model.onnx -o out --dim N=1:64   one open size\n"
    "  graphc compile train.py --function step         a script's training step\n"
    "  graphc compile model.onnx --target wasm32 --dim N=1\n",
)
@SOURCE
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), default=None,
              help="The folder.  [default: ./NAME-library]")  # fmt: skip
@source_options
@click.option("--target", default="host", show_default=True, help="A short name or a triple.")
@click.option("--features", default="", help="Of the instruction set, such as avx2.")
@click.option("--weights", type=click.Choice(["embedded", "separate"]), default="embedded",
              show_default=True, help="In the code, or in files of their own.")  # fmt: skip
@click.option("--name", default=None, help="What C functions begin with.  [default: the file]")
@click.option("--threads", type=click.IntRange(min=1), default=None,
              help="At most so many threads of the caller.")  # fmt: skip
@click.option("--selftest/--no-selftest", default=True, help="With recorded results to compare.")
@click.option("--max-flash", default=None, help="Fail where code needs more, such as 256kB.")
@click.option("--max-ram", default=None, help="Fail where the workspace needs more.")
@click.option("--json", is_flag=True, help="Print JSON instead of tables.")
@reporting
def compile_(source: Path, output: Path | None, **options: Unpack[CompileOptions]) -> None:
    """Make a C library of an ONNX model, or of a compiled function of a Python script."""
    from graphc.cli.build import run_compile

    run_compile(source, output, options)


@main.command(
    epilog="\b\nExamples:\n"
    "  graphc run library --input x=x.npy\n"
    "  graphc run library --input x=x.npy -o results    writes results/OUTPUT.npy\n"
    "  graphc run library --input x=x.npy --json\n",
)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--input", "inputs", multiple=True, metavar="NAME=FILE.npy", help="An input's array.")
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), default=None,
              help="Write every output there as a .npy file.")  # fmt: skip
@FUNCTION
@click.option("--check", is_flag=True, help="Run the library's self-test first.")
@click.option("--json", is_flag=True, help="Print JSON instead of tables.")
@reporting
def run(bundle: Path, inputs: tuple[str, ...], **options: Unpack[RunOptions]) -> None:
    """Call a function of an exported library on arrays from files."""
    from graphc.cli.build import run_run

    run_run(bundle, inputs, options)


@main.command(
    epilog="\b\nExamples:\n"
    "  graphc dot model.onnx > model.dot\n"
    "  graphc dot train.py --function step -o step.svg --stage optimized\n",
)
@SOURCE
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), default=None,
              help="Write it; .svg, .png and .pdf are drawn.")  # fmt: skip
@click.option("--stage", type=click.Choice(STAGES), default="fused", show_default=True)
@source_options
@reporting
def dot(source: Path, output: Path | None, stage: str, **options: Unpack[SourceOptions]) -> None:
    """The graph of an ONNX model or of a script's function, as Graphviz DOT."""
    from graphc.cli.look import run_dot

    run_dot(source, output, stage, options)


@main.command(
    epilog="\b\nExamples:\n"
    "  graphc inspect model.onnx\n"
    "  graphc inspect library --json\n"
    "  graphc inspect weights.safetensors\n",
)
@SOURCE
@source_options
@JSON
@reporting
def inspect(source: Path, as_json: bool, **options: Unpack[SourceOptions]) -> None:
    """What a file holds: an ONNX model, a script's functions, a library, weights."""
    from graphc.cli.look import run_inspect

    run_inspect(source, as_json, options)


@main.command(
    epilog="\b\nExamples:\n"
    "  graphc bench                        a training step, a prediction, a product\n"
    "  graphc bench model.onnx --dim N=8\n"
    "  graphc bench library --json\n"
    "  graphc bench --target cuda          on an NVIDIA GPU\n",
)
@click.argument("source", type=click.Path(path_type=Path), required=False)
@source_options
@click.option("--seconds", type=click.FloatRange(min=0.0), default=1.0, show_default=True,
              help="How long each function is called.")  # fmt: skip
@click.option("--target", default=None,
              help="What runs it: cpu (the default), cuda, cuda:1.")  # fmt: skip
@JSON
@reporting
def bench(
    source: Path | None,
    seconds: float,
    target: str | None,
    as_json: bool,
    **options: Unpack[SourceOptions],
) -> None:
    """How long calls take on this machine."""
    from graphc.cli.bench import run_bench

    run_bench(source, as_json, seconds, target, options)


@main.command(
    epilog="\b\nExamples:\n  graphc cache\n  graphc cache path\n  graphc cache clear\n",
)
@click.argument("action", type=click.Choice(["show", "path", "clear"]), default="show")
@JSON
@reporting
def cache(action: str, as_json: bool) -> None:
    """Compiled code on disk: how much there is, where; empty it.

    GRAPHC_CACHE names another folder, or "off".
    """
    from graphc.cli.cached import run_cache

    run_cache(action, as_json)


@main.command(
    epilog="\b\nExamples:\n"
    '  eval "$(graphc completion bash)"\n'
    "  graphc completion fish > ~/.config/fish/completions/graphc.fish\n",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@reporting
def completion(shell: str) -> None:
    """Print what makes a shell complete commands and options."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(main, {}, "graphc", "_GRAPHC_COMPLETE").source())


@main.command(epilog="\b\nExample:\n  graphc doctor --json\n")
@JSON
@reporting
def doctor(as_json: bool) -> None:
    """Say what this machine offers: versions, processor, cache, GPU, Graphviz.

    Exit code 1 when native code cannot be compiled or run here.
    """
    from graphc.cli.doctor import run_doctor

    if not run_doctor(as_json):
        sys.exit(1)


@main.command(epilog="\b\nExample:\n  graphc passes\n")
@JSON
@reporting
def passes(as_json: bool) -> None:
    """List the graph passes in the order in which they run.

    GRAPHC_DUMP=DIRECTORY writes the graph after each of them, GRAPHC_TIME=1 prints their times.
    """
    from graphc.cli.passes import run_passes

    run_passes(as_json)
