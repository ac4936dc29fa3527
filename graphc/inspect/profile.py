"""How long each kernel really takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphc import origin as origins
from graphc.errors import UnsupportedError
from graphc.inspect.report import KernelFacts, kernels


@dataclass(frozen=True)
class Profile:
    """Measured seconds of every kernel of one call on one thread, beside what is known about it.

    A kernel's bound is the least time that a typical machine allows one thread for its operations
    and bytes; the share of it is how much of the measured time that is (more than all of it where
    the bytes are in a cache).
    """

    kernels: tuple[KernelFacts, ...]
    seconds: tuple[float, ...]

    @property
    def least(self) -> tuple[float, ...]:
        """The bound of every kernel, in seconds."""
        return tuple(k.cost.seconds() for k in self.kernels)

    @property
    def shares(self) -> tuple[float, ...]:
        """How much of the measured time of every kernel its bound is."""
        return tuple(b / s if s else 0.0 for b, s in zip(self.least, self.seconds))

    def __str__(self) -> str:
        total = sum(self.seconds) or 1.0
        width = max((len(k.name) for k in self.kernels), default=6)
        titles = f"{'us':>12}{'share':>8}{'GFLOP/s':>10}{'bound us':>12}{'of bound':>10}"
        lines = [f"{'kernel':<{width}}{titles}"]
        for k, seconds, least, reached in zip(self.kernels, self.seconds, self.least, self.shares):
            rate = k.cost.flops / seconds / 1e9 if seconds else 0.0
            figures = f"{seconds * 1e6:>12.2f}{seconds / total:>8.1%}{rate:>10.1f}"
            lines.append(f"{k.name:<{width}}{figures}{least * 1e6:>12.2f}{reached:>10.1%}")
        lines.append(f"{'total':<{width}}{sum(self.seconds) * 1e6:>12.2f}")
        return "\n".join(lines)


def profile(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Profile:
    """Call a function once and time its kernels; raises UnsupportedError where that cannot be.

    The code that runs must have a method `profile(arrays, dims, rng)` that makes the call and
    returns the seconds of every kernel in order.
    """
    arrays, dims = function.binding.bind(args, kwargs)
    function.specialize(**dims)
    for variant in function.variants:
        measure = getattr(variant.run, "profile", None)
        if measure is not None and variant.dims == tuple(dims.items()):
            return Profile(kernels(function), tuple(measure(arrays, dims, function.rng)))
    raise UnsupportedError(
        f"{function.name}: kernels on target {function.target} cannot be timed one by one",
        origin=origins.find_origin(),
    )
