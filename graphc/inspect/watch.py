"""What GRAPHC_DUMP and GRAPHC_TIME show while a function is built and first called."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from graphc.config import environment
from graphc.errors import UnsupportedError
from graphc.inspect.dump import Dump
from graphc.inspect.graph_printer import call_name
from graphc.inspect.profile import Profile
from graphc.inspect.report import kernels
from graphc.ir.loops.kernel_equality import first_equal_kernels
from graphc.ir.types import Array

if TYPE_CHECKING:
    from graphc.runtime.backend import Runner
    from graphc.runtime.function import CompiledFunction

SUFFIXES = {"llvm": "ll", "asm": "s"}  # of files, where they are not called like the language


def dump_variant(function: CompiledFunction, dims: Mapping[str, int], runner: Runner) -> None:
    """Write every stage, and the code of every kernel, where GRAPHC_DUMP says."""
    directory = environment().dump
    if directory is None:
        return
    program = function.program
    dump = Dump(directory, function.name)
    dump.program(program, dims)
    suffixes = [SUFFIXES.get(language, language) for language in runner.languages]
    for language, suffix in zip(runner.languages, suffixes):
        dump.write(f"code.{suffix}", _source(runner, language))
    if not suffixes:
        return
    first = first_equal_kernels(program.schedule.kernels)  # the code of equal kernels has its name
    sources = runner.kernel_sources()
    for i, call in enumerate(program.schedule.calls):
        text = sources.get(first.get(call.kernel, call.kernel).name, "")
        dump.kernel(call_name(i, call), suffixes[0], f"{text}\n")


def _source(runner: Runner, language: str) -> str:
    """The code in a language; why it cannot be shown, where a tool is missing."""
    try:
        return runner.source(language)
    except UnsupportedError as error:
        return f"{error}\n"


def print_times(function: CompiledFunction, arrays: Sequence[Array], runner: Runner) -> None:
    """Times of every stage, pass and kernel, to the error stream."""
    lines = [f"{function.name}: stages"]
    lines += [f"  {name:<24}{seconds * 1e3:9.3f} ms" for name, seconds in function.times.items()]
    lines.append(f"{function.name}: passes")
    for step in function.program.trace:
        counts = f"{step.nodes_before:6d} -> {step.nodes_after:<6d}"
        lines.append(f"  {step.name:<24}{step.seconds * 1e3:9.3f} ms  {counts} nodes")
    seconds = runner.profile(arrays, function.rng)
    if seconds is not None:
        found = Profile(kernels(function), tuple(seconds))
        lines += [f"{function.name}: kernels", str(found)]
    sys.stderr.write("\n".join(lines) + "\n")
