"""Fewer registers are asked for where they let one more block in, and kept where nothing spills."""

from __future__ import annotations

from graphc_cuda.assemble import Assembled, KernelResources
from graphc_cuda.ptx import ptx_of
from graphc_cuda.register_limit import KernelShape, fit_registers, with_blocks
from tests.backends.cuda import device_samples as samples

PTX = "".join(
    f".visible .entry {name}(\n\t.param .u64 {name}_param_0\n)\n.maxntid 256\n{{\n\tret;\n}}\n"
    for name in ("near", "far", "small", "spills")
)
REGISTERS = {"near": 129, "far": 160, "small": 40, "spills": 130}
SHAPES = [KernelShape(name, 256, 0) for name in REGISTERS]


class Assembling:
    """An assembler that does what it is asked, and spills in one kernel."""

    def __init__(self) -> None:
        self.asked: list[set[str]] = []

    def __call__(self, ptx: str) -> Assembled:
        heads = ptx.split(".entry ")[1:]
        asked = {h.split("(")[0] for h in heads if ".minnctapersm 2" in h}
        self.asked.append(asked)
        kernels = {n: KernelResources(128 if n in asked else r) for n, r in REGISTERS.items()}
        if "spills" in asked:
            kernels["spills"] = KernelResources(128, spill_stores=8)
        return Assembled(b"", kernels)


def test_only_what_hardly_misses_is_asked_and_spills_are_not_kept() -> None:
    assembler = Assembling()
    made = fit_registers(PTX, SHAPES, (9, 0), assembler)
    assert assembler.asked == [set(), {"near", "spills"}, {"near"}]
    assert {n: f.registers for n, f in made.kernels.items()} == {**REGISTERS, "near": 128}


def test_shared_memory_that_keeps_blocks_away_needs_no_registers() -> None:
    assembler = Assembling()
    shapes = [KernelShape("near", 256, 150_000)]
    fit_registers(PTX, shapes, (9, 0), assembler)
    assert assembler.asked == [set()]


def test_without_an_assembler_nothing_is_asked() -> None:
    calls: list[str] = []

    def assemble(ptx: str) -> Assembled:
        calls.append(ptx)
        return Assembled(None)

    assert fit_registers(PTX, SHAPES, (9, 0), assemble).cubin is None
    assert calls == [PTX]


def test_printed_kernels_have_the_head_that_is_changed() -> None:
    text = with_blocks(ptx_of(samples.copies(), (9, 0)), {"copies": 3})
    assert ".maxntid 32\n.minnctapersm 3\n{" in text
