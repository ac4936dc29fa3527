"""What every optimiser shares: gradients, clipping, state, the learning rate, the step count."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError, NameError
from graphc.frontend import functions as fn
from graphc.frontend import symbols
from graphc.frontend.arguments import checked
from graphc.frontend.autodiff import grad
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor, literal
from graphc.ir import naming
from graphc.ir.graph import topological
from graphc.ir.ops import leaf
from graphc.ir.types import DType, float32, float64, int64
from graphc.optim.checks import check_clip, check_rate, check_sparse, listed
from graphc.optim.clip import clip_by_global_norm, clip_by_value
from graphc.optim.rows import SparseRows, are_few, find_rows
from graphc.optim.scaling import LOSS_SCALE, SKIPPED_STEPS, Minimized, Unscale, Values

Schedule = Callable[[Tensor], Tensor]


class Updates(Mapping[Parameter, Tensor]):
    """New values of parameters; `|` merges two that update different parameters."""

    def __init__(
        self,
        values: Mapping[Parameter, Tensor],
        optimizers: tuple[Optimizer, ...] = (),
        losses: tuple[Minimized, ...] = (),
    ) -> None:
        self._values = dict(values)
        self.optimizers = optimizers
        self.losses = losses  # that were minimised, in case they have to be scaled

    @property
    def optimizer(self) -> Any:
        """The optimiser behind the updates; a tuple of several, None when there is none."""
        return self.optimizers[0] if len(self.optimizers) == 1 else (self.optimizers or None)

    def __getitem__(self, parameter: Parameter) -> Tensor:
        return self._values[parameter]

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, parameter: object) -> bool:
        return parameter in self._values

    def __or__(self, other: Mapping[Parameter, Tensor]) -> Updates:
        merged = dict(self._values)
        for parameter, value in other.items():
            if merged.get(parameter, value) is not value:
                raise NameError(
                    f"updates: parameter {parameter.name} is updated twice",
                    hint="sum the gradients, or give the optimisers disjoint parameters",
                )
            merged[parameter] = value
        if not isinstance(other, Updates):
            return Updates(merged, self.optimizers, self.losses)
        optimizers = tuple(dict.fromkeys(self.optimizers + other.optimizers))
        return Updates(merged, optimizers, tuple(dict.fromkeys(self.losses + other.losses)))

    def __ror__(self, other: Mapping[Parameter, Tensor]) -> Updates:
        return Updates(other) | self

    def __repr__(self) -> str:
        return f"<Updates of {', '.join(p.name for p in self._values)}>"


class Optimizer:
    """Base of the optimisers; a subclass provides `update` for one parameter.

    State is made when first needed and belongs to the optimiser, so two functions built with one
    optimiser share it. Rates and bias corrections are rank-0 float64; state and arithmetic have
    the parameter's dtype, float32 for 16-bit ones.
    """

    kind = "optimizer"

    def __init__(self, learning_rate: float | Schedule, name: str | None = None) -> None:
        self.name = naming.scoped(name) if name else naming.automatic(self.kind)
        self._schedule = learning_rate if callable(learning_rate) else None
        if self._schedule is None:
            check_rate(type(self).__name__, learning_rate)
        self._initial_rate = learning_rate
        self._scalars: dict[str, Parameter] = {}
        self._slots: dict[tuple[Parameter, str], Parameter] = {}
        self._next_count: Tensor | None = None
        self._rows: SparseRows | None = None  # set while the rows of a table are updated
        self._row_slots: dict[tuple[Parameter, str], Parameter] = {}
        self.sparse: dict[str, str] = {}  # how parameters with row-sparse gradients are updated

    # -- what the user calls -----------------------------------------------------------

    @checked
    def minimize(
        self,
        loss: Tensor,
        parameters: Parameter | Iterable[Parameter] | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        sparse: str = "exact",
    ) -> Updates:
        """Return the updates of one step down the gradient of a scalar loss.

        `parameters` defaults to the trainable ones that the loss reaches. `clip_value` bounds
        every element of the gradients, `clip_norm` (after it) their global norm.

        A gradient that consists of a few rows (of an embedding table) updates those alone, where
        that gives the same result: with "exact" if the optimiser leaves rows without a
        gradient as they are, with "lazy" always (state of the other rows then stands still).
        `report()` says which.
        """
        check_sparse("minimize", sparse)
        check_clip(clip_norm, clip_value)
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
            pairs = list(zip(chosen, gradients))
            return self._updates(pairs, clip_norm, clip_value, sparse, unscale)

        values = update(grad(loss, chosen))
        minimized = Minimized(loss, tuple(chosen), values, update, self._scalar)
        return Updates(values, (self,), (minimized,))

    @checked
    def apply(
        self,
        gradients: Mapping[Parameter, Tensor] | Iterable[tuple[Tensor, Parameter]],
        clip_norm: float | None = None,
        clip_value: float | None = None,
        sparse: str = "exact",
    ) -> Updates:
        """Return the updates for gradients, a mapping or (gradient, parameter) pairs."""
        check_sparse("apply", sparse)
        check_clip(clip_norm, clip_value)
        return Updates(self._updates(_pairs(gradients), clip_norm, clip_value, sparse), (self,))

    def _updates(
        self,
        pairs: list[tuple[Parameter, Tensor]],
        clip_norm: float | None,
        clip_value: float | None,
        sparse: str,
        unscale: Unscale | None = None,
    ) -> Values:
        """The updates for (parameter, gradient) pairs; `unscale` sees the gradients first."""
        with origins.inherit(origins.current().origin or origins.find_origin(), origins.UPDATE):
            rows = [self._rows_of(p, g, sparse == "lazy") for p, g in pairs]
            values = [g if r is None else r.total for (_, g), r in zip(pairs, rows)]
            if unscale is not None:
                values = unscale(values)
            if clip_value is not None:
                values = clip_by_value(values, clip_value)
            if clip_norm is not None:
                values = clip_by_global_norm(values, clip_norm)
            new: dict[Parameter, Tensor] = {}
            for (parameter, _), gradient, some in zip(pairs, values, rows):
                with origins.in_scope(parameter.name.rpartition("/")[0]):
                    self._step(parameter, gradient, some, new)
            if self._next_count is not None:
                new[self._scalars["step"]] = self._next_count
        return new

    @property
    def learning_rate(self) -> Parameter:
        """The rate as a rank-0 float64 parameter; set `.value` to change it while training."""
        if self._schedule is not None:
            raise ArgumentError(
                f"{self.name}: the learning rate is a schedule, not a parameter",
                hint="pass a number as learning_rate to set it by hand",
            )
        return self._scalar("learning_rate", np.float64(self._initial_rate))  # type: ignore[arg-type]

    @property
    def step(self) -> Parameter:
        """The number of steps taken, a rank-0 int64 parameter."""
        return self._scalar("step", np.int64(0))

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

    @property
    def parameters(self) -> list[Parameter]:
        """The state made so far: scalars, then the slots of each parameter."""
        return [*self._scalars.values(), *self._slots.values()]

    # -- what subclasses use and provide ---------------------------------------------------

    def update(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """The parameter's next value; next values of its slots go into `new`."""
        raise NotImplementedError

    @property
    def leaves_rows(self) -> bool:
        """Whether an element without a gradient, and its state, stay as they are."""
        return False

    def rate(self, dtype: DType | None = None) -> Tensor:
        """The learning rate of this step, rank 0; float64 without a dtype."""
        if self._schedule is None:
            value: Tensor = self.learning_rate
        else:
            value = fn.astype(self._schedule(self.step), float64)
            self.next_count()
        return value if dtype is None else fn.astype(value, dtype)

    def next_count(self) -> Tensor:
        """The number of this step, counted from 1, rank-0 int64; asking makes it be kept."""
        if self._next_count is None:
            self._next_count = self.step + literal(1, int64)
        return self._next_count

    def slot(self, parameter: Parameter, role: str, initial: float = 0.0) -> Parameter:
        """State of the parameter's shape, named OPTIMIZER/PARAMETER/ROLE; its rows while rows are
        updated."""
        if self._rows is None:
            return self._slot(parameter, role, initial)
        if (parameter, role) not in self._row_slots:
            rows = self._rows.take(self._slot(parameter, role, initial))
            self._row_slots[parameter, role] = cast(Parameter, rows)  # stands for the slot
        return self._row_slots[parameter, role]

    def _slot(self, parameter: Parameter, role: str, initial: float) -> Parameter:
        if (parameter, role) not in self._slots:
            dtype = compute_dtype(parameter.dtype)

            def fill(shape: tuple[int, ...], *_: Any) -> Any:
                return np.full(shape, initial, dtype.numpy)

            label = f"{self.name}/{parameter.name}/{role}"
            with origins.root_scope():
                self._slots[parameter, role] = symbols.parameter(
                    label, parameter.shape, fill, dtype, trainable=False
                )
        return self._slots[parameter, role]

    def _scalar(self, role: str, initial: Any) -> Parameter:
        if role not in self._scalars:
            with origins.root_scope():
                self._scalars[role] = symbols.parameter(
                    f"{self.name}/{role}", value=np.asarray(initial), trainable=False
                )
        return self._scalars[role]

    def _step(
        self,
        parameter: Parameter,
        gradient: Tensor,
        rows: SparseRows | None,
        new: dict[Parameter, Tensor],
    ) -> None:
        if parameter in new:
            raise NameError(f"{self.name}: parameter {parameter.name} has two gradients")
        dtype = compute_dtype(parameter.dtype)
        if rows is not None:
            self._step_rows(parameter, fn.astype(gradient, dtype), rows, new)
            return
        value, wide = fn.astype(parameter, dtype), fn.astype(gradient, dtype)
        new[parameter] = fn.astype(self.update(parameter, value, wide, new), parameter.dtype)

    def _step_rows(
        self, parameter: Parameter, total: Tensor, rows: SparseRows, new: dict[Parameter, Tensor]
    ) -> None:
        """One step for the rows that have a gradient."""
        value = fn.astype(rows.take(parameter), total.dtype)
        made: dict[Parameter, Tensor] = {}
        self._rows, self._row_slots = rows, {}
        try:
            moved = self.update(parameter, value, rows.gradient(total), made)
        finally:
            self._rows = None
        new[parameter] = rows.put(parameter, fn.astype(moved, parameter.dtype))
        for (_, role), taken in self._row_slots.items():
            if taken in made:
                slot = self._slots[parameter, role]
                new[slot] = rows.put(slot, made[taken])

    def _rows_of(self, parameter: Parameter, gradient: Tensor, lazy: bool) -> SparseRows | None:
        """The rows to update; None where the whole parameter is."""
        rows = find_rows(parameter, gradient)
        if rows is None:
            return None
        if not lazy and not self.leaves_rows:
            how = f"whole: {self.kind} moves rows without a gradient (sparse={'lazy'!r} does not)"
        elif not lazy and not are_few(parameter, rows):
            how = "whole: half as many indices as rows, or more"
        else:
            how = "rows with a gradient only"
        self.sparse[parameter.name] = how
        return rows if how.startswith("rows") else None


def compute_dtype(dtype: DType) -> DType:
    """The dtype that updates are computed in."""
    return float32 if dtype.bits == 16 else dtype


def reachable(loss: Tensor) -> list[Parameter]:
    """The trainable parameters that the loss is computed from, in order of first use."""
    return [
        node.handle
        for node in topological([loss.node])
        if isinstance(node.op, leaf.Parameter) and node.op.trainable
    ]


def _pair(value: Any) -> tuple[Any, Any]:
    return value if isinstance(value, tuple) and len(value) == 2 else (value, None)


def _pairs(gradients: Any) -> list[tuple[Parameter, Tensor]]:
    if isinstance(gradients, Mapping):
        pairs = list(gradients.items())
    elif not isinstance(gradients, (list, tuple)) and not hasattr(gradients, "__next__"):
        raise ArgumentError(
            "apply: needs {parameter: gradient} or (gradient, parameter) pairs,"
            f" got {gradients!r:.60}"
        )
    else:
        pairs = [(p[1], p[0]) for p in map(_pair, gradients)]
    for parameter, gradient in pairs:
        if not isinstance(parameter, Parameter) or not isinstance(gradient, Tensor):
            raise ArgumentError(
                "apply: needs {parameter: gradient} or (gradient, parameter) pairs, got"
                f" {type(parameter).__name__} and {type(gradient).__name__}",
                origin=origins.find_origin(),
            )
        if gradient.shape != parameter.shape:
            raise ArgumentError(
                f"apply: parameter {parameter.name} is {parameter.type},"
                f" its gradient {gradient.type}",
                origin=origins.find_origin(),
            )
    return pairs
