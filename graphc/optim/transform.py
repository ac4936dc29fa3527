"""Transforms of gradients, the parts that optimisers are made of: state, scalars, a rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.frontend import functions as fn
from graphc.frontend import symbols
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor, lift, literal
from graphc.ir import naming
from graphc.ir.dims import Size
from graphc.ir.types import DType, float32, float64, int64
from graphc.optim.rows import SparseRows

Schedule = Callable[[Tensor], Tensor]
Scalar = float | Schedule | Tensor  # a number, a function of the step, or a tensor of rank 0
Rate = Scalar | Sequence[float]  # the same, or a number for each member of an ensemble
Initial = float | Callable[[Parameter], Any]  # of state: a number, or a function of the parameter


class RowState:
    """The rows of state that an update of some rows of a table has asked for."""

    def __init__(self, rows: SparseRows) -> None:
        self.rows = rows
        self.taken: dict[Parameter, Parameter] = {}  # by the whole state; its rows stand for it

    def take(self, slot: Parameter) -> Parameter:
        """The rows of a slot, in its place."""
        if slot not in self.taken:
            self.taken[slot] = cast(Parameter, self.rows.take(slot))
        return self.taken[slot]

    def put_back(self, made: dict[Parameter, Tensor], new: dict[Parameter, Tensor]) -> None:
        """The whole slots with their new rows, into `new`."""
        for slot, taken in self.taken.items():
            if taken in made:
                new[slot] = self.rows.put(slot, made.pop(taken))
        new.update(made)


class Transform:
    """Turns the gradient of a parameter into another, or into what is subtracted from it.

    A subclass provides `move` for one parameter, or `move_all` if it is `over_all` of them.
    State is made when first needed. Scalars are numbers, schedules (functions of the number of
    steps taken), or tensors of rank 0 such as a parameter that is set while training.
    """

    kind = "transform"
    over_all = False  # has `move_all`
    needs_whole = False  # never updates some rows of a parameter alone
    parts: tuple[Transform, ...] = ()  # transforms that this one uses

    def __init__(self, name: str | None = None) -> None:
        self.name = naming.scoped(name) if name else naming.automatic(self.kind)
        self._scalars: dict[str, Parameter] = {}
        self._slots: dict[tuple[Parameter, str], Parameter] = {}
        self._next: dict[Parameter, Tensor] = {}  # of the scalars
        self._row_state: RowState | None = None  # while rows of a table are updated

    # -- what subclasses provide ---------------------------------------------------------

    def move(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """What takes the gradient's place; next values of slots go into `new`."""
        raise ArgumentError(
            f"{self.name}: it has no rule for one gradient alone, so it is no part of another"
            " optimiser",
            origin=origins.find_origin(),
            hint="put the others into it, as in accumulate(groups(...), 2); a transform of your own"
            " defines `move`",
        )

    def move_all(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """What takes the place of the gradients of all parameters."""
        raise NotImplementedError

    @property
    def leaves_rows(self) -> bool:
        """Whether an element without a gradient, and its state, stay as they are."""
        return all(part.leaves_rows for part in self.parts) if self.parts else False

    # -- what they use -------------------------------------------------------------------

    @property
    def step(self) -> Parameter:
        """The number of steps taken, a rank-0 int64 parameter."""
        return self._scalar("step", np.int64(0))

    def next_count(self) -> Tensor:
        """The number of this step, counted from 1, rank-0 int64; asking makes it be kept."""
        if self.step not in self._next:
            self._next[self.step] = self.step + literal(1, int64)
        return self._next[self.step]

    def scalar(self, given: Scalar, dtype: DType | None = None) -> float | Tensor:
        """A scalar at this step: a number as it is, else of rank 0, float64 without a dtype."""
        if isinstance(given, Tensor):
            value = fn.astype(given, float64)
        elif callable(given):
            value = fn.astype(_of_rank_0(self.name, given(self.step)), float64)
            self.next_count()
        else:
            return given
        return value if dtype is None else fn.astype(value, dtype)

    def weights(self, given: Scalar, dtype: DType) -> tuple[float | Tensor, float | Tensor]:
        """A decay and what it leaves: b and 1 - b."""
        decay = self.scalar(given)
        if isinstance(decay, Tensor):
            return fn.astype(decay, dtype), fn.astype(1.0 - decay, dtype)
        return decay, 1.0 - decay

    def correction(self, role: str, decay: Scalar) -> Tensor:
        """1 - decay^count, which a mean of `count` gradients lacks; float64.

        Of a decay that changes, the product of all so far takes the place of the power.
        """
        if isinstance(decay, (int, float)):
            return bias_correction(self.next_count(), decay)
        factor = self.scalar(decay)
        assert isinstance(factor, Tensor)
        return 1.0 - self.running_product(role, factor)

    def running_product(self, role: str, factor: Tensor) -> Tensor:
        """The product of a factor over all steps, this one included; float64."""
        product = self._scalar(f"{role}_product", np.float64(1.0))
        if product not in self._next:
            self._next[product] = product * factor
        return self._next[product]

    def slot(
        self,
        parameter: Parameter,
        role: str,
        initial: Initial = 0.0,
        shape: tuple[Size, ...] | None = None,
    ) -> Parameter:
        """State of the parameter's shape (or another), named NAME/PARAMETER/ROLE; its rows while
        rows are updated."""
        slot = self._slot(parameter, role, initial, parameter.shape if shape is None else shape)
        return slot if self._row_state is None else self._row_state.take(slot)

    def counts(self) -> dict[Parameter, Tensor]:
        """The next values of scalars, also of its parts."""
        found = dict(self._next)
        for part in self.parts:
            found |= part.counts()
        return found

    @property
    def parameters(self) -> list[Parameter]:
        """The state made so far: scalars, then the slots of each parameter."""
        own = [*self._scalars.values(), *self._slots.values()]
        return own + [p for part in self.parts for p in part.parameters]

    @contextmanager
    def on_rows(self, state: RowState) -> Iterator[None]:
        """Let slots be their rows."""
        everyone = (self, *inner(self))
        for transform in everyone:
            transform._row_state = state
        try:
            yield
        finally:
            for transform in everyone:
                transform._row_state = None

    def _slot(
        self, parameter: Parameter, role: str, initial: Initial, shape: tuple[Size, ...]
    ) -> Parameter:
        if (parameter, role) not in self._slots:
            dtype = compute_dtype(parameter.dtype)

            def fill(sizes: tuple[int, ...], *_: Any) -> Any:
                if callable(initial):
                    return np.asarray(initial(parameter), dtype.numpy)
                return np.full(sizes, initial, dtype.numpy)

            label = f"{self.name}/{parameter.name}/{role}"
            with origins.root_scope():
                self._slots[parameter, role] = symbols.parameter(
                    label, shape, fill, dtype, trainable=False
                )
        return self._slots[parameter, role]

    def _scalar(self, role: str, initial: Any) -> Parameter:
        if role not in self._scalars:
            with origins.root_scope():
                self._scalars[role] = symbols.parameter(
                    f"{self.name}/{role}", value=np.asarray(initial), trainable=False
                )
        return self._scalars[role]


def _of_rank_0(name: str, value: Any) -> Tensor:
    """What a schedule returned; raises where it is no scalar."""
    made = value if isinstance(value, Tensor) else lift(value)
    if made.ndim:
        raise ArgumentError(
            f"{name}: a schedule must return a tensor of rank 0, got {made.type}",
            origin=origins.find_origin(),
        )
    return made


def inner(transform: Transform) -> list[Transform]:
    """The parts of a transform, and theirs."""
    return [t for part in transform.parts for t in (part, *inner(part))]


def is_zero(scalar: Scalar) -> bool:
    """Whether a scalar is the number 0, always."""
    return isinstance(scalar, (int, float, np.number)) and not scalar


def compute_dtype(dtype: DType) -> DType:
    """The dtype that updates are computed in."""
    return float32 if dtype.bits == 16 else dtype


def bias_correction(count: Tensor, beta: float) -> Tensor:
    """1 - beta^count in float64, exact to rounding however close beta is to 1."""
    t = fn.astype(count, float64)
    if beta == 0.0:
        return t * 0.0 + 1.0
    return -fn.expm1(t * math.log(beta))
