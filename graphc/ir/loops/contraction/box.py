"""Boxes: operands of a contraction staged over the bounding box of their windows.

A convolution reads one element of its input for many outputs and taps. Staging it by output and
tap would copy it that many times; a box holds it once, by position, zeros of the padding
included, and is then read in place: output and tap only move the address.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graphc.ir.dims import Size
from graphc.ir.loops.contraction.index import row_major_strides
from graphc.ir.loops.ir import Axis, Buffer, Expr


@dataclass(frozen=True, eq=False)
class BoxAxis:
    """One dimension: the position is the sum of coefficient * axis, minus `low`, its least value.

    Outside of `valid`, positions first .. end - 1, the operand is 0; None: it is there everywhere.
    """

    position: Axis
    coefficients: Mapping[Axis, int]
    low: Size
    extent: Size
    valid: tuple[Size, Size] | None = None


@dataclass(frozen=True, eq=False)
class Box:
    """An operand by position: `value`, in which every reach has its axis, fills `buffer`.

    `sizes` are the extents of the nest's axes; `fixed` are axes that the value itself has, which
    stand still while a box is in use. Where neighbours along the last two reaches are
    neighbours in everything that is read, `run` is the axis that walks through both.
    """

    buffer: Buffer
    value: Expr
    box_axes: tuple[BoxAxis, ...]
    sizes: Mapping[Axis, Size]
    fixed: tuple[Axis, ...] = ()
    run: Axis | None = None

    @property
    def strides(self) -> tuple[Size, ...]:
        """Elements between the positions of each reach."""
        return row_major_strides(self.buffer.shape)

    @property
    def leading(self) -> tuple[Axis, ...]:
        """The axes of the first reaches that are no windows: each value has a box of its own."""
        found: list[Axis] = []
        for reach in self.box_axes:
            if len(reach.coefficients) > 1:
                break
            found.extend(reach.coefficients)
        return tuple(found)

    @property
    def axes(self) -> frozenset[Axis]:
        """The axes of the nest that positions depend on."""
        return frozenset(axis for reach in self.box_axes for axis in reach.coefficients)

    def elements(self, limits: Mapping[Axis, Size], lanes: int) -> Size:
        """Elements of memory where at most so many values of the axes are staged at once."""
        total: Size = 1 + 2 * lanes  # the last stores reach beyond the end
        for reach, stride in zip(self.box_axes, self.strides):
            total = total + (self.count(reach, limits) - 1) * stride
        return total

    def count(self, reach: BoxAxis, limits: Mapping[Axis, Size]) -> Size:
        """How many positions of a reach are staged at once."""
        total: Size = 1
        for axis, coefficient in reach.coefficients.items():
            total = total + abs(coefficient) * (limits.get(axis, self.sizes[axis]) - 1)
        return total
