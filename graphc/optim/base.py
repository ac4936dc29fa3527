"""What every optimiser shares: gradients, limits, the learning rate, updates of whole or rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError, NameError, ShapeError
from graphc.frontend import functions as fn
from graphc.frontend.arguments import checked
from graphc.frontend.autodiff import grad
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor
from graphc.ir.graph import Node, topological
from graphc.ir.ops import leaf
from graphc.ir.ops.elementwise_logic import StopGradient
from graphc.ir.types import DType
from graphc.optim.checks import check_clip, check_rate, check_sparse, listed
from graphc.optim.clip import Clip
from graphc.optim.rows import SparseRows, are_few, find_rows
from graphc.optim.scaling import LOSS_SCALE, SKIPPED_STEPS, Minimized, Unscale, Values
from graphc.optim.transform import (
    Rate,
    RowState,
    Scalar,
    Schedule,
    Transform,
    compute_dtype,
    inner,
)
from graphc.optim.updates import Updates, given_pairs

Pairs = list[tuple[Parameter, Tensor]]
__all__ = [
    "Optimizer",
    "Scalar",
    "Schedule",
    "Updates",
    "compute_dtype",
    "constrained",
    "reachable",
]


class Optimizer(Transform):
    """Base of the optimisers; a subclass provides `move` for one parameter.

    State is made when first needed and belongs to the optimiser, so two functions built with one
    optimiser share it. Rates and bias corrections are rank-0 float64; state and arithmetic have
    the parameter's dtype, float32 for 16-bit ones. Every scalar (rate, momentum, limits) is a
    number, a schedule (a function of the number of steps taken), or a tensor of rank 0: of a
    parameter made with trainable=False, `.value` can be set while training. The rate may be a
    list of k numbers, one for each member of an ensemble of k (see gx.ensemble).
    """

    kind = "optimizer"

    def __init__(self, learning_rate: Rate, name: str | None = None) -> None:
        super().__init__(name)
        check_rate(type(self).__name__, learning_rate)
        self._rate = learning_rate
        if self.has_rates and self.needs_whole:
            check_one_rate(self)
        self._current: Tensor | None = None  # what `current_rate` evaluates
        self._stacked: Parameter | None = None  # what is updated, if the rate is one of each member
        self.sparse: dict[str, str] = {}  # how parameters with row-sparse gradients are updated

    # -- what the user calls -----------------------------------------------------------

    @checked
    def minimize(
        self,
        loss: Tensor,
        parameters: Parameter | Iterable[Parameter] | None = None,
        clip_norm: Scalar | None = None,
        clip_value: Scalar | None = None,
        sparse: str = "exact",
        clip_each_norm: Scalar | None = None,
    ) -> Updates:
        """Return the updates of one step down the gradient of a scalar loss.

        `parameters` defaults to those that the loss reaches, other than through `stop_gradient`;
        ones that are not trainable (running statistics, frozen ones) are left out of what is given,
        too. `clip_value` bounds every element of the gradients, `clip_each_norm` (after it) the
        norm of each gradient, `clip_norm` (last) their global norm.

        A gradient that consists of a few rows (of an embedding table) updates those alone, where
        that gives the same result: with "exact" if the optimiser leaves rows without a
        gradient as they are, with "lazy" always (state of the other rows then stands still).
        `report()` says which.
        """
        check_sparse("minimize", sparse)
        clip = _clip(clip_norm, clip_value, clip_each_norm)
        if not isinstance(loss, Tensor):
            raise ArgumentError(f"minimize: the loss must be a tensor, got {loss!r}")
        chosen = reachable(loss) if parameters is None else listed(parameters)
        if not chosen:
            raise ArgumentError(
                "minimize: the loss reaches no trainable parameter",
                origin=origins.find_origin(),
                hint="make weights with gx.parameter or layers, not with gx.constant",
            )

        def update(gradients: list[Tensor], unscale: Unscale | None = None) -> Values:
            return self._updates(list(zip(chosen, gradients)), clip, sparse, unscale)

        values = update(grad(loss, chosen))
        minimized = Minimized(loss, tuple(chosen), values, update, self._scalar)
        return Updates(values, (self,), (minimized,))

    @checked
    def maximize(
        self,
        loss: Tensor,
        parameters: Parameter | Iterable[Parameter] | None = None,
        **options: Any,
    ) -> Updates:
        """Return the updates of one step up the gradient of a scalar, which is what minimising
        its negative does; options are those of `minimize`."""
        return self.minimize(-loss, parameters, **options)

    @checked
    def apply(
        self,
        gradients: Mapping[Parameter, Tensor] | Iterable[tuple[Tensor, Parameter]],
        clip_norm: Scalar | None = None,
        clip_value: Scalar | None = None,
        sparse: str = "exact",
        clip_each_norm: Scalar | None = None,
    ) -> Updates:
        """Return the updates for gradients, a mapping or (gradient, parameter) pairs."""
        check_sparse("apply", sparse)
        clip = _clip(clip_norm, clip_value, clip_each_norm)
        return Updates(self._updates(given_pairs(gradients), clip, sparse), (self,))

    @property
    def learning_rate(self) -> Parameter:
        """The rate as a float64 parameter; set `.value` to change it while training."""
        if isinstance(self._rate, Parameter):
            return self._rate
        if isinstance(self._rate, Tensor) or callable(self._rate):
            what = "tensor" if isinstance(self._rate, Tensor) else "schedule"
            raise ArgumentError(
                f"{self.name}: the learning rate is a {what}, not a parameter",
                hint="pass a number as learning_rate to set it by hand",
            )
        return self._scalar("learning_rate", np.asarray(self._rate, np.float64))

    def current_rate(self) -> float | None:
        """The rate that the next step takes, also by a schedule; None where it is not one number
        that parameters alone tell."""
        given: Any = self._rate
        if not isinstance(given, Tensor) and not callable(given):
            value = self.learning_rate.value
            return None if value.ndim else float(value)
        if self._current is None:  # built once: this is asked at every epoch
            self._current = self.rate()
        rate = self._current
        inputs = any(isinstance(n.op, leaf.Input) for n in topological([rate.node]))
        return None if inputs or rate.ndim else float(rate.eval())

    @property
    def rate_factor(self) -> Parameter:
        """What a schedule's rate is multiplied with, a rank-0 float64 parameter, 1 at first."""
        return self._scalar("rate_factor", np.float64(1.0))

    @property
    def with_rates(self) -> list[Optimizer]:
        """The optimisers among this and its parts that have a learning rate of their own."""
        inner = [part for part in self.parts if isinstance(part, Optimizer)]
        return [o for part in inner for o in part.with_rates] or [self]

    def lower_rate(self, factor: float, least: float = 0.0) -> None:
        """Multiply the rate by a factor, to no less than `least`; of a schedule, all its rates."""
        if callable(self._rate) and not isinstance(self._rate, Tensor):
            rate, least = self.rate_factor, 0.0
        else:
            rate = self.learning_rate
        rate.value = np.maximum(least, rate.value * factor)

    @property
    def loss_scale(self) -> Parameter:
        """What losses are scaled with, a rank-0 float32; there is one once a function with a
        dynamic loss scale has been compiled."""
        return self._made(LOSS_SCALE)

    @property
    def skipped_steps(self) -> Parameter:
        """How many steps were skipped as gradients were not finite, a rank-0 int64; there is one
        once a function with a loss scale has been compiled."""
        return self._made(SKIPPED_STEPS)

    def _made(self, role: str) -> Parameter:
        if role not in self._scalars:
            raise ArgumentError(
                f"{self.name}: there is no {role}: no function was compiled with it",
                hint='gx.compile(..., precision="fp16") makes one',
            )
        return self._scalars[role]

    # -- what subclasses use and provide ---------------------------------------------------

    def update(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """The parameter's next value; next values of its slots go into `new`."""
        return value - self.move(parameter, value, gradient, new)

    def rate(self, dtype: DType | None = None) -> Tensor:
        """The learning rate of this step, rank 0, or one for each member along the first axis of
        the parameter; float64 without a dtype."""
        given: Any = self._rate
        if not isinstance(given, Tensor) and not callable(given):
            given = self.learning_rate
        value = self.scalar(given)
        assert isinstance(value, Tensor)
        if value.ndim:
            value = along_members(self.name, value, self._stacked)
        if callable(given) and not isinstance(given, Tensor):
            value = value * self.rate_factor
        return value if dtype is None else fn.astype(value, dtype)

    def _updates(
        self, pairs: Pairs, clip: Clip, sparse: str, unscale: Unscale | None = None
    ) -> Values:
        """The updates for (parameter, gradient) pairs; `unscale` sees the gradients first."""
        with origins.inherit(origins.current().origin or origins.find_origin(), origins.UPDATE):
            rows = [self._rows_of(p, g, sparse == "lazy") for p, g in pairs]
            values = [g if r is None else r.total for (_, g), r in zip(pairs, rows)]
            if unscale is not None:
                values = unscale(values)
            values = clip.apply(values, self)
            new = self._steps([p for p, _ in pairs], values, rows)
            new |= self.counts()
        return new

    def _steps(
        self, parameters: list[Parameter], gradients: list[Tensor], rows: list[SparseRows | None]
    ) -> Values:
        """The next values of parameters and their state, for gradients as they are."""
        new: Values = {}
        for parameter, gradient, some in zip(parameters, gradients, rows):
            self._set_stacked(parameter)
            with origins.in_scope(parameter.name.rpartition("/")[0]):
                self._step(parameter, gradient, some, new)
            self._set_stacked(None)
        return new

    def _set_stacked(self, parameter: Parameter | None) -> None:
        """Note which parameter is updated, in those that have a rate for each member."""
        for part in (self, *inner(self)):
            if isinstance(part, Optimizer) and part.has_rates:
                part._stacked = parameter

    @property
    def has_rates(self) -> bool:
        """Whether it has a rate for each member of an ensemble."""
        return isinstance(self._rate, (list, tuple, np.ndarray))

    def _step(
        self, parameter: Parameter, gradient: Tensor, rows: SparseRows | None, new: Values
    ) -> None:
        if parameter in new:
            raise NameError(f"{self.name}: parameter {parameter.name} has two gradients")
        dtype = compute_dtype(parameter.dtype)
        if rows is not None:
            self._step_rows(parameter, fn.astype(gradient, dtype), rows, new)
            return
        value, wide = fn.astype(parameter, dtype), fn.astype(gradient, dtype)
        moved = constrained(parameter, self.update(parameter, value, wide, new))
        new[parameter] = fn.astype(moved, parameter.dtype)

    def _step_rows(
        self, parameter: Parameter, total: Tensor, rows: SparseRows, new: Values
    ) -> None:
        """One step for the rows that have a gradient."""
        value = fn.astype(rows.take(parameter), total.dtype)
        made: Values = {}
        state = RowState(rows)
        with self.on_rows(state):
            moved = self.update(parameter, value, rows.gradient(total), made)
        new[parameter] = rows.put(parameter, fn.astype(moved, parameter.dtype))
        state.put_back(made, new)

    def _rows_of(self, parameter: Parameter, gradient: Tensor, lazy: bool) -> SparseRows | None:
        """The rows to update; None where the whole parameter is."""
        rows = find_rows(parameter, gradient)
        if rows is None:
            return None
        if any(isinstance(t, Optimizer) and t.has_rates for t in (self, *inner(self))):
            how = "whole: each member of an ensemble has a rate"
        elif parameter.constraint is not None:
            how = "whole: it has a constraint"
        elif self.needs_whole:
            how = f"whole: {self.kind} needs all rows"
        elif not lazy and not self.leaves_rows:
            how = f"whole: {self.kind} moves rows without a gradient (sparse={'lazy'!r} does not)"
        elif not lazy and not are_few(parameter, rows):
            how = "whole: half as many indices as rows, or more"
        else:
            how = "rows with a gradient only"
        self.sparse[parameter.name] = how
        return rows if how.startswith("rows") else None


def check_one_rate(optimizer: Optimizer) -> None:
    """Raise where an optimiser whose steps mix all elements has a rate for each member."""
    if optimizer.has_rates:
        raise ArgumentError(
            f"{type(optimizer).__name__}: this takes one learning rate, got {optimizer._rate!r}",
            origin=origins.find_origin(),
            hint="elements of all members count in one step: train them one by one",
        )


def along_members(name: str, rates: Tensor, parameter: Parameter | None) -> Tensor:
    """Rates of the members of an ensemble, to multiply the values of a stacked parameter with."""
    (count,) = rates.shape
    if parameter is None or not parameter.ndim or parameter.shape[0] != count:
        found = "" if parameter is None else f", got parameter {parameter.name} {parameter.type}"
        raise ArgumentError(
            f"{name}: a list of {count} learning rates updates parameters that are stacked along"
            f" a first axis of {count}{found}",
            origin=origins.find_origin(),
            hint=f"gx.ensemble(build, {count}) makes them",
        )
    return fn.reshape(rates, (count,) + (1,) * (parameter.ndim - 1))


def constrained(parameter: Parameter, value: Tensor) -> Tensor:
    """A new value of a parameter within its constraint."""
    if parameter.constraint is None:
        return value
    result: Tensor = parameter.constraint(value)
    if not isinstance(result, Tensor) or result.shape != parameter.shape:
        raise ShapeError(
            f"the constraint of parameter {parameter.name} must give {parameter.type},"
            f" got {getattr(result, 'type', result)}",
            origin=origins.find_origin(),
        )
    return result


def reachable(loss: Tensor) -> list[Parameter]:
    """The trainable parameters that a loss is computed from, in order of first use.

    Those behind `stop_gradient` alone (a target network's) are not among them.
    """
    seen: set[Node] = set()
    waiting = [loss.node]
    while waiting:
        node = waiting.pop()
        if node not in seen and not isinstance(node.op, StopGradient):
            seen.add(node)
            waiting.extend(node.inputs)
    return [
        node.handle
        for node in topological([loss.node])
        if node in seen and isinstance(node.op, leaf.Parameter) and node.handle.trainable
    ]


def _clip(norm: Any, value: Any, each: Any) -> Clip:
    check_clip(clip_norm=norm, clip_value=value, clip_each_norm=each)
    return Clip(value, each, norm)
