"""Compile every kernel by both routes, assemble it, and write what each takes.

    python -m tests.backends.cuda.all_kernels [ops models workloads] [--part 1/4] [--output FILE]

A row of the JSON: where the kernel comes from, the route ("numba" or "nvptx"), the capability,
registers, spilled bytes, stack, shared memory, and milliseconds of compiling (its share of what
is compiled together; the PTX of numba, which is made for sm_80, is assembled for sm_90, too).
Kernels of equal code are compiled once. Ends with 1 if any kernel is refused.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from graphc_cuda.assemble import KernelResources, assemble
from graphc_cuda.device.program import DeviceKernel, Program
from graphc_cuda.print_numba import kernel_texts
from graphc_cuda.ptx import ptx_of
from tests.backends.cuda.kernel_sources import Source, sources

CAPABILITIES = ((8, 0), (9, 0))
Row = dict[str, Any]
Compile = Callable[[Program, tuple[int, int]], str]


def numba_ptx(program: Program, capability: tuple[int, int]) -> str:
    """PTX by numba; imported where it is asked for, it is slow to import."""
    from graphc_cuda import numba_api

    return numba_api.numba_ptx(program, capability)


ROUTES: dict[str, Compile] = {"nvptx": ptx_of}
if find_spec("numba_cuda") is not None:
    ROUTES["numba"] = numba_ptx


def rows_of(name: str, program: Program, seen: set[str]) -> Iterator[Row]:
    """What each kernel takes that has not been seen before."""
    new = tuple(k for k in program.kernels if _is_new(program, k, seen))
    if not new:
        return
    program = Program(program.name, program.functions, new)
    for route, compile_ptx in ROUTES.items():
        try:
            yield from _compiled(name, program, route, compile_ptx)
        except Exception:  # one by one it is told which of them is refused
            for kernel in new:
                yield from _alone(name, program, kernel, route)


def _is_new(program: Program, kernel: DeviceKernel, seen: set[str]) -> bool:
    alone = Program("", program.functions, (kernel,))
    (text,) = kernel_texts(alone).values()
    code = re.sub(r"^ *#.*\n", "", text.replace(kernel.name, "kernel"), flags=re.MULTILINE)
    code = f"{kernel.block} {code}"
    if code in seen:
        return False
    seen.add(code)
    return True


def _alone(name: str, program: Program, kernel: DeviceKernel, route: str) -> Iterator[Row]:
    single = Program(program.name, program.functions, (kernel,))
    try:
        yield from _compiled(name, single, route, ROUTES[route])
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        yield {"source": name, "kernel": kernel.name, "route": route, "error": message[:2000]}


def _compiled(name: str, program: Program, route: str, compile_ptx: Compile) -> list[Row]:
    found: list[Row] = []
    ptx, milliseconds = "", 0.0
    for capability in CAPABILITIES:
        start = time.perf_counter()
        if not ptx or route == "nvptx":
            ptx = compile_ptx(program, capability)
            milliseconds = (time.perf_counter() - start) * 1e3 / len(program.kernels)
        made = assemble(ptx, capability)
        for kernel in program.kernels:
            facts = made.kernels.get(kernel.name, KernelResources())
            row = {"source": name, "kernel": kernel.name, "route": route}
            row |= {"capability": "sm_{}{}".format(*capability), "block": kernel.block}
            found.append(row | asdict(facts) | {"ms": round(milliseconds, 1)})
    return found


def table(chosen: Iterable[Source], report: Callable[[str], object] = print) -> list[Row]:
    """The rows of all sources."""
    seen: set[str] = set()
    rows: list[Row] = []
    for name, make in chosen:
        try:
            program = make()
        except Exception as error:
            rows.append({"source": name, "error": f"{type(error).__name__}: {error}"[:2000]})
            report(f"{name}: no program: {rows[-1]['error'][:300]}")
            continue
        for row in rows_of(name, program, seen) if program is not None else ():
            rows.append(row)
            if "error" in row:
                report(f"{name}: {row['kernel']} by {row['route']}: {row['error'][:600]}")
            elif row["spill_stores"] or row["spill_loads"]:
                report(f"{name}: {row['kernel']} by {row['route']} spills: {row}")
    return rows


def summary(rows: list[Row]) -> str:
    """How many kernels each route compiled, for what, and the most that one takes."""
    lines = []
    for route in ROUTES:
        mine = [r for r in rows if r.get("route") == route and "error" not in r]
        kernels = {(r["source"], r["kernel"]) for r in mine}
        refused = sum(r.get("route") == route and "error" in r for r in rows)
        spilled = sum(bool(r["spill_stores"] or r["spill_loads"]) for r in mine)
        registers = sorted(r["registers"] for r in mine) or [0]
        milliseconds = sum(r["ms"] for r in mine) / max(1, len(mine))
        lines.append(
            f"{route}: {len(kernels)} kernels, {refused} refused, {spilled} rows with spills, "
            f"registers {registers[len(registers) // 2]} (median) to {registers[-1]}, "
            f"{milliseconds:.0f} ms a kernel"
        )
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Compile what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("kinds", nargs="*", default=["ops", "models", "workloads"])
    parser.add_argument("--part", default="1/1", help="such as 2/4: every fourth source")
    parser.add_argument("--output", type=Path, help="a file of JSON")
    chosen = parser.parse_args(arguments)
    number, parts = map(int, chosen.part.split("/"))
    rows: list[Row] = []
    for kind in chosen.kinds:
        rows += table(islice(sources(kind), number - 1, None, parts))
        sys.stdout.write(f"{kind}\n{summary(rows)}\n")
        sys.stdout.flush()
        if chosen.output:
            chosen.output.write_text(json.dumps(rows, indent=0))
    return int(any("error" in row for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
