"""Convolutions and pooling by loops over positions, as the definitions say."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Pairs = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Geometry:
    """Windows along every spatial axis."""

    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    dilation: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]

    def outputs(self, spatial: Sequence[int], ceil: bool = False) -> tuple[int, ...]:
        """How many positions there are; a ceiling counts those that start inside."""
        found = []
        for n, k, s, d, (a, b) in zip(spatial, self.sizes, self.strides, self.dilation, self.pads):
            starts = range(0, n + a + b, s)
            last = n + a + b - (d * (k - 1) + 1)
            if not ceil:
                found.append(sum(start <= last for start in starts))
                continue
            floor = [start for start in starts if start <= last]
            partial = [start for start in starts if last < start < last + s and start < n + a]
            found.append(len(floor) + len(partial))
        return tuple(found)

    def window(
        self, at: Sequence[int], spatial: Sequence[int]
    ) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
        """The taps of the window at an output position, and where they are if inside."""
        for tap in itertools.product(*map(range, self.sizes)):
            steps = zip(at, tap, self.strides, self.dilation, self.pads)
            place = tuple(s * o + d * t - a for o, t, s, d, (a, _) in steps)
            if all(0 <= p < n for p, n in zip(place, spatial)):
                yield tap, place


def geometry(
    spatial: Sequence[int], sizes: Sequence[int], strides: Any, padding: Any, dilation: Any
) -> Geometry:
    """Arguments as the functions take them."""
    rank = len(sizes)
    steps, spread = (v if isinstance(v, tuple) else (v,) * rank for v in (strides, dilation))
    pads: list[tuple[int, int]] = []
    for axis in range(rank):
        reach = spread[axis] * (sizes[axis] - 1) + 1
        if padding == "valid":
            pads.append((0, 0))
        elif padding == "same":
            outputs = -(-spatial[axis] // steps[axis])
            total = max(0, (outputs - 1) * steps[axis] + reach - spatial[axis])
            pads.append((total // 2, total - total // 2))
        else:
            pads.append((padding, padding) if isinstance(padding, int) else padding[axis])
    return Geometry(tuple(sizes), steps, spread, tuple(pads))


def convolve(x: Array, w: Array, shape: Geometry, groups: int = 1) -> Array:
    """x (batch, *spatial, in), w (*spatial, in / groups, out)."""
    spatial, outputs = x.shape[1:-1], shape.outputs(x.shape[1:-1])
    result = np.zeros((x.shape[0], *outputs, w.shape[-1]), x.dtype)
    for at in itertools.product(*map(range, outputs)):
        for tap, place in shape.window(at, spatial):
            for g in range(groups):
                i, o = part(x.shape[-1], groups, g), part(w.shape[-1], groups, g)
                result[(slice(None), *at, o)] += x[(slice(None), *place, i)] @ w[tap][:, o]
    return result


def convolve_back(
    y: Array, w: Array, shape: Geometry, spatial: Sequence[int], groups: int = 1
) -> Array:
    """Every element of y, times the kernel, added to the elements that its window sees."""
    channels = w.shape[-2] * groups
    result = np.zeros((y.shape[0], *spatial, channels), y.dtype)
    for at in itertools.product(*map(range, y.shape[1:-1])):
        for tap, place in shape.window(at, spatial):
            for g in range(groups):
                i, o = part(channels, groups, g), part(w.shape[-1], groups, g)
                result[(slice(None), *place, i)] += y[(slice(None), *at, o)] @ w[tap][:, o].T
    return result


def convolve_kernel(x: Array, y: Array, shape: Geometry, groups: int = 1) -> Array:
    """The gradient to the kernel: products of what a tap sees and the cotangent there."""
    channels = x.shape[-1] // groups
    result = np.zeros((*shape.sizes, channels, y.shape[-1]), x.dtype)
    for at in itertools.product(*map(range, y.shape[1:-1])):
        for tap, place in shape.window(at, x.shape[1:-1]):
            for g in range(groups):
                i, o = part(x.shape[-1], groups, g), part(y.shape[-1], groups, g)
                seen, wanted = x[(slice(None), *place, i)], y[(slice(None), *at, o)]
                result[(*tap, slice(None), o)] += seen.T @ wanted
    return result


def part(total: int, groups: int, g: int) -> slice:
    """The channels of one group."""
    return slice(g * total // groups, (g + 1) * total // groups)


def pool(x: Array, shape: Geometry, kind: str, ceil: bool = False, **options: Any) -> Array:
    """One reduction for every window: max, avg, avg with padding, lp."""
    spatial, outputs = x.shape[1:-1], shape.outputs(x.shape[1:-1], ceil)
    result = np.zeros((x.shape[0], *outputs, x.shape[-1]), x.dtype)
    for at in itertools.product(*map(range, outputs)):
        seen = np.array([x[(slice(None), *place)] for _, place in shape.window(at, spatial)])
        if kind == "max":
            value = seen.max(axis=0)
        elif kind == "avg":
            value = seen.sum(axis=0) / len(seen)
        elif kind == "avg_padded":
            value = seen.sum(axis=0) / padded_count(at, shape, spatial)
        else:
            p = options["p"]
            value = (abs(seen) ** p).sum(axis=0) ** (1 / p)
        result[(slice(None), *at)] = value
    return result


def padded_count(at: Sequence[int], shape: Geometry, spatial: Sequence[int]) -> int:
    """How many elements of the padded input a window sees."""
    padded = Geometry(shape.sizes, shape.strides, shape.dilation, ((0, 0),) * len(at))
    sizes = [n + a + b for n, (a, b) in zip(spatial, shape.pads)]
    return sum(1 for _ in padded.window(at, sizes))


def pool_back(x: Array, dy: Array, shape: Geometry) -> Array:
    """The gradient of the maximum: to the first element that attains it, in row-major order."""
    result = np.zeros_like(x)
    for n, c in itertools.product(range(x.shape[0]), range(x.shape[-1])):
        for at in itertools.product(*map(range, dy.shape[1:-1])):
            places = [place for _, place in shape.window(at, x.shape[1:-1])]
            best = max(places, key=lambda p: x[(n, *p, c)])
            result[(n, *best, c)] += dy[(n, *at, c)]
    return result
