"""What GRAPHC_DUMP and GRAPHC_TIME show while a function is built and first called."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from graphc.config import environment
from graphc.inspect.dump import Dump
from graphc.inspect.text import call_name
from graphc.ir.loops.ir import Kernel
from graphc.ir.loops.meaning import first_equal

_FUNCTION = re.compile(r"^define [^\n]*@([^\s(]+)\(.*?^}$", re.MULTILINE | re.DOTALL)


def dump_variant(function: Any, dims: Mapping[str, int], runner: Any) -> None:
    """Write every stage, and the code of every kernel, where GRAPHC_DUMP says."""
    directory = environment().dump
    if directory is None:
        return
    program = function.program
    dump = Dump(directory, function.name)
    dump.program(program, dims)
    source = getattr(runner, "source", None)
    if source is None:
        return
    text = source("llvm")
    dump.write("code.ll", text)
    dump.write("code.s", source("asm"))
    first = first_equal(program.schedule.kernels)  # the code of equal kernels has its name
    calls = enumerate(program.schedule.calls)
    kernels = {call_name(i, c): first.get(c.kernel, c.kernel) for i, c in calls}
    for name, parts in split_kernels(text, kernels).items():
        dump.kernel(name, "ll", "\n\n".join(parts) + "\n")


def split_kernels(text: str, kernels: Mapping[str, Kernel]) -> dict[str, list[str]]:
    """The functions of a module by kernel: those that only it calls stand before its own."""
    found: dict[str, list[str]] = {name: [] for name in kernels}
    named: dict[str, list[str]] = {}
    for name, kernel in kernels.items():
        named.setdefault(kernel.name, []).append(name)
    waiting: list[str] = []
    for match in _FUNCTION.finditer(text):
        symbol = match[1].partition(".")[2]
        waiting = [*waiting, match[0]] if symbol else []
        for name in named.get(symbol, ()):
            found[name] = waiting
        if symbol in named:
            waiting = []
    return found


def print_times(function: Any, arrays: Sequence[Any], dims: Mapping[str, int], runner: Any) -> None:
    """Times of every stage, pass and kernel, to the error stream."""
    lines = [f"{function.name}: stages"]
    lines += [f"  {name:<24}{seconds * 1e3:9.3f} ms" for name, seconds in function.times.items()]
    lines.append(f"{function.name}: passes")
    for step in function.program.trace:
        counts = f"{step.nodes_before:6d} -> {step.nodes_after:<6d}"
        lines.append(f"  {step.name:<24}{step.seconds * 1e3:9.3f} ms  {counts} nodes")
    measure = getattr(runner, "profile", None)
    if measure is not None:
        from graphc.inspect.profile import Profile
        from graphc.inspect.report import kernels

        seconds = tuple(measure(arrays, dims, function.rng))
        lines += [f"{function.name}: kernels", str(Profile(kernels(function), seconds))]
    sys.stderr.write("\n".join(lines) + "\n")
