"""Kernels drawn at random: branches, loops, early returns, memory of all kinds, barriers.

64 threads read `x` (64 floats) and `n` (64 integers below 64), and write `y`: two blocks of 32
whose threads do not meet, or one block of 64.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

INTEGERS, FLOATS = ("i0", "i1", "i2"), ("f0", "f1", "f2")
START = """from graphc_cuda.language import cuda, f32, fma, i32, max, min, u32

@cuda.jit
def drawn(x, n, y):
    thread = cuda.threadIdx.x
    block = cuda.blockIdx.x
    held = cuda.local.array(4, f32)
    tile = cuda.shared.array(64, f32)
    i0 = block * WIDTH + thread
    i1 = n[i0] + 0
    i2 = 5
    f0 = x[i0]
    f1 = f32(0.5)
    f2 = x[i1]
    for j in range(0, 4, 1):
        held[j] = f32(j)
"""
END = """
    y[block * WIDTH + thread] = f0 + f1 + f2 + f32(i0 + i1 + i2) + held[thread % 4]
"""


class Drawing:
    """One kernel."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.loops: list[str] = []  # counters that may be read
        self.count = 0

    def text(self, statements: int) -> str:
        """A kernel whose threads go their own ways, each on its own."""
        body = [line for _ in range(statements) for line in self.statement(3)]
        return self.whole(body, 32)

    def text_of_block(self, statements: int) -> str:
        """A kernel whose threads meet at some barriers, but not at all that they need."""
        body = [line for _ in range(statements) for line in self.meeting()]
        return self.whole(body, 64)

    def whole(self, body: list[str], width: int) -> str:
        """The text around a body."""
        text = START + "\n".join("    " + line for line in body) + END
        return text.replace("WIDTH", str(width))

    def pick(self, choices: Sequence[str]) -> str:
        """One of them."""
        return self.random.choice(choices)

    def integer(self, depth: int = 2) -> str:
        """An integer below 97 that is not negative."""
        a = self.pick((*INTEGERS, *self.loops, "thread", str(self.random.randrange(9))))
        if depth == 0:
            return a
        b, size = self.integer(depth - 1), self.random.choice((3, 8, 64, 97))
        return self.pick(
            (a, f"({a} + {b}) % {size}", f"{a} * {b} % {size}", f"{a} // {size}", f"min({a}, {b})",
             f"max({a}, {b})")
        )  # fmt: skip

    def number(self, depth: int = 2) -> str:
        """A float."""
        a = self.pick((*FLOATS, "f32(0.25)", "f32(-3.0)"))
        if depth == 0:
            return a
        b, i = self.number(depth - 1), self.integer(1)
        return self.pick(
            (a, f"({a} + {b})", f"{a} * {b}", f"fma({a}, {b}, f32(1.0))", f"x[({i}) % 64]",
             f"({a} if {self.condition()} else {b})", f"(x[({i}) % 64] if {i} > 4 else {b})",
             f"held[({i}) % 4]", f"f32({i})")
        )  # fmt: skip

    def condition(self) -> str:
        """A comparison or two."""
        i, j = self.integer(1), self.integer(1)
        a = self.pick((f"{i} < {j}", f"{i} % 2 == 0", f"{self.pick(FLOATS)} > f32(0.5)"))
        return self.pick((a, a, f"not ({a})", f"{a} and {j} > 3", f"{a} or {j} == 1"))

    def statement(self, depth: int) -> list[str]:
        """One statement, as lines."""
        plain = self.random.random() < 0.6 or depth == 0
        if plain:
            return [self.pick((self.assign_integer(), self.assign_number(), self.hold()))]
        return self.random.choice((self.branch, self.counted, self.repeated, self.leave))(depth)

    def assign_integer(self) -> str:
        return f"{self.pick(INTEGERS)} = ({self.integer()}) % 97"

    def assign_number(self) -> str:
        return f"{self.pick(FLOATS)} = {self.number()}"

    def hold(self) -> str:
        return f"held[({self.integer(1)}) % 4] = {self.number(1)}"

    def body(self, depth: int) -> list[str]:
        count = self.random.randrange(1, 4)
        return ["    " + line for _ in range(count) for line in self.statement(depth - 1)]

    def branch(self, depth: int) -> list[str]:
        lines = [f"if {self.condition()}:", *self.body(depth)]
        return lines if self.random.random() < 0.5 else [*lines, "else:", *self.body(depth)]

    def counted(self, depth: int) -> list[str]:
        counter = self.fresh()
        stop = self.pick(("3", f"({self.integer(1)}) % 5", "i1 % 4"))
        self.loops.append(counter)
        body = self.body(depth)
        self.loops.pop()
        return [f"for {counter} in range(0, {stop}, {self.pick('12')}):", *body]

    def repeated(self, depth: int) -> list[str]:
        left = self.fresh()
        body = self.body(depth)
        return [f"{left} = ({self.integer(1)}) % 6", f"while {left} > 0:", *body,
                f"    {left} = {left} - {self.pick('12')}"]  # fmt: skip

    def leave(self, depth: int) -> list[str]:
        return [f"if {self.integer(1)} == {self.random.randrange(40)}:", "    return"]

    def meeting(self) -> list[str]:
        """A statement of a block: memory that all threads see, what orders it, or a shuffle."""
        shift = self.random.randrange(3)
        one, two = f"(thread + {shift}) % 64", f"thread * 2 % {self.random.choice((32, 64))}"
        index = self.pick((one, one, "thread", two))
        full = "u32(0xFFFFFFFF)"
        return [
            self.pick(
                (f"tile[{index}] = {self.number(1)}", f"f0 = f0 + tile[{index}]",
                 self.assign_number(),
                 "cuda.syncthreads()", "cuda.syncthreads()", f"cuda.syncwarp({full})",
                 f"f1 = cuda.shfl_sync({full}, f0, (thread + {shift}) % 32)")
            )
        ]  # fmt: skip

    def fresh(self) -> str:
        """The name of a counter."""
        self.count += 1
        return f"k{self.count}"
