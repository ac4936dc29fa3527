"""Facts about the machine that code is made for; the only module that decides by instruction set.

A `Target` holds plain numbers. Nothing in it was measured, so the same target gives the same code.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import llvmlite.binding as llvm

from graphc.errors import ArgumentError
from graphc.ir.types import DType
from graphc.origin import find_origin

KIBIBYTE = 1024
CACHE_LINE = 64  # bytes: what the code fetches at once, and what threads must not share
PAGE_BYTES = 4096  # of memory; also how far apart addresses of one set of the L1 cache are


@dataclass(frozen=True)
class Target:
    """A processor as the code generator sees it.

    `vector_bits` is the widest vector that code is written in. `has_fma` tells whether a
    multiply-add rounds once: targets that agree in it give the same bits. Where
    `has_masked_memory` is false, masked loads and stores become one branch a lane.
    """

    triple: str
    cpu: str
    features: str
    isa: str
    has_fma: bool
    vector_bits: int
    vector_registers: int
    has_masked_memory: bool
    has_half_conversion: bool
    l1_bytes: int = 32 * KIBIBYTE
    l2_bytes: int = 1024 * KIBIBYTE

    def lanes(self, dtype: DType) -> int:
        """How many elements one vector register holds."""
        return max(1, self.vector_bits // (8 * dtype.itemsize))

    @property
    def hosted(self) -> bool:
        """Whether there is an operating system."""
        return not any(word in self.triple for word in ("none", "wasm"))

    @property
    def is_small(self) -> bool:
        """Whether addresses have 32 bits."""
        return self.triple.startswith(("thumb", "wasm32"))

    @property
    def has_double(self) -> bool:
        """Whether there are instructions for float64; else the compiler's functions stand in."""
        return not self.triple.startswith("thumb")

    @property
    def object_format(self) -> str:
        """ "elf", "wasm", "macho" or "coff"."""
        if self.triple.startswith("wasm"):
            return "wasm"
        if any(word in self.triple for word in ("darwin", "macos", "ios")):
            return "macho"
        return "coff" if "windows" in self.triple else "elf"

    @property
    def folds_broadcasts(self) -> bool:
        """True where a multiply-add takes one operand as a broadcast or a lane of a register."""
        return self.isa in ("avx512", "neon")

    @property
    def has_mask_registers(self) -> bool:
        """True where comparisons of vectors leave bits, which cost no vector register."""
        return self.isa == "avx512"

    @property
    def tile_registers(self) -> int:
        """Vector registers that accumulators and one row of the lane-side operand may fill.

        One register is left for the broadcast value; without multiply-add a second one holds
        the product.
        """
        return self.vector_registers - (1 if self.has_fma else 2)


@dataclass(frozen=True)
class _InstructionSet:
    """What all processors of one instruction set share."""

    has_fma: bool
    vector_bits: int
    vector_registers: int
    has_masked_memory: bool
    has_half_conversion: bool


_SETS = {
    "avx512": _InstructionSet(True, 512, 32, True, True),
    "avx2": _InstructionSet(True, 256, 16, True, True),
    "sse2": _InstructionSet(False, 128, 16, False, False),
    "neon": _InstructionSet(True, 128, 32, False, True),
    "generic": _InstructionSet(False, 128, 16, False, False),
}

# name -> (triple, cpu, features, instruction set)
_NAMED = {
    "avx512": ("x86_64-unknown-linux-gnu", "x86-64-v4", "", "avx512"),
    "avx2": ("x86_64-unknown-linux-gnu", "x86-64-v3", "", "avx2"),
    "baseline": ("x86_64-unknown-linux-gnu", "x86-64", "", "sse2"),
    "neon": ("aarch64-unknown-linux-gnu", "generic", "+neon", "neon"),
    "wasm32": ("wasm32-unknown-unknown", "generic", "+simd128,+bulk-memory", "generic"),
    "riscv64": ("riscv64-unknown-linux-gnu", "generic-rv64", "+m,+a,+f,+d,+c", "generic"),
    "cortex-m4": ("thumbv7em-unknown-none-eabihf", "cortex-m4", "", "generic"),
    "cortex-m7": ("thumbv7em-unknown-none-eabihf", "cortex-m7", "", "generic"),
}

# the first part of a triple -> the target whose instruction set is safe for it
_ARCHITECTURES = {
    "x86_64": "baseline", "amd64": "baseline", "aarch64": "neon", "arm64": "neon",
    "wasm32": "wasm32", "riscv64": "riscv64", "thumbv7em": "cortex-m4",
}  # fmt: skip

_VENDORS = ("unknown", "pc", "apple", "w64")
_SYSTEMS = ("linux", "windows", "macos", "darwin", "none", "elf", "freebsd", "netbsd", "openbsd",
            "android", "wasi", "emscripten")  # fmt: skip

_BIG_ENDIAN = ("aarch64_be", "armeb", "thumbeb", "mips", "powerpc", "ppc", "s390x", "sparc", "m68k")


def make_target(name: str) -> Target:
    """A target by short name ("avx512", "avx2", "baseline", "neon", ...) or by triple.

    A triple gets the oldest instruction set of its architecture. Raises ValueError for others.
    """
    if name in _NAMED:
        return _build(*_NAMED[name])
    architecture = name.split("-")[0]
    if architecture.startswith(_BIG_ENDIAN) and not architecture.endswith(("le", "el")):
        raise ValueError(f"{name} is big-endian: code is made for little-endian machines")
    if "-" not in name or architecture not in _ARCHITECTURES:
        known = ", ".join(_NAMED)
        raise ValueError(f"no target {name!r}: give a triple or one of {known}")
    rest = [word for word in name.split("-")[1:] if word not in _VENDORS]
    if rest and not any(word.startswith(_SYSTEMS) for word in rest):
        known = ", ".join(_SYSTEMS)
        raise ValueError(f"no target {name!r}: its system is none of {known}")
    _, cpu, features, isa = _NAMED[_ARCHITECTURES[architecture]]
    # LLVM reads triples by position: "thumbv7em-none-eabihf" would be a system called eabihf
    return _build(name.replace("-none-", "-unknown-none-", 1) if name.count("-") == 2 else name,
                  cpu, features, isa)  # fmt: skip


def host_target() -> Target:
    """The machine that this process runs on."""
    triple = llvm.get_process_triple()
    features = llvm.get_host_cpu_features()
    isa = _host_isa(triple, features)
    cpu, flags = llvm.get_host_cpu_name(), features.flatten()
    return _build(triple, cpu, flags, isa, _cache_bytes(1), _cache_bytes(2))


def export_target(name: str, features: str = "") -> Target:
    """The target of a library: "host", a short name or a triple.

    `features` are LLVM's names, separated by commas; of x86-64 "avx2" and "avx512" choose the
    instruction set. Raises ArgumentError for targets that there are not.
    """
    words = [word.strip() for word in features.split(",") if word.strip()]
    try:
        target = host_target() if name == "host" else make_target(name)
    except ValueError as error:
        raise ArgumentError(f"export: {error}", origin=find_origin()) from None
    for word in [w for w in words if w in ("avx2", "avx512")]:
        if not target.triple.startswith("x86_64"):
            text = f"export: {target.triple} has no {word}"
            raise ArgumentError(text, origin=find_origin())
        _, cpu, _, isa = _NAMED[word]
        target = _build(target.triple, cpu, "", isa)
        words.remove(word)
    given = [w if w[0] in "+-" else f"+{w}" for w in words]
    return replace(target, features=",".join(filter(None, [target.features, *given])))


def _build(
    triple: str, cpu: str, features: str, isa: str, l1: int | None = None, l2: int | None = None
) -> Target:
    facts = _SETS[isa]
    return Target(
        triple, cpu, features, isa, facts.has_fma, facts.vector_bits, facts.vector_registers,
        facts.has_masked_memory, facts.has_half_conversion,
        l1 or Target.l1_bytes, l2 or Target.l2_bytes,
    )  # fmt: skip


def _host_isa(triple: str, features: llvm.FeatureMap) -> str:
    architecture = triple.split("-")[0]
    if architecture in ("aarch64", "arm64"):
        return "neon"
    if architecture not in ("x86_64", "amd64"):
        return "generic"
    if all(features.get(name) for name in ("avx512f", "avx512vl", "avx512bw", "avx512dq")):
        return "avx512"
    if all(features.get(name) for name in ("avx2", "fma", "f16c")):
        return "avx2"
    return "sse2"


def _cache_bytes(level: int) -> int | None:
    """The size of the host's data cache at a level, where the system tells it."""
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            kind = (folder / "type").read_text().strip()
            if kind == "Instruction" or int((folder / "level").read_text()) != level:
                continue
            return int((folder / "size").read_text().strip().removesuffix("K")) * KIBIBYTE
        except (OSError, ValueError):
            continue
    return None
