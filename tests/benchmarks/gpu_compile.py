"""What the steps that are measured become on a GPU, and how long that takes; needs no GPU.

    python -m tests.benchmarks.gpu_compile [SETTING ...] [--json FILE] [--tiny]

Machine code is made for compute capability 9.0 by LLVM and ptxas. Each setting is compiled twice,
in processes of their own with a cache of their own: the first finds it empty, the second finds
everything. Seconds are those from the call of `gx.compile` to code that could be launched; they
leave out the import and the drawing of initial weights.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.gpu.settings import SETTINGS, tiny
from tests.benchmarks.measure import machine_busy

ROOT = Path(__file__).resolve().parents[2]
CAPABILITY = (9, 0)
SECONDS = 900
HEADS = (
    "step", "kernels", "launches", "cold s", "cached s", "registers", "spilled bytes",
    "machine code kB", "arena MB",
)  # fmt: skip
Row = dict[str, Any]


def compile_one(name: str, is_tiny: bool) -> Row:
    """Compile a setting in this process, or take it from the cache."""
    from graphc_cuda.compile_step import StepCompiler
    from graphc_cuda.launch import ARENA, Region
    from graphc_cuda.step_code import NVPTX, step_code
    from tests.benchmarks.gpu import ours

    setting = tiny(SETTINGS[name]) if is_tiny else SETTINGS[name]
    busy, own, begin = machine_busy(), os.times(), time.perf_counter()
    function = ours.build(setting)

    def compiler() -> StepCompiler:
        return StepCompiler(function.graph, function.program, NVPTX, CAPABILITY)

    route = f"{NVPTX} {CAPABILITY}"
    made = step_code(function.graph, {}, route, lambda dims: compiler().compile(dims))
    seconds = time.perf_counter() - begin
    used = sum(os.times()[:4]) - sum(own[:4])
    others = max(0.0, machine_busy() - busy - used) / seconds
    stages = {stage: round(value, 3) for stage, value in function.times.items()}
    row = {"seconds": seconds, "others": others, "stages": stages}
    row["image_bytes"] = len(made.code.image)
    row["arena_bytes"] = made.plan.regions.get(Region(ARENA), 0)
    return row | _launches(compiler(), {})


def _launches(compiler: Any, dims: dict[str, int]) -> Row:
    """What the assembler says, from the cache by now."""
    found = compiler.launches(dims)
    known = [x for x in found if x.registers is not None]
    return {
        "kernels": len({x.name for x in found}),
        "launches": sum(x.count for x in found),
        "registers": max((x.registers for x in known), default=None),
        "spilled_bytes": sum(x.spilled_bytes for x in known) if known else None,
        "forms": sorted({x.form for x in found}),
    }


def compile_twice(name: str, is_tiny: bool = False, seconds: float = SECONDS) -> Row:
    """The rows of both processes as one."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "backends")])
    command = [sys.executable, "-m", "tests.benchmarks.gpu_compile", name, "--one"]
    command += ["--tiny"] * is_tiny
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"PYTHONPATH": paths, "GRAPHC_CACHE": cache}
        for _ in range(2):
            done = subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=seconds
            )
            if done.returncode:
                return {"step": name, "error": done.stderr.strip()[-2000:]}
            rows.append(json.loads(done.stdout.strip().splitlines()[-1]))
    cold, cached = rows
    kept = {k: v for k, v in cold.items() if k != "seconds"}
    return {"step": name, "cold_s": cold["seconds"], "cached_s": cached["seconds"]} | kept


def table(rows: list[Row]) -> str:
    """The rows in Markdown."""
    lines = [f"| {' | '.join(HEADS)} |", "|" + "---|" * len(HEADS)]
    for r in rows:
        if "error" in r:
            lines.append(f"| {r['step']} | {r['error'].splitlines()[-1]} |")
            continue
        cells = (
            r["step"], f"{r['kernels']:,}", f"{r['launches']:,}", f"{r['cold_s']:.2f}",
            f"{r['cached_s']:.2f}", r["registers"], r["spilled_bytes"],
            f"{r['image_bytes'] / 1e3:,.0f}", f"{r['arena_bytes'] / 1e6:,.1f}",
        )  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def main() -> int:
    """Compile what is asked for; 1 where something does not compile."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("settings", nargs="*", default=list(SETTINGS), metavar="SETTING")
    parser.add_argument("--json", type=Path, help="a file for all that is known")
    parser.add_argument("--tiny", action="store_true", help="small sizes, to try this program")
    parser.add_argument("--one", action="store_true", help="in this process, as a line of JSON")
    options = parser.parse_args()
    if options.one:
        sys.stdout.write("\n" + json.dumps(compile_one(options.settings[0], options.tiny)) + "\n")
        return 0
    rows: list[Row] = []
    for name in options.settings:
        rows.append(compile_twice(name, options.tiny))
        sys.stderr.write(f"{name}: {rows[-1].get('error', 'compiled')}\n")
        if options.json:
            options.json.write_text(json.dumps(rows, indent=1))
    sys.stdout.write(table(rows) + "\n")
    return int(any("error" in r for r in rows))


if __name__ == "__main__":
    sys.exit(main())
