"""Whether memory or instructions bound the elementwise kernels of a step; needs no GPU.

    python -m tests.benchmarks.gpu_instructions [SETTING ...]

Counted in the machine code for compute capability 9.0 (ptxas, nvdisasm): the instructions of a
thread, each once, and those in front of its first load, which are all that a loop over the grid
could save of the next elements. `share` is the time of all of them at four a cycle and
multiprocessor, over that of the bytes at the bandwidth of the data sheet: below 1, memory is what
a kernel waits for.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from graphc_cuda.assemble import assemble, disassemble
from graphc_cuda.device.program import Program
from graphc_cuda.launch import KernelNode, LaunchPlan
from graphc_cuda.list_launches import H200, kernel_nodes
from graphc_cuda.plan_launches import plan_launches
from graphc_cuda.ptx import ptx_of
from tests.benchmarks.gpu import ours
from tests.benchmarks.gpu.settings import SETTINGS

CAPABILITY = (9, 0)
MULTIPROCESSORS, CLOCK = 132, 1.755e9  # of an H200, and the cycles a second that are assumed
ISSUED, WARP = 4, 32  # instructions a cycle, threads
MIN_GRID = 8 * MULTIPROCESSORS  # blocks that fill a GPU
_SECTION = re.compile(r"\s*\.section\s+\.text\.([^,\s]+)")
_INSTRUCTION = re.compile(r"\s*/\*[0-9a-f]{4}\*/\s+(.*);")


@dataclass
class Count:
    """The instructions of a kernel, those before its first load, and whether it has branches."""

    all: int = 0
    front: int = 0
    loads: bool = False
    branches: bool = False

    def add(self, text: str) -> None:
        """Count one."""
        self.loads |= "LDG" in text
        self.branches |= "BRA" in text
        self.all += 1
        self.front += not self.loads


def counts(program: Program) -> dict[str, Count]:
    """What the machine code of every kernel has, up to where its threads end."""
    cubin = assemble(ptx_of(program, CAPABILITY), CAPABILITY).cubin
    assert cubin is not None, "ptxas is not here"
    found: dict[str, Count] = {}
    present = Count()
    for line in disassemble(cubin).splitlines():
        if section := _SECTION.match(line):
            present = found[section[1]] = Count()
        elif instruction := _INSTRUCTION.match(line):
            present.add(instruction[1])
            if instruction[1].startswith("EXIT"):
                present = Count()
    return found


def elementwise(plan: LaunchPlan) -> Iterator[KernelNode]:
    """Launches that fill a GPU with a thread for a few points, each kernel once."""
    seen: set[str] = set()
    for node in kernel_nodes(plan.nodes):
        kernel = node.kernel
        large = kernel.form.startswith("element") and not node.parts and node.grid >= MIN_GRID
        if large and kernel.name not in seen:
            seen.add(kernel.name)
            yield node


def rows(name: str) -> Iterator[tuple[float, str]]:
    """The share of each kernel, and its line."""
    plan = plan_launches(ours.build(SETTINGS[name]).program, {})
    nodes = list(elementwise(plan))
    found = counts(Program(name, plan.program.functions, tuple(n.kernel for n in nodes)))
    for node in nodes:
        count, threads = found[node.kernel.name], node.grid * node.kernel.block
        moved = sum(place.size for place in node.arguments) / threads
        seconds = moved * WARP / (H200.bytes_per_second / MULTIPROCESSORS)
        share = count.all / ISSUED / CLOCK / seconds
        branches = " (with branches, each way once)" if count.branches else ""
        yield (
            share,
            (
                f"{node.kernel.name:44} {moved:6.1f} bytes {count.all:4} instructions "
                f"{count.front:3} in front, share {share:4.2f}, {node.kernel.form}{branches}"
            ),
        )


def main(names: list[str]) -> int:
    """Print the kernels of each setting, those that compute most first."""
    for name in names or ["resnet50_bf16", "gpt_12x768_bf16"]:
        lines = [line for _, line in sorted(rows(name), reverse=True)]
        sys.stdout.write("\n".join([name, *lines, ""]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
