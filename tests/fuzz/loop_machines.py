"""Two meanings of loops and choices: the ones of the library, and plain tensors written out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import graphc as gx
from graphc.frontend.tensor import Tensor

Values = list[Tensor]
Step = Callable[[Values, Values], tuple[Values, Values]]  # carries, rows -> next carries, ys


class Loops:
    """What the library offers."""

    def scan(
        self, step: Step, init: Values, xs: Values, length: int, options: dict[str, Any]
    ) -> tuple[Values, Values]:
        """`gx.scan` over lists."""
        stacks = xs if xs else None
        return gx.scan(lambda c, r: step(c, r or []), init, stacks, length=length, **options)

    def cond(
        self, chosen: Tensor, one: Callable[[], Values], other: Callable[[], Values]
    ) -> Values:
        """`gx.cond`."""
        return gx.cond(chosen, one, other)

    def while_loop(
        self,
        goes_on: Callable[[Values], Tensor],
        body: Callable[[Values], Values],
        init: Values,
        most: int,
    ) -> Values:
        """`gx.while_loop`."""
        return gx.while_loop(goes_on, body, init, most)

    def vmap(self, function: Callable[[Tensor], Tensor], examples: Tensor) -> Tensor:
        """`gx.vmap`."""
        return gx.vmap(function)(examples)


class Plain:
    """The same without loops: every iteration is written out, choices are made afterwards."""

    def scan(
        self, step: Step, init: Values, xs: Values, length: int, options: dict[str, Any]
    ) -> tuple[Values, Values]:
        """One iteration after the other; truncation stops gradients between them."""
        every, carries = options.get("truncate"), list(init)
        rows: dict[int, Values] = {}
        order = reversed(range(length)) if options.get("reverse") else range(length)
        for done, i in enumerate(order):
            if every and done and done % every == 0:
                carries = [gx.stop_gradient(c) for c in carries]
            carries, rows[i] = step(carries, [x[i] for x in xs])
        if not length:  # what the rows would be
            _, ys = step(carries, [gx.zeros(x.shape[1:], dtype=x.dtype) for x in xs])
            return carries, [gx.zeros((0, *y.shape), dtype=y.dtype) for y in ys]
        return carries, [stacked([rows[i][k] for i in range(length)]) for k in range(len(rows[0]))]

    def cond(
        self, chosen: Tensor, one: Callable[[], Values], other: Callable[[], Values]
    ) -> Values:
        """Both, and one of them."""
        return [gx.where(chosen, a, b) for a, b in zip(one(), other())]

    def while_loop(
        self,
        goes_on: Callable[[Values], Tensor],
        body: Callable[[Values], Values],
        init: Values,
        most: int,
    ) -> Values:
        """As often as it can be, keeping what was there at the end."""
        carries = init
        for _ in range(most):
            going = goes_on(carries)
            carries = [gx.where(going, new, old) for new, old in zip(body(carries), carries)]
        return carries

    def vmap(self, function: Callable[[Tensor], Tensor], examples: Tensor) -> Tensor:
        """Every example by itself."""
        count = examples.shape[0]
        assert isinstance(count, int)
        return stacked([function(examples[i]) for i in range(count)])


Machine = Loops | Plain


def stacked(values: Sequence[Tensor]) -> Tensor:
    """Along a new first axis."""
    return gx.stack(list(values), axis=0)
