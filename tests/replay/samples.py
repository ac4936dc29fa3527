"""Every op with its samples and their gradients; random graphs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import graphc as gx

from .names import find, find_generator

SHAPES: tuple[tuple[int, ...], ...] = ((), (1,), (17,), (3, 5), (0, 3), (2, 1, 33))
DTYPES = (
    "bool", "int8", "int32", "int64", "uint8", "uint32", "float16", "bfloat16", "float32",
    "float64",
)  # fmt: skip
GRAPHS, QUICK_GRAPHS = 300, 40
FEW = 2  # samples of an op in the quick part
BUNDLE = 10  # random graphs a file


def op_cases(quick: bool) -> Iterator[tuple[str, Callable[[], None]]]:
    """A case an op; the quick part has the first samples."""
    for cls in find("ALL_OPS"):
        found = [] if issubclass(cls, find("Leaf")) else list(samples_of(cls))
        if found:
            yield (
                f"ops/{safe(found[0][0].name)}",
                partial(compile_samples, found[:FEW] if quick else found),
            )


def samples_of(cls: Any) -> Iterator[tuple[Any, Any]]:
    """What the op lists itself, else every shape in one dtype and every dtype in one shape."""
    yield from cls.samples()
    if cls.samples() or not issubclass(cls, find("Elementwise")):
        return
    op, make = cls(), find("TensorType")
    legal = [d for d in map(find("find_dtype"), DTYPES) if d.kind in op.kinds]
    first = next((d for d in legal if d.name == "float32"), legal[0])
    count = len(op.domain) if op.domain else cls.emit.__code__.co_argcount - 2
    for dtype, shape in [(first, s) for s in SHAPES] + [(d, (17,)) for d in legal if d != first]:
        yield op, (make(dtype, shape),) * count


def compile_samples(samples: list[tuple[Any, Any]]) -> None:
    """Compile each, with the derivative by whatever is differentiable; its number is its line."""
    for number, (op, types) in enumerate(samples):
        with at_line("sample", number):
            compile_sample(op, types)


def compile_sample(op: Any, types: Any) -> None:
    """An op, and its derivative if there is one."""
    inputs = [gx.input(f"x{i}", t.shape, dtype=t.dtype.name) for i, t in enumerate(types)]
    y = find("lift_op")(op, *inputs)
    gx.compile(inputs, y, name="forward")
    floats = [x for x in inputs if x.dtype.name.startswith(("float", "bfloat"))]
    if not (floats and y.dtype.name.startswith(("float", "bfloat"))):
        return
    dy = gx.input("dy", y.shape, dtype=y.dtype.name)
    try:
        gradients = gx.vjp(y, floats, dy)
    except gx.errors.GraphcError:
        return  # an op without a derivative
    gx.compile([*inputs, dy], gradients, name="backward")


def at_line(file: str, line: int) -> Any:
    """Give what is made in the block one line of no file: that of this program may move."""
    return find("inherit")(find("Origin")(file, line))


def random_cases(quick: bool) -> Iterator[tuple[str, Callable[[], None]]]:
    """Random graphs, some to a file."""
    for first in range(0, QUICK_GRAPHS if quick else GRAPHS, BUNDLE):
        yield f"random/{first:03}", partial(compile_random, first)


def compile_random(first: int) -> None:
    """Draw and compile; all nodes have one line, for generators are not compared."""
    draw = find_generator()
    for seed in range(first, first + BUNDLE):
        with at_line("random", seed):
            sample = draw(seed)
            step = gx.compile(
                sample.inputs, sample.outputs, sample.updates or None, name=f"random_{seed}"
            )
        step.call(*sample.arrays)


def without_lines(text: str) -> str:
    """The text of random graphs without the lines of their generator."""
    return re.sub(r"\b\w+\.py:\d+", "generator", text)


def safe(name: str) -> str:
    """A name as part of a file name."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name)
