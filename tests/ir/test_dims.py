"""Sizes: quotients of polynomials have one form, whatever they were made from."""

from __future__ import annotations

import itertools
import random

from graphc.ir.dims import Dim, Size, evaluate, floordiv

N, M = Dim("N"), Dim("M")


def random_size(rng: random.Random, depth: int) -> Size:
    """A polynomial of two dims with quotients in it."""
    if depth and rng.random() < 0.3:
        return floordiv(random_size(rng, depth - 1), rng.choice([2, 3, 4]))
    size = rng.randint(-6, 6) * N + rng.randint(-6, 6) * M + rng.randint(-9, 9)
    if rng.random() < 0.3:
        size = size + N * M
    if depth and rng.random() < 0.6:
        size = size + rng.randint(-2, 2) * floordiv(random_size(rng, depth - 1), 3)
    return size


def test_quotients_have_the_value_of_their_numbers() -> None:
    rng = random.Random(0)
    for _ in range(300):
        size, by = random_size(rng, 3), rng.choice([1, 2, 3, 4, 5, 8])
        for n, m in itertools.product(range(5), range(4)):
            dims = {"N": n, "M": m}
            assert evaluate(floordiv(size, by), dims) == evaluate(size, dims) // by, (size, by)


def test_multiples_leave_a_quotient() -> None:
    assert floordiv(32 * N - 1, 2) == 16 * N - 1
    assert str(floordiv(4 * N + M, 2)) == "(M//2)+2*N"


def test_a_quotient_of_a_quotient_is_one() -> None:
    assert str(floordiv(floordiv(N - 1, 2), 3)) == "((N-1)//6)"
    assert floordiv(floordiv(N, M), 2) == floordiv(floordiv(N, M), 2)
