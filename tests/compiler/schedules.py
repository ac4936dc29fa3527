"""Hand-made calls and schedules for tests of ordering, memory and inspection."""

from __future__ import annotations

import itertools
import random

from graphc.ir.dims import Size
from graphc.ir.loops import ir
from graphc.ir.schedule import INPUT, PARAMETER, TEMPORARY, KernelCall, Schedule, Storage
from graphc.ir.types import TensorType, bool_, float32


def storage(name: str, size: Size, role: str = TEMPORARY) -> Storage:
    """float32 elements."""
    return Storage(name, TensorType(float32, (size,)), role)


def call(name, reads, writes, in_place=(), check=False, **more) -> KernelCall:
    """A kernel without loops that says what it touches; `check` gives it an ir.Check."""
    buffers = {s: ir.Buffer(s.name, s.type.dtype, s.type.shape) for s in (*reads, *writes)}
    body = (ir.Check(ir.const(True, bool_), 1),) if check else ()
    kernel = ir.Kernel(
        name, tuple(buffers[s] for s in reads), tuple(buffers[s] for s in writes), body
    )
    arguments = (*reads, *(s for s in writes if s not in reads))
    return KernelCall(kernel, arguments, (), in_place=tuple(in_place), **more)


def mlp_step(widths, batch: Size = 64, fused: bool = False) -> list[KernelCall]:
    """Forward, backward and update of a stack of dense layers, in a legal order.

    `fused` updates a weight in the kernel of its gradient; otherwise gradients are stored.
    """
    calls, hidden = [], [storage("x", batch * widths[0], INPUT)]
    weights = [
        storage(f"w{i}", a * b, PARAMETER) for i, (a, b) in enumerate(itertools.pairwise(widths))
    ]
    for i, weight in enumerate(weights):
        hidden.append(storage(f"h{i}", batch * widths[i + 1]))
        calls.append(call(f"forward{i}", [hidden[i], weight], [hidden[i + 1]], flops=1000))
    grad = storage("g", batch * widths[-1])
    labels = storage("t", batch, INPUT)
    calls.append(call("loss", [hidden[-1], labels], [grad], [(grad, hidden[-1])]))
    for i in reversed(range(len(weights))):
        update, old = [], grad
        if fused:
            update.append(call(f"update{i}", [hidden[i], old, weights[i]], [weights[i]]))
        else:
            dw = storage(f"dw{i}", widths[i] * widths[i + 1])
            update.append(call(f"dw{i}", [hidden[i], old], [dw]))
            update.append(call(f"update{i}", [dw, weights[i]], [weights[i]]))
        if i:
            grad = storage(f"g{i}", batch * widths[i])
            share = [(grad, hidden[i])]
            calls.append(call(f"dx{i}", [old, weights[i], hidden[i]], [grad], share))
        calls += update
    return calls


def random_calls(count: int, seed: int, reach: int = 12, checks: bool = False) -> list[KernelCall]:
    """Calls that read a few of the last `reach` results; some could write in place."""
    rng = random.Random(seed)
    made: list[Storage] = []
    calls = []
    for i in range(count):
        recent = made[-reach:]
        reads = rng.sample(recent, min(len(recent), rng.randint(0, 3)))
        result = storage(f"t{i}", rng.choice([0, 1, 16, 17, 64, 256, 1000]))
        share = [(result, r) for r in reads if r.type == result.type][:1]
        check = checks and rng.random() < 0.1
        calls.append(call(f"k{i}", reads, [result], share if rng.random() < 0.5 else (), check))
        made.append(result)
    return calls


def schedule(calls, barriers=None, prepare=()) -> Schedule:
    """A schedule with a barrier before every call unless told otherwise."""
    positions = range(1, len(calls)) if barriers is None else barriers
    return Schedule("step", tuple(calls), frozenset(positions), tuple(prepare))
