"""How long each kernel really takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphc import origin as origins
from graphc.errors import UnsupportedError
from graphc.inspect.report import KernelFacts, kernels

if TYPE_CHECKING:
    from graphc.runtime.function import CompiledFunction


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
        return tuple(k.cost.seconds(k.machine) for k in self.kernels)

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


def profile(
    function: CompiledFunction, args: Sequence[object], kwargs: Mapping[str, object]
) -> Profile:
    """Call a function once and time its kernels; raises UnsupportedError where that cannot be."""
    arrays, dims = function.binding.bind(args, kwargs)
    function.specialize(**dims)
    for variant in function.variants:
        if variant.runner is not None and variant.dims == tuple(dims.items()):
            seconds = variant.runner.profile(arrays, function.rng)
            if seconds is not None:
                return Profile(kernels(function), tuple(seconds))
    raise UnsupportedError(
        f"{function.name}: kernels on target {function.target} cannot be timed one by one",
        origin=origins.find_origin(),
    )
