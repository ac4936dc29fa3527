"""How long every kernel takes, measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphc.dims import evaluate
from graphc.errors import UnsupportedError
from graphc.schedule import Call


@dataclass(frozen=True)
class Profile:
    """Median seconds of every call of one step on one thread, in order; `str` is a table."""

    name: str
    dims: Mapping[str, int]
    rows: tuple[tuple[Call, float], ...]

    @property
    def seconds(self) -> float:
        """All calls together."""
        return sum(seconds for _, seconds in self.rows)

    def __str__(self) -> str:
        width = max((len(call.kernel.name) for call, _ in self.rows), default=6)
        lines = [f"{'kernel':<{width}}  {'us':>9}  {'share':>6}  {'GFLOP/s':>8}  {'GB/s':>7}"]
        for call, seconds in self.rows:
            flops, moved = (evaluate(s, self.dims) / 1e9 for s in (call.flops, call.bytes))
            share, least = seconds / max(self.seconds, 1e-12), max(seconds, 1e-12)
            lines.append(
                f"{call.kernel.name:<{width}}  {seconds * 1e6:9.2f}  {share:6.1%}"
                f"  {flops / least:8.1f}  {moved / least:7.1f}"
            )
        return "\n".join([*lines, f"{self.name}: {self.seconds * 1e6:.2f} us on one thread"])


def profile(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Profile:
    """Run one step many times for these inputs; parameters are put back afterwards."""
    timed = getattr(function.native, "profile", None)
    if timed is None:
        raise UnsupportedError(
            f"{function.name}: target {function.target!r} has no kernels to time"
        )
    arrays, dims = function.binding.bind(args, kwargs)
    return Profile(function.name, dims, tuple(timed(arrays, dims, function.rng)))
