"""Names of the numba-CUDA text: legal in Python, and each of one thing only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from keyword import iskeyword, issoftkeyword

from graphc_cuda.device.intrinsics import INTRINSICS
from graphc_cuda.device.program import (
    HALVES,
    Assign,
    Declare,
    DeviceArray,
    DeviceFunction,
    DeviceKernel,
    For,
    Intrinsic,
    Program,
    Shuffle,
    Stmt,
    Variable,
    walk,
)

TYPES = ("i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "f32", "f64")
FUNCTIONS = (
    "fma", "sqrt", "floor", "ceil", "trunc", "rint", "absolute", "quotient", "remainder", "mulhi",
    "min", "max", *HALVES,
)  # fmt: skip
LANGUAGE = (
    "cuda", "inf", "nan", *TYPES, *FUNCTIONS,
    *(f"saturate_{name}" for name in TYPES if name[0] != "f"),
    *(f"bitcast_{name}" for name in TYPES),
    *(name for name in INTRINSICS if not name.endswith("_vector")),
    "load_vector2", "load_vector4", "load_vector8",
    "store_vector2", "store_vector4", "store_vector8",
)  # fmt: skip
RESERVED = frozenset({*LANGUAGE, "thread", "block", "blocks", "range", "numba", "np", "math"})


@dataclass
class Names:
    """The names that are taken, and what they stand for."""

    taken: set[str] = field(default_factory=lambda: set(RESERVED))
    functions: dict[DeviceFunction, str] = field(default_factory=dict)
    kernels: dict[DeviceKernel, str] = field(default_factory=dict)
    arrays: dict[DeviceArray, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)

    def of(self, thing: DeviceArray | Variable) -> str:
        """The name of an array or a variable."""
        if isinstance(thing, DeviceArray):
            return self.arrays[thing]
        return self.variables[thing.name]

    def free(self, wanted: str) -> str:
        """A legal name like the wanted one that nothing has yet."""
        clean = re.sub(r"\W", "_", wanted, flags=re.ASCII) or "_"
        clean = f"_{clean}" if clean[0].isdigit() else clean
        name, number = clean, 1
        while name in self.taken or iskeyword(name) or issoftkeyword(name):
            name, number = f"{clean}_{number}", number + 1
        self.taken.add(name)
        return name

    def inside(self, parameters: Sequence[Variable], body: Sequence[Stmt]) -> Names:
        """Names inside of a function: those of the module, its parameters and variables."""
        inner = Names(set(self.taken), self.functions, self.kernels)
        for variable in (*parameters, *assigned(body)):
            if variable.name not in inner.variables:
                inner.variables[variable.name] = inner.free(variable.name)
        return inner


def global_names(program: Program) -> Names:
    """The names of kernels and functions."""
    names = Names()
    for kernel in program.kernels:
        names.kernels[kernel] = names.free(kernel.name)
    for function in program.functions:
        names.functions[function] = names.free(function.name)
    return names


def kernel_names(names: Names, kernel: DeviceKernel) -> Names:
    """Names inside of a kernel: its arguments come first, then other arrays and variables."""
    outer = Names(set(names.taken), names.functions, names.kernels)
    declared = (s.array for s in walk(kernel.body) if isinstance(s, Declare))
    for array in (*kernel.arrays, *declared):
        outer.arrays[array] = outer.free(array.name)
    inner = outer.inside((), kernel.body)
    inner.arrays = outer.arrays
    return inner


def assigned(body: Sequence[Stmt]) -> Iterable[Variable]:
    """The variables that statements give a value, in order."""
    for stmt in walk(body):
        match stmt:
            case Assign(variable=variable) | For(variable=variable) | Shuffle(variable=variable):
                yield variable
            case Intrinsic(results=results):
                yield from results
